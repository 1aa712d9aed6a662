"""Grading what models write: the answer read, the program contained and run, the level found."""

from programs.judge.grader import grade, grade_program
from programs.judge.grader import version as grader_version
from programs.judge.trust import trusted
from programs.judge.types import Grade

__all__ = ["Grade", "grade", "grade_program", "grader_version", "trusted"]
