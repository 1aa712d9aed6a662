"""Leaves itself again and again: never many processes, and never the same."""

import os
import time

end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
