"""The graded tasks, one file each in ``data/prompts/``, and the checkers they name: of words, or of a program."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from programs.judge import contract
from programs.judge.answer import folded
from workbook import paths
from workbook.errors import BadOption, BadTask

Judged = tuple[dict[str, bool], str]
"""What was checked, all of which must hold, and why it does not."""

_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d+(?:[ \u00a0\u202f]\d{3})*(?:[.,]\d+)?(?![\w])")
_SAYS = re.compile(r"(?:answer|réponse|choice|choix|option)\s*(?:is|est|:|=)*\s*[*(\"'«]*\s*([A-Z])\b", re.IGNORECASE)
_LETTER = re.compile(r"(?<![\w'’])([A-Z])(?![\w'’])")
Texts = Annotated[tuple[str, ...], Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberIs(_Frozen):
    """One number: the last that the answer gives, so that a sum written out before it does no harm."""

    kind: Literal["number"]
    answer: float

    def judge(self, said: str) -> Judged:
        found = _NUMBER.findall(said)
        if not found:
            return {"a number": False}, "no number in it"
        last = float(re.sub(r"\s", "", found[-1]).replace("−", "-").replace(",", "."))
        right = last == self.answer
        return {"a number": True, "right": right}, "" if right else f"its last number is {last:g}"


class ChoiceIs(_Frozen):
    """One of the options, by its letter: the one it names as its answer, else the only one it names at all."""

    kind: Literal["choice"]
    options: Annotated[dict[Annotated[str, Field(pattern=r"^[A-Z]$")], str], Field(min_length=2)]
    answer: Annotated[str, Field(pattern=r"^[A-Z]$")]

    def judge(self, said: str) -> Judged:
        named = (
            {letter.upper() for letter in _SAYS.findall(said)} & self.options.keys()
            or set(_LETTER.findall(said)) & self.options.keys()
            or {letter for letter, text in self.options.items() if folded(text) in folded(said)}
        )
        if len(named) != 1:
            return {"one choice": False}, f"it names {len(named)} of the options"
        right = self.answer in named
        return {"one choice": True, "right": right}, "" if right else f"it chose {named.pop()}"


class TextIs(_Frozen):
    """One of these texts as the whole answer. Case, accents, quotes and a final point do not count."""

    kind: Literal["text"]
    answers: Texts

    def judge(self, said: str) -> Judged:
        right = folded(said) in map(folded, self.answers)
        return {"right": right}, "" if right else f"it says {said[:60]!r}"


class WordIs(_Frozen):
    """A sentence that has one of these words and none of the others. Case and accents do not count."""

    kind: Literal["word"]
    answers: Texts
    others: tuple[str, ...] = ()

    def judge(self, said: str) -> Judged:
        words = " ".join(["", *re.findall(r"[^\W_]+", folded(said)), ""])
        named = any(f" {folded(text)} " in words for text in self.answers)
        wrong = [text for text in self.others if f" {folded(text)} " in words]
        reason = f"it also says {', '.join(wrong)}" if wrong else "" if named else f"it says {said[:60]!r}"
        return {"named": named, "nothing else": not wrong}, reason


class LinesAre(_Frozen):
    """So many different lines, each of this form, empty lines left out."""

    kind: Literal["lines"]
    count: Annotated[int, Field(ge=1)]
    pattern: re.Pattern[str]

    def judge(self, said: str) -> Judged:
        lines = [line.strip() for line in said.split("\n") if line.strip()]
        checks = {
            "count": len(lines) == self.count,
            "form": all(len(line) < 500 and self.pattern.fullmatch(line) for line in lines),
            "different": len(set(map(folded, lines))) == len(lines),
        }
        wrong = [name for name, right in checks.items() if not right]
        return checks, f"lines: {len(lines)}; wrong: {', '.join(wrong)}" if wrong else ""


class JsonIs(_Frozen):
    """This JSON object, alone or in a fence, with or without words around it. Texts count without their case."""

    kind: Literal["json"]
    answer: dict[str, Any]

    def judge(self, said: str) -> Judged:
        try:
            found, _ = json.JSONDecoder().raw_decode(said[said.find("{") :])
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            return {"JSON": False}, "no JSON object in it"
        checks = {"JSON": True, "keys": found.keys() == self.answer.keys()}
        checks |= {key: key in found and agrees(found[key], want, folded) for key, want in self.answer.items()}
        wrong = [name for name, right in checks.items() if not right]
        return checks, f"wrong: {', '.join(wrong)}" if wrong else ""


class FunctionCase(_Frozen):
    """Arguments, and what the function must return for them."""

    args: tuple[Any, ...]
    want: Any


class FunctionDoes(_Frozen):
    """A Python function of this name that returns what the hidden cases want."""

    kind: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
    cases: Annotated[tuple[FunctionCase, ...], Field(min_length=3)]

    def calls(self) -> list[list[Any]]:
        """What the program is asked."""
        return [[self.name, *case.args] for case in self.cases]

    def judge(self, answers: Sequence[Any]) -> Judged:
        checks, wrong = dict[str, bool](), ""
        for i, (case, got) in enumerate(zip(self.cases, answers, strict=True), 1):
            told = got if isinstance(got, dict) else {}
            checks[f"case {i}"] = told.keys() == {"value"} and agrees(told["value"], case.want)
            if not checks[f"case {i}"] and not wrong:
                wrong = f"case {i} " + (f"raises {told['raised']}" if "raised" in told else "gives something else")
        return checks, wrong and f"{sum(checks.values())} of {len(checks)} cases right; {wrong}"


class SnakeContract(_Frozen):
    """The class ``SnakeGame`` of the contract; ``programs.judge.contract`` has its games."""

    kind: Literal["snake-contract"]

    def calls(self) -> list[list[Any]]:
        """All calls of the contract's hidden games, in order."""
        return [call for _, calls in contract.games() for call in calls]

    def judge(self, answers: Sequence[Any]) -> Judged:
        return contract.judged(answers)


