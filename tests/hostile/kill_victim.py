"""Ends a process of the user's, whose number it was told."""

import json
import os
import signal
import sys

scene = json.loads(sys.argv[1])
for number in (signal.SIGTERM, signal.SIGKILL):
    try:
        os.kill(scene["victim"], number)
        print("sent")
    except OSError as error:
        print("tried", error)
