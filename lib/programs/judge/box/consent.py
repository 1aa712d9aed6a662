"""The user's yes to running programs of others: said now, said by the environment, or said once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from workbook import paths
from workbook.errors import NoConsent

QUESTION = (
    "This runs a program that somebody else or a model wrote, contained: no network, no files but its own folder, "
    "limits on memory and time. Run such programs on this machine, now and later?"
)
YES = "yes\n"


def _file() -> Path:
    return paths.state() / "runs-programs-of-others"


def given(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the user said yes before: ``WORKBOOK_SANDBOX=yes``, or an answer that was kept."""
    if env.get("WORKBOOK_SANDBOX", "").lower() == "yes":
        return True
    try:
        return _file().read_text(encoding="utf-8") == YES
    except (OSError, ValueError):
        return False


def keep() -> None:
    """Keep the user's yes. It holds for the tiers that contain network, files and processes; never for weaker ones."""
    paths.write_whole(_file(), YES.encode())


def agreed(yes: bool, ask: Callable[[str], bool] | None = None) -> bool:
    """True after a yes: this one, one kept, or the answer to ``ask`` (a terminal's), which is then kept.

    Raises
    ------
    NoConsent : there is none.
    """
    if yes or given():
        return True
    if ask is None:
        raise NoConsent("this runs a program that somebody else or a model wrote. Agree to it with --yes.")
    if not ask(QUESTION):
        raise NoConsent("nothing was run.")
    keep()
    return True
