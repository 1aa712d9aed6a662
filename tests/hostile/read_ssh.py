"""Looks for keys in every home it can find."""

import json
import sys
from pathlib import Path

scene = json.loads(sys.argv[1])
for home in (Path(scene["home"]), Path("/root"), Path.home(), *Path("/home").glob("*")):
    for name in (".ssh/id_test", ".ssh/id_ed25519", ".ssh/authorized_keys", ".aws/credentials"):
        try:
            (home / name).read_bytes()
            print("ESCAPED: read", name)
        except OSError as error:
            print("tried", name, error.strerror)
