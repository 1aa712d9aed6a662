"""Prints zeros and bytes that are no text."""

import os

os.write(1, b"\0\0\xff\xfe\xc3\x28\xed\xa0\x80" * 100)
os.write(2, bytes(range(256)))
