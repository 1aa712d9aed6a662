"""The lane itself: a missing sandbox skips it with a line that says so, and fails where it is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("required", "code", "says"),
    [("browser", 0, "bwrap is not installed"), ("contract,sandbox", 1, "required here (WORKBOOK_REQUIRE=sandbox)")],
)
def test_a_missing_sandbox_is_said(required, code, says):
    words = [
        sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "pytest_timeout",
        HERE / "test_hostile.py", HERE / "test_display.py", "-k", "bubblewrap-network or all_memory",
    ]  # fmt: skip
    env = {**os.environ, "PATH": "/nowhere", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "WORKBOOK_REQUIRE": required}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, cwd=HERE.parents[1])
    assert done.returncode == code, done.stdout
    assert says in done.stdout
    assert "Xvfb is not on this machine" in done.stdout
    assert "passed" not in done.stdout
