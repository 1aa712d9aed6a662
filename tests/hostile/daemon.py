"""Ends at once, and leaves a daemon: forked twice, in a session of its own, its environment empty."""

import os
import sys
import time

if os.fork():
    print("tried", flush=True)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for fd in range(3):
    os.close(fd)
os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], {})
time.sleep(600)
