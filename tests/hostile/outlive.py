"""Ends its parent, and leaves a daemon that nothing marks: its environment is empty, its words are its own."""

import os
import signal
import sys
import time

print("tried", flush=True)
if os.fork() == 0:
    os.setsid()
    time.sleep(0.2)
    for fd in range(3):
        os.close(fd)
    os.execve(sys.executable, [sys.executable, "-I", "-c", "import time; time.sleep(600)", sys.argv[1]], {})
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(0.5)
