"""Exercises: ``check`` tells right from wrong with the hint that fits, ``solution`` shows the way.

Both print and return None, so that a page's output stays as it is. The answers stand in
``data/exercises/<page>.yaml``, one entry an exercise; ``questions`` says what an entry holds.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from workbook import paths
from workbook.errors import BadExercise
from workbook.exercises.questions import ChoiceExercise, Correction, FunctionExercise, NumberExercise, TextExercise

__all__ = ["Correction", "Exercise", "check", "judge", "load", "solution"]

Exercise = NumberExercise | ChoiceExercise | TextExercise | FunctionExercise
_Entry = Annotated[Exercise, Field(discriminator="kind")]
_Page = TypeAdapter(dict[Annotated[str, Field(pattern=r"^\d\d\.\d+$")], _Entry])


def check(number: str, answer: Any) -> None:
    """Print one line: whether ``answer`` to exercise ``number`` ("11.2") is right, and why or a hint; never the answer.

    Raises
    ------
    BadExercise : there is no such exercise, or its file is wrong.
    """
    verdict = judge(_find(number), answer)
    sign = {True: "✓ ", False: "✗ ", None: ""}[verdict.right]
    print(f"{number}  {sign}{' '.join(verdict.say.split())}")


def solution(number: str) -> None:
    """Print the way to the answer of exercise ``number``. Raises BadExercise as ``check`` does."""
    print(f"{number}  {_find(number).solution.strip()}")


def judge(exercise: Exercise, answer: Any) -> Correction:
    """The verdict on ``answer``; ``...``, alone or inside a list, is not an answer yet."""
    if answer is ... or (isinstance(answer, list | tuple) and any(item is ... for item in answer)):
        return Correction(None, "Not answered yet.")
    return exercise.judge(answer)


def load(path: Path) -> dict[str, Exercise]:
    """The exercises of one file. Raises BadExercise: which entry is wrong, and how."""
    try:
        return _Page.validate_python(yaml.load(path.read_text(encoding="utf-8"), Loader=_NoTwins))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top"
        raise BadExercise(f"{paths.shown(path)}: {place}: {first['msg']}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadExercise(f"{paths.shown(path)} is not YAML: {' '.join(str(error).split())}") from None


def _find(number: str) -> Exercise:
    page = str(number).partition(".")[0]
    files = sorted((paths.data() / "exercises").glob(f"{page}_*.yaml")) if page.isdigit() else []
    entries = load(files[0]) if files else {}
    if number not in entries:
        known = f"Page {page} has {', '.join(entries)}." if entries else 'Exercises are numbered like "11.2".'
        raise BadExercise(f"There is no exercise {number!r}. {known}")
    return entries[number]


class _NoTwins(yaml.SafeLoader):
    """A loader that refuses a key given twice: YAML's own keeps the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twins = [key for key in keys if keys.count(key) > 1]
        if twins:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twins[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)
