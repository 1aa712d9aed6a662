"""Calls put to a generated program in the sandbox; the answers are judged in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.judge import carried, contract
from programs.judge.box import Ended
from programs.judge.checkers import FunctionDoes, Judged

TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Answers:
    """What came back: the answers by call, None where there is none; ``problem``: why it could not even be asked."""

    ended: Ended
    answers: list[Any]
    problem: str = ""


def ask(
    code: str, calls: Sequence[Sequence[Any]], *, consent: bool, python: Path | None = None, tier: str | None = None
) -> Answers:
    """Load ``code`` in the sandbox and put the calls to it. Raises NoConsent, NoSandbox."""
    asked = {"calls": calls}
    ended, secret = carried.run(
        "answering", code, asked, consent=consent, timeout_s=TIMEOUT_S, python=python, tier=tier
    )
    return _read(ended, secret, len(calls))


def _read(ended: Ended, secret: str, count: int) -> Answers:
    answers: list[Any] = [None] * count
    problem: str | None = "it did not answer" if ended.how == "exit" else f"it was stopped: {ended.how}"
    for line in ended.stdout.split(b"\n"):
        if not line.startswith(secret.encode() + b" "):
            continue
        try:
            said = json.loads(line[len(secret) + 1 :])
            if "loaded" in said:
                problem = said["loaded"] and str(said["loaded"])[:300]
            elif isinstance(said.get("number"), int) and 0 <= said["number"] < count:
                answers[said["number"]] = said["answer"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    if not problem and ended.how != "exit":
        problem = f"it was stopped: {ended.how}"
    return Answers(ended, answers, problem or "")


def function(checker: FunctionDoes, answers: Answers) -> Judged:
    """Judge the answers to a function's cases."""
    right = [
        isinstance(got, dict) and got.keys() == {"value"} and agrees(got["value"], json.loads(json.dumps(case.want)))
        for case, got in zip(checker.cases, answers.answers, strict=True)
    ]
    checks = {f"case {i}": ok for i, ok in enumerate(right, 1)}
    reason = answers.problem
    if not reason and not all(right):
        first = right.index(False)
        got = answers.answers[first]
        gave = f"raises {got['raised']}" if isinstance(got, dict) and "raised" in got else "gives something else"
        reason = f"{right.count(True)} of {len(right)} cases right; case {first + 1} {gave}"
    return Judged(all(right), checks, reason)


def agrees(got: Any, want: Any) -> bool:
    """Whether a value is the right one: 3.0 is 3, up to rounding, but True is not 1 and "3" is not 3."""
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(agrees, got, want))
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(agrees(got[k], want[k]) for k in want)
    if isinstance(want, bool | str | None):
        return type(got) is type(want) and bool(got == want)
    number = isinstance(got, int | float) and not isinstance(got, bool)
    return number and (got == want or abs(got - want) <= 1e-9 * max(1.0, abs(want)))


def snake_contract(answers: Answers) -> Judged:
    """Judge the answers to the contract's hidden games."""
    checks, wrong = contract.judged(answers.answers)
    return Judged(all(checks.values()), checks, answers.problem or wrong)


def contract_calls() -> list[list[Any]]:
    """All calls of the contract's hidden games, in order."""
    return [call for game in contract.games() for call in game.calls()]
