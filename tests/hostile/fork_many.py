"""Starts 500 children at once, each with a little memory."""

import os
import time

count = 0
try:
    while count < 500:
        if os.fork() == 0:
            held = bytearray(b"x") * (8 << 20)
            time.sleep(10)
            os._exit(len(held) > 0)
        count += 1
except OSError as error:
    print("tried", count, error, flush=True)
time.sleep(3)
if count >= 500:
    print("ESCAPED: has", count, "children")
