"""One program, from consent to what it left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from workbook.errors import NoConsent
from workbook.grading.sandbox.types import Ended, Tier


def tiers() -> tuple[Tier, ...]:
    """The tiers of this machine, strongest first, available or not."""
    raise NotImplementedError


def run(
    program: Path | str,
    *,
    consent: bool,
    timeout_s: float = 30,
    args: Sequence[str] = (),
    files: Mapping[str, bytes] = {},
    stdin: bytes = b"",
    python: Path | None = None,
    tier: str | None = None,
    weak: bool = False,
    display: bool = False,
    pty: bool = False,
    keys: Sequence[tuple[float, bytes]] = (),
    memory_mb: int = 1024,
    packages: bool = True,
) -> Ended:
    """Run ``program`` (a path, or the code itself as text) contained.

    Parameters
    ----------
    keys : with ``pty``: bytes typed at seconds after the start.

    Raises
    ------
    NoConsent, NoSandbox
    """
    if not consent:
        raise NoConsent("a program of others is run only after a yes: consent=True, or --yes.")
    raise NotImplementedError
