"""Looks for keys in the environment of every process in sight."""

from pathlib import Path

for path in Path("/proc").glob("[0-9]*/environ"):
    try:
        if b"not-for-programs" in path.read_bytes():
            print("ESCAPED: read the environment of another process")
    except OSError as error:
        print("tried", error.strerror)
