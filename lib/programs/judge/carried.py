"""What goes into the sandbox with a program: the drivers as one archive, and the few lines that start them."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from programs.judge import box
from programs.judge.box import Ended

_START = """\
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "drivers.zip"))
from drivers import {module}
{module}.main(here)
"""


def run(
    module: str, code: str, asked: Mapping[str, Any], *, consent: bool, timeout_s: float,
    python: Path | None, tier: str | None, display: bool = False,
) -> tuple[Ended, str]:  # fmt: skip
    """Let ``drivers.<module>`` do with ``code`` what is ``asked``, in the sandbox: how that ended, and its secret.

    What the driver says carries the secret; the program does not know it. Raises NoConsent, NoSandbox.
    """
    secret = secrets.token_hex(16)
    ended = box.run(
        _START.format(module=module),
        consent=consent,
        timeout_s=timeout_s,
        files={"candidate.py": code.encode(), "drivers.zip": archive()},
        stdin=json.dumps({"secret": secret, **asked}).encode() + b"\n",
        python=python,
        tier=tier,
        display=display,
    )
    return ended, secret


@functools.cache
def archive() -> bytes:
    """The drivers, the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive_:
        for path in sorted((Path(__file__).parent / "drivers").glob("*.py")):
            archive_.writestr(zipfile.ZipInfo(f"drivers/{path.name}"), path.read_bytes())
    return made.getvalue()


@functools.cache
def version() -> str:
    """Twelve digits that change with any file that decides on a grade: the grader and its drivers."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        if "box" not in path.relative_to(Path(__file__).parent).parts:
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]
