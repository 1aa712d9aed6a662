"""Ends with the code by which shells tell of a signal."""

import sys

sys.exit(137)
