"""Ends at once, and leaves a child that holds its output, and a daemon: forked twice, its environment empty."""

import os
import sys
import time

if os.fork():
    print("tried", flush=True)
    os._exit(0)
os.setsid()
if os.fork():
    time.sleep(600)
for fd in range(3):
    os.close(fd)
os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], {})
