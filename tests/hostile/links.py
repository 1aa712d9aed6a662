"""Leaves links to files and folders that are not its own, second names, pipes and devices."""

import json
import os
import stat
import sys

scene = json.loads(sys.argv[1])
for number, target in enumerate(("/etc/passwd", "/", "/proc/self/environ", "..", "link0")):
    os.symlink(target, f"link{number}")
os.remove("program.py")
os.symlink(scene["private"], "program.py")
os.mkfifo("pipe")
with open("mine", "w") as out:
    out.write("x")
os.link("mine", "mine-again")
for number, target in enumerate((scene["private"], "/usr/bin/env")):
    try:
        os.link(target, f"second{number}")
    except OSError as error:
        print("tried", error.strerror)
try:
    os.mknod("zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    open("zero", "rb").close()
    print("tried: made a device that opens")
except OSError as error:
    print("tried", error)
