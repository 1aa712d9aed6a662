"""Ends every process it may signal."""

import os
import signal

try:
    os.kill(-1, signal.SIGKILL)
except OSError as error:
    print("tried", error)
print("tried")
