"""The kinds of exercises: what an entry of ``data/exercises/<page>.yaml`` holds, and how it judges an answer."""

from __future__ import annotations

import copy
import math
import numbers
import re
import sys
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from types import FrameType
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

CALL_SECONDS = 5.0
LONGEST_ANSWER = 10_000  # characters; a longer text is no answer, and normalising it would take its time


@dataclass(frozen=True)
class Correction:
    """Whether an answer is right, and the sentence that goes with it. ``right`` None: not answered."""

    right: bool | None
    say: str


class Feedback(BaseModel):
    """What to say to one foreseen wrong answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    when: Any
    say: str


class _Exercise(BaseModel):
    """What all kinds share. ``accept`` and ``refuse`` are examples that the tests try."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    why: str
    hint: str
    solution: str
    feedback: tuple[Feedback, ...] = ()
    accept: list[Any] = Field(min_length=1)
    refuse: list[Any] = Field(min_length=1)

    def is_right(self, answer: Any) -> bool:
        """Whether ``answer`` is right; ValueError with a hint when it is not even of the right sort."""
        raise NotImplementedError

    def matches(self, answer: Any, when: Any) -> bool:
        """Whether ``answer`` is the foreseen wrong answer ``when``."""
        raise NotImplementedError

    def judge(self, answer: Any) -> Correction:
        """The verdict on ``answer``, with the hint that fits."""
        try:
            if self.is_right(answer):
                return Correction(True, self.why)
            said = next((f.say for f in self.feedback if self.matches(answer, f.when)), self.hint)
        except ValueError as error:
            said = str(error)
        return Correction(False, said)

    @model_validator(mode="after")
    def _feedback_is_reached(self) -> _Exercise:
        for foreseen in self.feedback:
            if self.judge(foreseen.when) != Correction(False, foreseen.say):
                raise ValueError(f"the feedback for {foreseen.when!r} is never reached")
        return self


class _Measured(_Exercise):
    """A kind with a tolerance. ``within``: "2%" of the answer, or a number in the answer's own unit."""

    within: float | str = "0.0001%"

    @field_validator("within")
    @classmethod
    def _is_tolerance(cls, within: float | str) -> float | str:
        if isinstance(within, str) and not re.fullmatch(r"\d+(\.\d+)?%", within):
            raise ValueError("within is a percentage such as 2%, or a number")
        return within

    def close(self, got: float, want: float) -> bool:
        """Whether ``got`` lies within the tolerance of ``want``."""
        relative = isinstance(self.within, str)
        slack = float(str(self.within).rstrip("%")) * (abs(want) / 100 if relative else 1)
        return abs(got - want) <= slack * (1 + 1e-9) + 1e-12

    def same(self, got: Any, want: Any) -> bool:
        """Whether two values agree: numbers within the tolerance, sequences item by item."""
        got = got.tolist() if hasattr(got, "tolist") else got
        if isinstance(want, list):
            fits = isinstance(got, list | tuple) and len(got) == len(want)
            return fits and all(self.same(g, w) for g, w in zip(got, want, strict=True))
        if isinstance(want, dict):
            return isinstance(got, dict) and got.keys() == want.keys() and all(self.same(got[k], want[k]) for k in want)
        if isinstance(want, bool | str | None):
            return type(got) is type(want) and bool(got == want)
        return isinstance(got, numbers.Real) and not isinstance(got, bool) and self.close(float(got), want)


class NumberExercise(_Measured):
    """One number. Texts are read too, with a decimal point or comma; "12 %" is 12 or 0.12."""

    kind: Literal["number"]
    answer: float

    def is_right(self, answer: Any) -> bool:
        return self.matches(answer, self.answer)

    def matches(self, answer: Any, when: Any) -> bool:
        return any(self.close(value, float(when)) for value in readings(answer))


class ChoiceExercise(_Exercise):
    """One of the ``options``, or several: ``answer`` is then a list."""

    kind: Literal["choice"]
    options: list[str]
    answer: str | list[str]

    def is_right(self, answer: Any) -> bool:
        return self._chosen(answer) == self._chosen(self.answer)

    def matches(self, answer: Any, when: Any) -> bool:
        return self._chosen(answer) == self._chosen(when)

    @model_validator(mode="after")
    def _answer_is_an_option(self) -> ChoiceExercise:
        self._chosen(self.answer)
        return self

    def _chosen(self, answer: Any) -> set[str]:
        given = re.split(r"[\s,;]+", answer.strip()) if isinstance(answer, str) and len(answer) < 100 else answer
        given = [given] if isinstance(given, int) else given
        chosen = {str(item).strip().casefold() for item in given} if isinstance(given, list | tuple | set) else set()
        if not chosen or not chosen <= {option.casefold() for option in self.options}:
            raise ValueError(f"Choose from {', '.join(self.options)}, in quotes.")
        return chosen


