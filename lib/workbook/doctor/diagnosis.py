"""What the doctor found, as a table in text and in HTML."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from typing import Literal

Status = Literal["OK", "warn", "fail"]
_WIDTH = 110


@dataclass(frozen=True)
class Check:
    """One row. ``status``: OK; warn (it works, and something is worth knowing); fail (the workbook cannot run).

    ``advice`` is what to do; every row that is not OK has one.
    """

    name: str
    value: str
    status: Status = "OK"
    advice: str = ""

    def __post_init__(self) -> None:
        if self.status != "OK" and not self.advice:
            raise ValueError(f"{self.name}: a row that is not OK says what to do")


def judged(name: str, value: str, *rules: tuple[object, Status, str]) -> Check:
    """The row of that name. The first rule (whether it holds, status, advice) that holds decides."""
    status, advice = next(((status, advice) for holds, status, advice in rules if holds), ("OK", ""))
    return Check(name, value, status, advice)


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """All rows."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> bool:
        """Whether the workbook cannot run here."""
        return any(check.status == "fail" for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        """The row of that name. Raises KeyError."""
        return {check.name: check for check in self.checks}[name]

    def __str__(self) -> str:
        wide = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            start = f"{check.status:<4}  {check.name:<{wide}}  "
            indent = " " * len(start)
            lines += textwrap.wrap(
                check.value, _WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False
            )
            if check.advice:
                lines += textwrap.wrap(check.advice, _WIDTH, initial_indent=f"{indent}→ ", subsequent_indent=indent)
        return "\n".join([*lines, "", self.verdict()])

    __repr__ = __str__

    def verdict(self) -> str:
        """The whole in one sentence."""
        bad = [check.name for check in self.checks if check.status == "fail"]
        warned = [check.name for check in self.checks if check.status == "warn"]
        if bad:
            return f"The workbook cannot run here yet. Fix first: {', '.join(bad)}."
        return "The workbook runs here." + (f" Worth a look: {', '.join(warned)}." if warned else "")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(c.status)}</td><td>{html.escape(c.name)}</td>"
            f'<td style="text-align:left">{html.escape(c.value)}</td>'
            f'<td style="text-align:left">{html.escape(c.advice)}</td></tr>'
            for c in self.checks
        )
        head = "<tr><th></th><th>what</th><th>found</th><th>what to do</th></tr>"
        verdict = html.escape(self.verdict())
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table><p>{verdict}</p>"
