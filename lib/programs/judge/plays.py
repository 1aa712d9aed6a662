"""One game of a generated program, played in the sandbox, and what the driver saw of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from programs.judge import carried
from programs.judge.box import Ended

Count = Annotated[int, Field(ge=0, le=10**7)]
Short = Annotated[str, Field(max_length=1000)]
TIMEOUT_S = 40.0  # behind the driver's own limit


class Seen(BaseModel):
    """What the driver tells at the end of a game; checked, since it comes from the program's process."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    event: Literal["end"]
    how: Literal["done", "over", "no end", "exit", "failed", "exception", "imports", "missing", "slow"]
    error: Short | None
    frames: Count = 0
    drawn: Count = 0
    changes: Count = 0
    prints: Annotated[list[int], Field(max_length=1000)] = []
    first_key: Count | None = None
    steps: Count = 0
    eaten: Count = 0
    grown: Count = 0
    passed: Count = 0
    over: Annotated[list[Short], Field(max_length=10)] = []
    texts: Annotated[list[Short], Field(max_length=100)] = []
    phase: Short = "start"
    read: bool = False


@dataclass(frozen=True)
class Imports:
    """Whether the program's import statements work, and the module that is not there, if that is why not."""

    error: str | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Play:
    """One game. ``seen``: None where the driver could not report; ``why`` then says what happened."""

    ended: Ended
    imports: Imports | None
    seen: Seen | None
    why: str = field(default="")


def play(
    code: str, toolkit: str, kind: Literal["still", "steer"], seed: int, *,
    consent: bool, python: Path | None = None, tier: str | None = None,
) -> Play:  # fmt: skip
    """Play one game of ``code`` in the sandbox. Raises NoConsent, NoSandbox."""
    ended, secret = carried.run(
        "launch",
        code,
        {"play": kind, "seed": seed, "toolkit": toolkit},
        consent=consent,
        timeout_s=TIMEOUT_S,
        python=python,
        tier=tier,
        display=toolkit in ("turtle", "tkinter"),
    )
    return understood(ended, secret)


def understood(ended: Ended, secret: str) -> Play:
    """Read the driver's lines; a line without the secret was written by the program and is nothing."""
    imports, seen = None, None
    for line in ended.stdout.split(b"\n"):
        if not line.startswith(secret.encode() + b" "):
            continue
        try:
            said = json.loads(line[len(secret) + 1 :])
            if said.get("event") == "imports":
                imports = Imports(
                    said["error"] and str(said["error"])[:500], said["missing"] and str(said["missing"])[:100]
                )
            else:
                seen = Seen.model_validate(said)
        except (ValueError, ValidationError, KeyError, RecursionError, AttributeError):
            continue
    return Play(ended, imports, seen, "" if seen else _why(ended))


def _why(ended: Ended) -> str:
    last = ended.stderr.decode("utf-8", "replace").strip().split("\n")[-1][:300]
    return {
        "timeout": f"ran {ended.seconds:.0f} s without showing a frame or ending",
        "memory": "took more memory than it may",
        "output": "wrote more than it may",
        "harness": f"the sandbox failed: {ended.why or last}",
        "signal": f"was ended by signal {ended.code}",
    }.get(ended.how, f"ended without a report, exit code {ended.code}{': ' + last if last else ''}")
