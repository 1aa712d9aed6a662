"""Prints what would clear, rename, retitle or type into the reader's terminal, and bytes that are no text."""

import os
import sys

sys.stdout.write("\x1b[2J\x1b]0;owned\x07\x1b]52;c;bHM=\x07\x9b31m\rok\b\b\x1b[6n\u202e\u200b\n")
sys.stdout.flush()
os.write(1, b"\0\0\xff\xfe\xc3\x28\xed\xa0\x80" * 100)
os.write(2, bytes(range(256)))
