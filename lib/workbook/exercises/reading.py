"""Reading what a reader gives: numbers as people write them, functions that may do anything."""

from __future__ import annotations

import math
import numbers
import re
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from types import FrameType
from typing import Any

import numpy as np

CALL_SECONDS = 5.0


class OutOfTime(BaseException):
    """Not an Exception, so that the reader's ``except Exception`` does not hold it back."""


def call(function: Callable[..., Any], args: list[Any]) -> Any:
    """Call the reader's function; an endless Python loop ends after CALL_SECONDS."""
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


def line(value: Any, text: Callable[[Any], str]) -> str:
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
