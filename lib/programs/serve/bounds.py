"""The whole numbers between two bounds, as a GBNF expression over their digits."""

from __future__ import annotations

_DIGITS = 16


def integers(low: int | None, high: int | None) -> str:
    """An expression for every integer from ``low`` to ``high`` (None: no bound, 16 digits at most).

    Raises ValueError when there is none, or a bound has more than 16 digits.
    """
    for bound in (low, high):
        if bound is not None and len(str(abs(bound))) > _DIGITS:
            raise ValueError(f"the bound {str(bound)[:20]} has more than {_DIGITS} digits")
    if low is not None and high is not None and high < low:
        raise ValueError(f"there is no integer from {low} to {high}")
    largest = 10**_DIGITS - 1
    parts = []
    if low is None or low < 0:
        nearest = 1 if high is None or high >= 0 else -high
        farthest = largest if low is None else -low
        parts.append(f'"-" ({_positive(nearest, farthest)})')
    if high is None or high >= 0:
        parts.append(_positive(max(low or 0, 0), largest if high is None else high))
    return " | ".join(parts)


def _positive(low: int, high: int) -> str:
    """Numbers from 0 on, without leading zeros, split where the count of digits changes."""
    parts = []
    while len(str(low)) < len(str(high)):
        end = 10 ** len(str(low)) - 1
        parts.append(_same_length(str(low), str(end)))
        low = end + 1
    parts.append(_same_length(str(low), str(high)))
    return " | ".join(parts)


def _same_length(low: str, high: str) -> str:
    if set(low[1:]) <= {"0"} and set(high[1:]) <= {"9"}:
        return f"{_digit(low[0], high[0])}{_any(len(low) - 1)}"
    if low[0] == high[0]:
        return f"{_digit(low[0], low[0])} ({_same_length(low[1:], high[1:])})"
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    parts = []
    if set(low[1:]) - {"0"}:
        parts.append(f"{_digit(low[0], low[0])} ({_same_length(low[1:], '9' * rest)})")
        first += 1
    end = []
    if set(high[1:]) - {"9"}:
        end.append(f"{_digit(high[0], high[0])} ({_same_length('0' * rest, high[1:])})")
        last -= 1
    if first <= last:
        parts.append(f"{_digit(str(first), str(last))}{_any(rest)}")
    return " | ".join(parts + end)


def _digit(low: str, high: str) -> str:
    return f"[{low}]" if low == high else f"[{low}-{high}]"


def _any(count: int) -> str:
    return "" if not count else " [0-9]" + (f"{{{count}}}" if count > 1 else "")
