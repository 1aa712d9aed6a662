"""Can this machine run the workbook, and what to do where it cannot.

No line holds a path, the name of this machine or of its user: the table may be shown and stored.
"""

from __future__ import annotations

import html
import platform
import textwrap
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

__all__ = ["Check", "Diagnosis", "main", "table", "versions"]

_DISTRIBUTIONS = {"llama_cpp": "llama-cpp-python", "yaml": "PyYAML", "sklearn": "scikit-learn", "PIL": "pillow"}

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


def versions(*names: str) -> str:
    """One line: the versions of Python and of the packages, which are named as they are imported."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {_version(name)}" for name in names)])


def _version(name: str) -> str:
    try:
        return metadata.version(_DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return "not installed"


def table() -> Diagnosis:
    """Look at the machine, the packages, the models and the engines; some seconds.

    llama.cpp is tried in another process, because one that was built for another processor ends its process.
    """
    from workbook.doctor import checks

    return Diagnosis((*checks.of_machine(), *checks.of_engines()))


def main() -> int:
    """Print the table. 1 if the workbook cannot run here, else 0."""
    diagnosis = table()
    print(diagnosis)
    return 1 if diagnosis.failed else 0
