"""The checkers that a task's file can name, each with its parameters. Those of text run nothing.

An answer is read without its thinking and without Markdown's emphasis. What a checker refuses, it says why.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from programs.judge.extract import without_thinking

LONGEST = 20_000  # characters of an answer that a checker of text reads
_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d+(?:[ \u00a0\u202f]\d{3})*(?:[.,]\d+)?(?![\w])")
_SAYS = re.compile(r"(?:answer|réponse|choice|choix|option)\s*(?:is|est|:|=)*\s*[*(\"'«]*\s*([A-Z])\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_LETTER = re.compile(r"(?<![\w'’])([A-Z])(?![\w'’])")


@dataclass(frozen=True)
class Judged:
    """Whether an answer passed, what was checked, and why not."""

    passed: bool
    checks: dict[str, bool]
    reason: str = ""


class _Checker(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def needs_code(self) -> bool:
        """Whether it runs what the model wrote."""
        return False


class _Text(_Checker):
    def judge(self, answer: str) -> Judged:
        """Judge an answer as the model gave it."""
        said = plain(answer)
        if not said:
            return Judged(False, {"answered": False}, "an empty answer")
        return self._judge(said)

    def _judge(self, said: str) -> Judged:
        raise NotImplementedError


class NumberIs(_Text):
    """One number: the last that the answer gives, so that a sum written out before it does no harm."""

    kind: Literal["number"]
    answer: float

    def _judge(self, said: str) -> Judged:
        found = [_number(text) for text in _NUMBER.findall(said)]
        if not found:
            return Judged(False, {"a number": False}, "no number in it")
        right = found[-1] == self.answer
        return Judged(right, {"a number": True, "right": right}, "" if right else f"its last number is {found[-1]:g}")


class ChoiceIs(_Text):
    """One of the options, by its letter: the one it names as its answer, else the only one it names at all."""

    kind: Literal["choice"]
    options: Annotated[dict[Annotated[str, Field(pattern=r"^[A-Z]$")], str], Field(min_length=2)]
    answer: Annotated[str, Field(pattern=r"^[A-Z]$")]

    def _judge(self, said: str) -> Judged:
        named = [letter.upper() for letter in _SAYS.findall(said) if letter.upper() in self.options]
        if not named:
            named = [letter for letter in _LETTER.findall(said) if letter in self.options]
        if not named:
            texts = [letter for letter, text in self.options.items() if folded(text) in folded(said)]
            named = texts
        if len(set(named)) != 1:
            return Judged(False, {"one choice": False}, f"it names {len(set(named))} of the options")
        right = named[0] == self.answer
        return Judged(right, {"one choice": True, "right": right}, "" if right else f"it chose {named[0]}")


class TextIs(_Text):
    """One of these texts as the whole answer. Case, accents, quotes and a final point do not count."""

    kind: Literal["text"]
    answers: Annotated[tuple[str, ...], Field(min_length=1)]

    def _judge(self, said: str) -> Judged:
        right = folded(said) in {folded(text) for text in self.answers}
        return Judged(right, {"right": right}, "" if right else f"it says {said[:60]!r}")


class WordIs(_Text):
    """A sentence that has one of these words and none of the others. Case and accents do not count."""

    kind: Literal["word"]
    answers: Annotated[tuple[str, ...], Field(min_length=1)]
    others: tuple[str, ...] = ()

    def _judge(self, said: str) -> Judged:
        words = f" {' '.join(_WORD.findall(folded(said)))} "
        named = [text for text in self.answers if f" {folded(text)} " in words]
        wrong = [text for text in self.others if f" {folded(text)} " in words]
        reason = f"it also says {', '.join(wrong)}" if wrong else "" if named else f"it says {said[:60]!r}"
        return Judged(bool(named) and not wrong, {"named": bool(named), "nothing else": not wrong}, reason)


class LinesAre(_Text):
    """So many lines, each of this form, empty lines left out. ``different``: no line twice."""

    kind: Literal["lines"]
    count: Annotated[int, Field(ge=1)]
    pattern: str
    different: bool = True

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        re.compile(pattern)
        return pattern

    def _judge(self, said: str) -> Judged:
        lines = [line.strip() for line in said.split("\n") if line.strip()]
        form = bool(lines) and all(len(line) < 500 and re.fullmatch(self.pattern, line) for line in lines)
        checks = {"count": len(lines) == self.count, "form": form}
        if self.different:
            checks["different"] = len({folded(line) for line in lines}) == len(lines)
        wrong = [name for name, right in checks.items() if not right]
        return Judged(not wrong, checks, f"lines: {len(lines)}; wrong: {', '.join(wrong)}" if wrong else "")


class JsonIs(_Text):
    """This JSON object, alone or in a fence, with or without words around it. Texts count without their case."""

    kind: Literal["json"]
    answer: dict[str, Any]

    def _judge(self, said: str) -> Judged:
        found = _first_object(said)
        if found is None:
            return Judged(False, {"JSON": False}, "no JSON object in it")
        checks = {"JSON": True, "keys": found.keys() == self.answer.keys()}
        for key, want in self.answer.items():
            checks[key] = key in found and _same(found[key], want)
        wrong = [name for name, right in checks.items() if not right]
        return Judged(not wrong, checks, f"wrong: {', '.join(wrong)}" if wrong else "")


class Case(BaseModel):
    """Arguments, and what the function must return for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    args: tuple[Any, ...]
    want: Any


