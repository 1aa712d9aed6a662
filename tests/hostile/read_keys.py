"""Looks for keys in its environment, and in that of every process in sight."""

import os
from pathlib import Path

for name, value in os.environ.items():
    if "KEY" in name or "not-for-programs" in value:
        print("ESCAPED: has", name)
for path in Path("/proc").glob("[0-9]*/environ"):
    try:
        if b"not-for-programs" in path.read_bytes():
            print("ESCAPED: read the environment of another process")
    except OSError as error:
        print("tried", error.strerror)
print("tried")
