"""Leaves folders deeper than any path is long, without rights to enter the last."""

import os

for _ in range(1200):
    os.mkdir("deep")
    os.chdir("deep")
with open("bottom", "w") as out:
    out.write("x")
os.chmod(".", 0)
print("tried")