class FunctionDoes(_Checker):
    """A Python function of this name that returns what the hidden cases want. Run in the sandbox, judged outside."""

    kind: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
    cases: Annotated[tuple[Case, ...], Field(min_length=3)]

    @property
    def needs_code(self) -> bool:
        return True


class SnakeContract(_Checker):
    """The class ``SnakeGame`` of the contract; ``programs.judge.contract`` has its tests."""

    kind: Literal["snake-contract"]

    @property
    def needs_code(self) -> bool:
        return True


class SnakeLevels(_Checker):
    """A free-form Snake; ``programs.judge.levels`` says how far it gets."""

    kind: Literal["snake-levels"]

    @property
    def needs_code(self) -> bool:
        return True


Checker = NumberIs | ChoiceIs | TextIs | WordIs | LinesAre | JsonIs | FunctionDoes | SnakeContract | SnakeLevels


def plain(answer: str) -> str:
    """The answer as text: thinking, a fence around all of it and Markdown's emphasis taken away."""
    said = without_thinking(answer[:LONGEST].replace("\r\n", "\n").replace("\ufeff", ""))[0].strip()
    fenced = re.fullmatch(r"(?:```|~~~)\w*\n(.*?)\n?(?:```|~~~)", said, re.DOTALL)
    said = fenced[1] if fenced else said
    return re.sub(r"(\*\*|__|`)", "", said).strip()


def folded(text: str) -> str:
    """Without case, accents, quotes around it, a final point and doubled spaces."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'"))
    text = "".join(sign for sign in text if not unicodedata.combining(sign))
    return " ".join(text.split()).strip(" .!?\"'`«»“”:").casefold()


def _number(text: str) -> float:
    return float(re.sub(r"[ \u00a0\u202f]", "", text).replace("−", "-").replace(",", "."))


def _first_object(said: str) -> dict[str, Any] | None:
    """The first JSON object that stands in a text."""
    decoder = json.JSONDecoder()
    for match in list(re.finditer(r"\{", said))[:50]:
        try:
            found, _ = decoder.raw_decode(said, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _same(got: Any, want: Any) -> bool:
    if isinstance(want, str):
        return isinstance(got, str) and folded(got) == folded(want)
    if isinstance(want, list):
        fits = isinstance(got, list) and len(got) == len(want)
        return fits and all(_same(g, w) for g, w in zip(got, want, strict=True))
    if isinstance(want, bool) or want is None:
        return got is want
    return isinstance(got, int | float) and not isinstance(got, bool) and got == want
