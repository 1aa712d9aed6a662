"""Leaves names as long as they may be, that are no text, and folders deeper than any path, the last without rights."""

import os

for name in (b"n" * 255, b"\xff\xfe\n\x1b[2J", b"a\nb\rc", "\u202egpj.exe".encode(), b"-rf"):
    with open(name, "wb") as out:
        out.write(b"x")
with open("sparse", "wb") as out:
    os.ftruncate(out.fileno(), 60 << 20)
for _ in range(1200):
    os.mkdir("deep")
    os.chdir("deep")
os.chmod(".", 0)
print("tried")
