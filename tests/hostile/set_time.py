"""Sets the clock, the host's name."""

import socket
import time

for name, change in (("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
                     ("name", lambda: socket.sethostname("hostile"))):  # fmt: skip
    try:
        change()
        print("ESCAPED: set the", name)
    except OSError as error:
        print("tried", name, error)
