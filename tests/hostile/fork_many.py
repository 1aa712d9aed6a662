"""Starts 200 children at once."""

import os
import time

count = 0
try:
    while count < 200:
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
        count += 1
except OSError as error:
    print("tried", count, error, flush=True)
time.sleep(0.3)  # to be counted
if count >= 64:
    print("ESCAPED: has", count, "children")