class TextExercise(_Exercise):
    """A short text. Case, accents, spaces, quotes and a final point do not count."""

    kind: Literal["text"]
    answer: str | list[str]

    def is_right(self, answer: Any) -> bool:
        return any(self.matches(answer, a) for a in ([self.answer] if isinstance(self.answer, str) else self.answer))

    def matches(self, answer: Any, when: Any) -> bool:
        if not isinstance(answer, str) or len(answer) > LONGEST_ANSWER:
            raise ValueError("Give a short text, in quotes.")
        return _plain(answer) == _plain(str(when))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKD", text).replace("’", "'")
    text = "".join(c for c in text if not unicodedata.combining(c))
    return " ".join(text.split()).strip(" .!?\"'`«»“”").casefold()


class ExampleCall(BaseModel):
    """One call of the reader's function: the result it must give, and the hint when it does not."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    args: list[Any]
    result: Any
    say: str | None = None


class FunctionExercise(_Measured):
    """A function, called with each case's arguments; with ``arrays``, lists reach it as numpy arrays."""

    kind: Literal["function"]
    name: str
    cases: list[ExampleCall] = Field(min_length=1)
    arrays: bool = False
    feedback: tuple[()] = ()

    def judge(self, answer: Any) -> Correction:
        if not callable(answer):
            return Correction(False, f"Give the function itself: {self.name}, without parentheses.")
        for case in self.cases:
            args = [np.array(a) if self.arrays and isinstance(a, list) else copy.deepcopy(a) for a in case.args]
            shown = f"{self.name}({', '.join(map(repr, case.args))})"
            try:
                got = _call(answer, args)
                right = self.same(got, case.result)
            except (Exception, SystemExit, OutOfTime) as error:  # noqa: BLE001  the reader's code may raise anything
                return Correction(False, f"{shown} stops with {type(error).__name__}: {_line(error, str)}")
            if got is ...:
                return Correction(None, "Not answered yet.")
            if not right:
                return Correction(False, f"{shown} gives {_line(got, repr)}. {case.say or self.hint}")
        return Correction(True, self.why)


class OutOfTime(BaseException):
    """Not an Exception, so that the reader's ``except Exception`` does not hold it back."""


def _call(function: Callable[..., Any], args: list[Any]) -> Any:
    """ExampleCall the reader's function; an endless Python loop ends after CALL_SECONDS."""
    end = time.monotonic() + CALL_SECONDS

    def tracer(frame: FrameType, event: str, arg: Any) -> Any:
        if time.monotonic() > end:
            raise OutOfTime(f"no result after {CALL_SECONDS:g} seconds")
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        return function(*args)
    finally:
        sys.settrace(before)


def _line(value: Any, text: Callable[[Any], str]) -> str:
    """``value`` as one line of at most 80 characters."""
    try:
        line = " ".join(text(value).split())
    except Exception:  # noqa: BLE001  a class of the reader's may not even have a working repr
        line = f"a {type(value).__name__}"
    return line if len(line) <= 80 else line[:79] + "…"


def readings(answer: Any) -> list[float]:
    """Every number that ``answer`` can mean; ValueError when it can mean none.

    A comma is a decimal one, or, before groups of three digits, one of thousands: "1,000" has two readings.
    "12 %" is 12 or 0.12.
    """
    answer = answer.item() if isinstance(answer, np.generic) or getattr(answer, "shape", None) == () else answer
    values: list[float] = []
    if isinstance(answer, str) and len(answer) < 100:
        values = _written(re.sub(r"[\s_]", "", answer))
    elif isinstance(answer, numbers.Real | Decimal) and not isinstance(answer, bool):
        try:
            values = [float(answer)]
        except (OverflowError, ValueError):
            values = [math.inf]
    if not values:
        raise ValueError("Give one number.")
    if not all(map(math.isfinite, values)):
        raise ValueError("Give a finite number.")
    return values


def _written(text: str) -> list[float]:
    digits, share = text.removesuffix("%"), text.endswith("%")
    forms = {digits.replace(",", ".")}
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", digits):
        forms.add(digits.replace(",", ""))
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+", digits):
        forms.add(digits.replace(".", "").replace(",", "."))
    found = [float(f) for f in forms if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", f, re.IGNORECASE)]
    return found + [value / 100 for value in found if share]
