"""Changes what is mounted, its root, its namespaces."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("m/proc", exist_ok=True)
if libc.mount(b"none", b"m", b"tmpfs", 0, None) == 0:
    print("ESCAPED: mounted")
if libc.mount(b"proc", b"m/proc", b"proc", 0, None) == 0:
    print("ESCAPED: mounted proc")
if libc.mount(b"", b"/", b"", 32 | 4096, None) == 0:
    print("ESCAPED: made / writable")
if libc.umount2(b"/usr", 2) == 0:
    print("ESCAPED: unmounted")
for flag in (0x10000000, 0x00020000, 0x40000000, 0x10000000 | 0x00020000 | 0x40000000):
    if libc.unshare(flag) == 0:  # rights over nothing but what it makes itself: what was closed must stay closed
        print("tried", hex(flag))
        for place in (b"/", b"/usr", b"/proc"):
            if libc.mount(b"", place, b"", 32 | 4096, None) == 0:
                print("ESCAPED: made writable", place)
        if libc.umount2(b"/usr", 2) == 0:
            print("ESCAPED: uncovered what lies below /usr")
try:
    os.chroot("m")
    print("ESCAPED: changed its root")
except OSError as error:
    print("tried", error)