class SnakeLevels(_Frozen):
    """A free-form Snake; ``programs.judge.levels`` says how far it gets."""

    kind: Literal["snake-levels"]


Words = NumberIs | ChoiceIs | TextIs | WordIs | LinesAre | JsonIs
Checker = Words | FunctionDoes | SnakeContract | SnakeLevels


class Task(_Frozen):
    """One task. ``accept`` and ``refuse``: whole answers, each tried by the tests.

    ``samples`` and ``temperature``: how often to ask, and how, for a rate such as pass@k. ``version`` changes with
    every change of the prompt or the checker.
    """

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
        return not isinstance(self.checker, Words)


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
    if not file.exists():
        raise BadOption(f"there is no file {paths.shown(file)}.")
    if file.is_file():
        return [file]
    inside = sorted(path for path in file.rglob("*.md") if path.is_file() and not path.is_symlink())
    answers = [path for path in inside if path.parent.name.endswith(".answers")] or inside
    if not answers:
        raise BadOption(f"{paths.shown(file)} holds no answers (*.md).")
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


def agrees(got: Any, want: Any, fold: Any = str) -> bool:
    """Whether a value is the right one: 3.0 is 3, up to rounding, but True is not 1 and "3" is not 3."""
    if isinstance(want, list | tuple):
        fits = isinstance(got, list) and len(got) == len(want)
        return fits and all(agrees(g, w, fold) for g, w in zip(got, want, strict=True))
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(agrees(got[k], want[k], fold) for k in want)
    if isinstance(want, str):
        return isinstance(got, str) and bool(fold(got) == fold(want))
    if isinstance(want, bool) or want is None:
        return got is want
    number = isinstance(got, int | float) and not isinstance(got, bool)
    return number and (got == want or abs(got - want) <= 1e-9 * max(1.0, abs(want)))
