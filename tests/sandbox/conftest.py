"""The sandbox lane: hostile programs, and a screen. What this machine lacks is skipped, or fails where it is required.

Required are bubblewrap, Xvfb and a Python with tkinter: what ``.ci/install-sandbox`` installs. Of the other tiers, what
there is.
"""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from programs.judge.box import Tier

ADVICE = "On Debian: apt install bubblewrap xvfb xauth python3-tk"


def lacks(what: str) -> None:
    """Skip, or fail where the lane is required."""
    if "sandbox" in os.environ.get("WORKBOOK_REQUIRE", "").split(","):
        pytest.fail(f"{what}, and is required here (WORKBOOK_REQUIRE=sandbox). {ADVICE}")
    pytest.skip(f"{what}. {ADVICE}")


@pytest.fixture(scope="session")
def needs_tier() -> Callable[[Tier], None]:
    """Call it with a tier: it goes on where that is available."""

    def needs(tier: Tier) -> None:
        if tier.available:
            return
        if tier.name == "bubblewrap":
            lacks(f"the tier bubblewrap is not on this machine: {tier.why_not}")
        pytest.skip(f"the tier {tier.name} is not on this machine: {tier.why_not}")

    return needs


@pytest.fixture(scope="session")
def window_python() -> str:
    """A Python with tkinter, on a machine with Xvfb."""
    if not shutil.which("Xvfb"):
        lacks("Xvfb is not on this machine")
    for name in ("/usr/bin/python3", shutil.which("python3") or ""):
        if name and subprocess.run([name, "-I", "-c", "import tkinter"], capture_output=True).returncode == 0:
            return name
    lacks("no Python with tkinter is on this machine")
    raise AssertionError
