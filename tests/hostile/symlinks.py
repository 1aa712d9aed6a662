"""Leaves links to files and folders that are not its own."""

import os

for number, target in enumerate(("/etc/passwd", "/etc/hostname", "/", "/proc/self/environ", "..", "link0", "link6")):
    os.symlink(target, f"link{number}")
os.remove("program.py")
os.symlink("/etc/passwd", "program.py")
print("tried")
