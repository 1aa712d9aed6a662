"""Takes System V shared memory without end, touches it, and lets go of it."""

import ctypes
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes, libc.shmdt.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int), (ctypes.c_void_p,)
held = 0
for _ in range(50):
    segment = libc.shmget(0, ctypes.c_size_t(60 << 20), 0o1600)
    place = libc.shmat(segment, None, 0) if segment >= 0 else None
    if place in (None, ctypes.c_void_p(-1).value):
        break
    ctypes.memset(place, 1, 60 << 20)
    libc.shmdt(place)
    held += 60
print("tried", held, flush=True)
time.sleep(1)
if held > 1000:
    print("ESCAPED: holds", held, "MB")
