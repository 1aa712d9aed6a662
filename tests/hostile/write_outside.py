"""Writes into a folder of the user's, by its name and by climbing, into the system's, into the Python that runs it."""

import json
import os
import sys

scene = json.loads(sys.argv[1])
places = [scene["target"], *("../" * up + scene["target"].lstrip("/") for up in range(1, 9)), "../beside"]
if scene["contained"]:
    folders = (
        "/",
        "/usr",
        "/usr/bin",
        "/etc",
        "/dev",
        "/home",
        "/var",
        "/proc",
        sys.prefix,
        os.path.dirname(os.__file__),
    )
    places += [f"{folder}/workbook-hostile" for folder in folders]
for place in places:
    try:
        with open(place, "w") as out:
            out.write("was here")
        print("ESCAPED: wrote", place)
    except OSError as error:
        print("tried", place, error.strerror)
