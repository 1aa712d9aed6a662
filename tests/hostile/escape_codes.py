"""Prints what would clear, rename, retitle or type into the reader's terminal."""

import sys

sys.stdout.write("\x1b[2J\x1b]0;owned\x07\x1b]52;c;bHM=\x07\x9b31m\rok\b\b\x1b[6n\u202e\u200b\n")
sys.stderr.write("\x1bP+q544e\x1b\\\n")
