"""The checkers that a task's file can name, each with its parameters: of an answer's words, or of a program."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from programs.judge import contract
from programs.judge.answer import folded

Judged = tuple[dict[str, bool], str]
"""What was checked, all of which must hold, and why it does not."""

_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d+(?:[ \u00a0\u202f]\d{3})*(?:[.,]\d+)?(?![\w])")
_SAYS = re.compile(r"(?:answer|réponse|choice|choix|option)\s*(?:is|est|:|=)*\s*[*(\"'«]*\s*([A-Z])\b", re.IGNORECASE)
_LETTER = re.compile(r"(?<![\w'’])([A-Z])(?![\w'’])")
Texts = Annotated[tuple[str, ...], Field(min_length=1)]


class _Checker(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    needs_code: ClassVar[bool] = False

    def judge(self, said: Any) -> Judged:
        """Judge the words of an answer, or what a program answered to ``calls``, None where it did not."""
        raise NotImplementedError


class NumberIs(_Checker):
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


class ChoiceIs(_Checker):
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


class TextIs(_Checker):
    """One of these texts as the whole answer. Case, accents, quotes and a final point do not count."""

    kind: Literal["text"]
    answers: Texts

    def judge(self, said: str) -> Judged:
        right = folded(said) in map(folded, self.answers)
        return {"right": right}, "" if right else f"it says {said[:60]!r}"


class WordIs(_Checker):
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


class LinesAre(_Checker):
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


class JsonIs(_Checker):
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


class FunctionCase(BaseModel):
    """Arguments, and what the function must return for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    args: tuple[Any, ...]
    want: Any


class FunctionDoes(_Checker):
    """A Python function of this name that returns what the hidden cases want."""

    needs_code = True
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


class SnakeContract(_Checker):
    """The class ``SnakeGame`` of the contract; ``programs.judge.contract`` has its games."""

    needs_code = True
    kind: Literal["snake-contract"]

    def calls(self) -> list[list[Any]]:
        """All calls of the contract's hidden games, in order."""
        return [call for _, calls in contract.games() for call in calls]

    def judge(self, answers: Sequence[Any]) -> Judged:
        return contract.judged(answers)


class SnakeLevels(_Checker):
    """A free-form Snake; ``programs.judge.levels`` says how far it gets."""

    needs_code = True
    kind: Literal["snake-levels"]


Checker = NumberIs | ChoiceIs | TextIs | WordIs | LinesAre | JsonIs | FunctionDoes | SnakeContract | SnakeLevels


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
