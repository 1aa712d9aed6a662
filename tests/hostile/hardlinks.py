"""Leaves second names of files that are not its own."""

import json
import os
import sys

scene = json.loads(sys.argv[1])
for number, target in enumerate((scene["private"], "/etc/passwd", "/usr/bin/env", sys.executable)):
    try:
        os.link(target, f"second{number}")
    except OSError as error:
        print("tried", error.strerror)
with open("mine", "w") as out:
    out.write("x")
os.link("mine", "mine-again")
print("tried")
