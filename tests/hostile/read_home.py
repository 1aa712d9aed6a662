"""Reads a private file of the user's, keys in every home it can find, and the workbook's own answers."""

import json
import sys
from pathlib import Path

scene = json.loads(sys.argv[1])
for home in (Path(scene["home"]), Path("/root"), Path.home(), *Path("/home").glob("*")):
    for name in ("private.txt", ".ssh/id_test", ".ssh/authorized_keys", ".aws/credentials", ".bashrc"):
        try:
            print("ESCAPED: read", name, (home / name).read_text()[:80])
        except OSError as error:
            print("tried", name, error.strerror)
for name in ("README.md", "data/exercises", "lib/programs/judge"):
    if (Path(scene["checkout"]) / name).exists():
        print("ESCAPED: sees", name)
