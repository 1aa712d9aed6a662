"""Grading what models write: the answer read, the program contained and run, the level found."""

from programs.judge import tasks
from programs.judge.answer import program
from programs.judge.grader import Grade, grade, grade_file, grade_program
from programs.judge.grader import version as grader_version
from programs.judge.levels import MARKS
from programs.judge.passk import interval, pass_at_k

__all__ = [
    "MARKS", "Grade", "grade", "grade_file", "grade_program", "grader_version", "interval", "pass_at_k", "program",
    "tasks",
]  # fmt: skip
