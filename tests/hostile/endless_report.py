"""Writes to the report's channel without end."""

import os

while True:
    os.write(3, b"x" * 65536)
