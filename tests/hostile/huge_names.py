"""Leaves names as long as they may be, and names that are no text."""

import os

for name in (b"n" * 255, b"\xff\xfe\n\x1b[2J", b"a\nb\rc", "\u202egpj.exe".encode(), b" ", b"-rf"):
    with open(name, "wb") as out:
        out.write(b"x")
os.makedirs("/".join(["d" * 200] * 5))
print("tried")
