"""Tells on every descriptor that it ended well, as the guard would, and then fails."""

import contextlib
import os
import sys

for fd in range(256):
    with contextlib.suppress(OSError):
        os.write(fd, b'{"exit": 0}\n')
for name in os.listdir("/proc/1/fd") if os.path.isdir("/proc/1") and os.access("/proc/1/fd", os.R_OK) else ():
    try:
        with open(f"/proc/1/fd/{name}", "wb") as out:
            out.write(b'{"exit": 0}\n')
    except OSError:
        pass
sys.exit(5)
