"""Takes memory by way of /dev/zero, shared and private, in many processes."""

import mmap
import os
import time

for number in range(8):
    if os.fork() == 0:
        with open("/dev/zero", "r+b") as zero:
            held = mmap.mmap(zero.fileno(), 60 << 20, flags=(mmap.MAP_SHARED, mmap.MAP_PRIVATE)[number % 2])
        for place in range(0, len(held), 4096):
            held[place] = 1
        time.sleep(30)
        os._exit(0)
time.sleep(30)
