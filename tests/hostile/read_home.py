"""Reads a private file of the user's."""

import json
import sys
from pathlib import Path

scene = json.loads(sys.argv[1])
try:
    print("ESCAPED: read", Path(scene["private"]).read_text())
except OSError as error:
    print("tried", error)
for home in (Path("/root"), *Path("/home").glob("*")):
    for name in (".bashrc", ".profile", ".netrc", ".config", ".cache"):
        if (home / name).exists():
            print("ESCAPED: sees", name)
