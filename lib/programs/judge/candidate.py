"""A program in the sandbox, beside what plays its game or puts calls to it, and what that tells."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from programs.judge import box
from programs.judge.box import Ended

_START = """\
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "play.zip"))
from play import {module}
{module}.main(here)
"""


def run(module: str, code: str, asked: Mapping[str, Any], **how: Any) -> tuple[Ended, list[dict[str, Any]]]:
    """Let ``play.<module>`` do with ``code`` what is ``asked``: how that ended, and what it told, line by line.

    Its lines carry a secret that the program does not know; other lines are nothing. ``how``: as ``box.run`` takes it.
    Raises NoConsent, NoSandbox.
    """
    secret = secrets.token_hex(16)
    ended = box.run(
        _START.format(module=module),
        files={"candidate.py": code.encode("utf-8", "replace"), "play.zip": _drivers()},
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
    found: list[Any] = [None] * len(calls)
    problem = "it did not answer"
    for line in told:
        number = line.get("number")
        if "loaded" in line:
            problem = str(line["loaded"] or "")[:300]
        elif isinstance(number, int) and 0 <= number < len(calls):
            found[number] = line.get("answer")
    if ended.how != "exit":
        problem = f"it was stopped: {ended.how}"
    return ended, found, problem


@functools.cache
def _drivers() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted((Path(__file__).parent / "play").glob("*.py")):
            archive.writestr(zipfile.ZipInfo(f"play/{path.name}"), path.read_bytes())
    return made.getvalue()
