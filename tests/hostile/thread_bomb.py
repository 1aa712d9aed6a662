"""Starts 200 threads at once."""

import threading
import time

threading.stack_size(64 << 10)
count = 0
try:
    while count < 200:
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
        count += 1
except RuntimeError as error:
    print("tried", count, error)
time.sleep(0.3)  # to be counted
if count >= 64:
    print("ESCAPED: has", count, "threads")
