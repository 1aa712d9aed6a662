"""Counts the processes it can see; its own, the guard and the sandbox's first are all there should be."""

import os

seen = [name for name in os.listdir("/proc") if name.isdigit()]
print("tried", len(seen))
if len(seen) > 4:
    print("ESCAPED: sees", len(seen), "processes")
