"""Takes memory in many processes, in each less than one may have."""

import os
import time

for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b"x") * (60 << 20)
        time.sleep(30)
        os._exit(len(held) > 0)
time.sleep(30)
