"""Starts threads without end."""

import threading
import time

threading.stack_size(64 << 10)
count = 0
try:
    while count < 20_000:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        count += 1
except RuntimeError as error:
    print("tried", count, error)
if count > 2_000:
    print("ESCAPED: has", count, "threads")
