"""The lane itself: a missing sandbox skips it with a line that says so, and fails where it is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def lane(**more: str) -> tuple[int, str]:
    """Run two tests of the lane on a path that leads to no program."""
    env = {name: value for name, value in os.environ.items() if name not in {"PATH", "WORKBOOK_REQUIRE"}}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "pytest_timeout",
         str(HERE / "test_hostile.py"),
         str(HERE / "test_display.py"), "-k", "bubblewrap-tcp_out or all_memory or without_asking"],
        env={**env, "PATH": "/nowhere", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}, capture_output=True, text=True, timeout=120, cwd=HERE.parents[1],
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("asked", "ended", "said"),
    [
        ("", 0, "bwrap is not installed"),
        ("browser", 0, "Xvfb is not on this machine"),
        ("contract,sandbox", 1, "required here (WORKBOOK_REQUIRE=sandbox)"),
    ],
)
def test_a_missing_sandbox_is_said(asked, ended, said):
    code, out = lane(WORKBOOK_REQUIRE=asked)
    assert code == ended, out
    assert said in out
    assert "passed" not in out
