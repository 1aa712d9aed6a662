"""Counts the processes in sight, and ends a process of the user's, the process that asked for it, and all it may."""

import contextlib
import json
import os
import signal
import sys

scene = json.loads(sys.argv[1])
seen = [name for name in os.listdir("/proc") if name.isdigit()]
if len(seen) > 4:  # itself, the supervisor, and what a sandbox may have of its own
    print("ESCAPED: sees", len(seen), "processes")
for name in ("victim", "caller"):
    try:
        os.kill(scene[name], signal.SIGKILL if name == "victim" else 0)
        print("ESCAPED: signalled the", name)
    except OSError as error:
        print("tried", error)
sys.stdout.flush()
if scene["contained"]:
    with contextlib.suppress(OSError):
        os.kill(-1, signal.SIGKILL)
