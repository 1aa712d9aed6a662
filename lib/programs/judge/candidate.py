"""A program in the sandbox, beside what plays its game or puts calls to it, and what that tells."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from programs.judge import box
from programs.judge.box import Ended

PLAY = {f"play/{path.name}": path.read_bytes() for path in (Path(__file__).parent / "play").glob("*.py")}


def run(module: str, code: str, asked: Mapping[str, Any], **how: Any) -> tuple[Ended, list[dict[str, Any]]]:
    """Let ``play.<module>`` do with ``code`` what is ``asked``: how that ended, and what it told, line by line.

    Its lines carry a secret that the program does not know; other lines are nothing. ``how``: as ``box.run`` takes it.
    Raises NoConsent, NoSandbox.
    """
    secret = secrets.token_hex(16)
    ended = box.run(
        f"from play import {module}\n{module}.main()\n",
        files={"candidate.py": code.encode("utf-8", "replace"), **PLAY},
        stdin=json.dumps({"secret": secret, **asked}).encode() + b"\n",
        **how,
    )
    told = []
    for line in ended.stdout.split(b"\n"):
        if line.startswith(secret.encode() + b" "):
            with contextlib.suppress(ValueError, RecursionError):
                told.append(json.loads(line[len(secret) + 1 :]))
    return ended, [line for line in told if isinstance(line, dict)]


def answers(code: str, calls: Sequence[Sequence[Any]], **how: Any) -> tuple[Ended, list[Any], str]:
    """What the program answers to calls, None where it does not; and why it could not even be asked, or was stopped."""
    ended, told = run("calls", code, {"calls": calls}, timeout_s=15, **how)
    loaded = [line["loaded"] for line in told if "loaded" in line]
    found = {line["number"]: line.get("answer") for line in told if isinstance(line.get("number"), int)}
    problem = str(loaded[0] or "")[:300] if loaded else "it did not answer"
    if ended.how != "exit":
        problem = f"it was stopped: {ended.how}"
    return ended, [found.get(number) for number in range(len(calls))], problem
