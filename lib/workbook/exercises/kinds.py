"""The kinds of exercises: what an entry of ``data/exercises/<page>.yaml`` holds, and how it judges an answer."""

from __future__ import annotations

import copy
import numbers
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from workbook.exercises.reading import OutOfTime, call, line, readings

LONGEST_ANSWER = 10_000  # characters; a longer text is no answer, and normalising it would take its time


@dataclass(frozen=True)
class Verdict:
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

    def judge(self, answer: Any) -> Verdict:
        """The verdict on ``answer``, with the hint that fits."""
        try:
            if self.is_right(answer):
                return Verdict(True, self.why)
            said = next((f.say for f in self.feedback if self.matches(answer, f.when)), self.hint)
        except ValueError as error:
            said = str(error)
        return Verdict(False, said)

    @model_validator(mode="after")
    def _feedback_is_reached(self) -> _Exercise:
        for foreseen in self.feedback:
            if self.judge(foreseen.when) != Verdict(False, foreseen.say):
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


class Number(_Measured):
    """One number. Texts are read too, with a decimal point or comma; "12 %" is 12 or 0.12."""

    kind: Literal["number"]
    answer: float

    def is_right(self, answer: Any) -> bool:
        return self.matches(answer, self.answer)

    def matches(self, answer: Any, when: Any) -> bool:
        return any(self.close(value, float(when)) for value in readings(answer))


class Choice(_Exercise):
    """One of the ``options``, or several: ``answer`` is then a list."""

    kind: Literal["choice"]
    options: list[str]
    answer: str | list[str]

    def is_right(self, answer: Any) -> bool:
        return self._chosen(answer) == self._chosen(self.answer)

    def matches(self, answer: Any, when: Any) -> bool:
        return self._chosen(answer) == self._chosen(when)

    @model_validator(mode="after")
    def _answer_is_an_option(self) -> Choice:
        self._chosen(self.answer)
        return self

    def _chosen(self, answer: Any) -> set[str]:
        given = re.split(r"[\s,;]+", answer.strip()) if isinstance(answer, str) and len(answer) < 100 else answer
        given = [given] if isinstance(given, int) else given
        chosen = {str(item).strip().casefold() for item in given} if isinstance(given, list | tuple | set) else set()
        if not chosen or not chosen <= {option.casefold() for option in self.options}:
            raise ValueError(f"Choose from {', '.join(self.options)}, in quotes.")
        return chosen


class Text(_Exercise):
    """A short text. Case, accents, spaces, quotes and a final point do not count unless they are asked for."""

    kind: Literal["text"]
    answer: str | list[str]
    case: bool = False
    accents: bool = False

    def is_right(self, answer: Any) -> bool:
        return any(self.matches(answer, a) for a in ([self.answer] if isinstance(self.answer, str) else self.answer))

    def matches(self, answer: Any, when: Any) -> bool:
        if not isinstance(answer, str) or len(answer) > LONGEST_ANSWER:
            raise ValueError("Give a short text, in quotes.")
        return self._plain(answer) == self._plain(str(when))

    def _plain(self, text: str) -> str:
        text = unicodedata.normalize("NFKC", text).replace("’", "'")
        if not self.accents:
            text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        text = " ".join(text.split()).strip(" .!?\"'`«»“”")
        return text if self.case else text.casefold()


class Array(_Measured):
    """An array, or nested lists of numbers. ``dtype``: a kind ("float", "int", "bool") or one type ("float32")."""

    kind: Literal["array"]
    answer: list[Any]
    dtype: str | None = None

    @model_validator(mode="after")
    def _answer_is_an_array(self) -> Array:
        if np.asarray(self.answer).dtype.kind not in "biuf":  # ragged rows raise ValueError, which is refused too
            raise ValueError("answer is an array of numbers")
        return self

    def is_right(self, answer: Any) -> bool:
        return self.matches(answer, self.answer)

    def matches(self, answer: Any, when: Any) -> bool:
        try:
            got, want = np.asarray(answer), np.asarray(when)
        except ValueError:
            raise ValueError("The rows of your array differ in length.") from None
        if got.dtype.kind not in "biuf" or got.ndim == 0:
            raise ValueError("Give an array of numbers.")
        if got.shape != want.shape:
            raise ValueError(f"Your array has the shape {got.shape}; {want.shape} is asked for.")
        kinds = {"float": "f", "int": "iu", "bool": "b"}
        if self.dtype and not (got.dtype.kind in kinds[self.dtype] if self.dtype in kinds else got.dtype == self.dtype):
            raise ValueError(f"Your array holds {got.dtype}; {self.dtype} is asked for.")
        return self.same(got, want.tolist())


class Case(BaseModel):
    """One call of the reader's function: the result it must give, and the hint when it does not."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    args: list[Any]
    result: Any
    say: str | None = None


class Function(_Measured):
    """A function, called with each case's arguments; with ``arrays``, lists reach it as numpy arrays."""

    kind: Literal["function"]
    name: str
    cases: list[Case] = Field(min_length=1)
    arrays: bool = False
    feedback: tuple[()] = ()

    def judge(self, answer: Any) -> Verdict:
        if not callable(answer):
            return Verdict(False, f"Give the function itself: {self.name}, without parentheses.")
        for case in self.cases:
            args = [np.array(a) if self.arrays and isinstance(a, list) else copy.deepcopy(a) for a in case.args]
            shown = f"{self.name}({', '.join(map(repr, case.args))})"
            try:
                got = call(answer, args)
                right = self.same(got, case.result)
            except (Exception, SystemExit, OutOfTime) as error:  # noqa: BLE001  the reader's code may raise anything
                return Verdict(False, f"{shown} stops with {type(error).__name__}: {line(error, str)}")
            if got is ...:
                return Verdict(None, "Not answered yet.")
            if not right:
                return Verdict(False, f"{shown} gives {line(got, repr)}. {case.say or self.hint}")
        return Verdict(True, self.why)
