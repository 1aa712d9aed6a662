"""Grading what models write: the answer read, the program contained and run, the level found."""
