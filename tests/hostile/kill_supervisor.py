"""Ends its parent, stops it, holds it by ptrace, so that nobody sees it end."""

import ctypes
import os
import signal
import time

print("tried", ctypes.CDLL(None).ptrace(0x4206, os.getppid(), None, None), flush=True)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP, signal.SIGKILL):
    try:
        os.kill(os.getppid(), number)
    except OSError as error:
        print("tried", error)
time.sleep(0.2)
