"""The lane that runs the pages under nbval: each in the environment in which its outputs were stored."""

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a page's kernel starts: a folder of records for it alone, the stored look, the stored engine."""
    if item.path.suffix != ".ipynb":
        return
    from workbook.execute import SHOWN_ALIKE

    base = Path(os.environ.setdefault("NBVAL_SCRATCH", tempfile.mkdtemp(prefix="workbook-nbval-")))
    os.environ.update(SHOWN_ALIKE)
    os.environ.setdefault("WORKBOOK_ENGINE", "embedded")
    os.environ["WORKBOOK_RESULTS"] = str(base / item.path.stem / "results")
    os.environ["IPYTHONDIR"] = str(base / "ipython")
