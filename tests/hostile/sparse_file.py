"""Leaves a file that says it is a terabyte, and a smaller one."""

import os

for size in (1 << 40, 60 << 20):
    try:
        with open(f"sparse{size}", "wb") as out:
            os.ftruncate(out.fileno(), size)
    except OSError as error:
        print("tried", size, error)
print("tried")
