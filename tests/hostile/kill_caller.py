"""Ends the process that asked for it."""

import json
import os
import signal
import sys

scene = json.loads(sys.argv[1])
try:
    os.kill(scene["caller"], signal.SIGUSR1)
    print("ESCAPED: signalled the caller")
except OSError as error:
    print("tried", error)
