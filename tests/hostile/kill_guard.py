"""Ends its parent, then stays for a while."""

import os
import signal
import time

print("tried", flush=True)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
    try:
        os.kill(os.getppid(), number)
    except OSError as error:
        print("tried", error)
time.sleep(0.5)
