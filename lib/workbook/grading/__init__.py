"""Grading what models write: the answer read, the program contained and run, the level found."""

from workbook.grading.grader import grade, grade_program
from workbook.grading.grader import version as grader_version
from workbook.grading.trust import trusted
from workbook.grading.types import Grade

__all__ = ["Grade", "grade", "grade_program", "grader_version", "trusted"]
