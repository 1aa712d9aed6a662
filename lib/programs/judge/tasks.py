"""The graded tasks: one file each in ``data/prompts/``, with its prompt, its checker and the examples that test it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from programs.judge.checkers import Checker
from workbook import paths
from workbook.errors import BadOption, BadTask


class Task(BaseModel):
    """One task. ``accept`` and ``refuse``: whole answers, each tried by the tests.

    ``samples`` and ``temperature``: how often to ask, and how, for a rate such as pass@k. ``version`` changes with
    every change of the prompt or the checker.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
    version: Annotated[str, Field(pattern=r"^\d+$")]
    language: Literal["en", "fr"]
    title: Annotated[str, Field(min_length=3, max_length=100)]
    prompt: Annotated[str, Field(min_length=3, max_length=8000)]
    max_tokens: Annotated[int, Field(ge=1, le=32768)]
    samples: Annotated[int, Field(ge=1, le=1000)] = 5
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    source: str = "written for this workbook"
    checker: Annotated[Checker, Field(discriminator="kind")]
    accept: Annotated[tuple[str, ...], Field(min_length=1)]
    refuse: Annotated[tuple[str, ...], Field(min_length=1)]

    @property
    def needs_code(self) -> bool:
        """Whether grading it runs a program, which needs consent."""
        return self.checker.needs_code


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted((paths.data() / "prompts").glob("*.yaml"))}


def tasks() -> tuple[Task, ...]:
    """All tasks, by id. Raises BadTask: which file is wrong, and how."""
    return tuple(_read(path) for path in _files().values())


def task(id: str) -> Task:
    """The task of this id. Raises BadTask."""
    files = _files()
    if id not in files:
        raise BadTask(f"there is no task {id[:60]!r}. Tasks: {', '.join(files) or 'see data/prompts'}.")
    return _read(files[id])


def task_of(path: Path) -> Task:
    """The task that the name of an answer's file begins with, ``<task>-<setting hash>-r<rep>.md``; else snake-fr."""
    ids = sorted(_files(), key=len, reverse=True)
    return task(next((id for id in ids if f"{path.stem}-".startswith(f"{id}-")), "snake-fr"))


def answer_files(file: Path) -> list[Path]:
    """The answers in a folder, those that the recorder kept before any other Markdown; or this one file."""
    if file.is_file():
        return [file]
    inside = sorted(path for path in file.rglob("*.md") if path.is_file() and not path.is_symlink())
    answers = [path for path in inside if path.parent.name.endswith(".answers")] or inside
    if not answers:
        raise BadOption(f"{paths.shown(file)} " + ("holds no answers (*.md)." if file.is_dir() else "is not there."))
    return answers


def _read(path: Path) -> Task:
    try:
        made = Task.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top"
        raise BadTask(f"{paths.shown(path)}: {place}: {first['msg']}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadTask(f"{paths.shown(path)} is not YAML: {' '.join(str(error).split())[:300]}") from None
    if made.id != path.stem:
        raise BadTask(f"{paths.shown(path)}: its id is {made.id!r}: the file's name must be the id.")
    return made
