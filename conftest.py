"""The lane that runs the pages under nbval: each in the environment in which its outputs were stored."""

import os
import shutil
from pathlib import Path

import pytest

# Read before the first page changes it; the lane may name a folder, pages never share one.
SCRATCH = Path(os.environ.get("WORKBOOK_RESULTS") or Path(__file__).parent / "build" / "nbval").absolute()
STARTED: set[Path] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how long a test took: ``make test`` shows the slowest of all its lanes."""
    times = os.environ.get("WORKBOOK_TIMES")
    if times and "PYTEST_XDIST_WORKER" not in os.environ:
        with open(times, "a", encoding="utf-8") as file:
            file.write(f"{report.duration:7.1f}  {report.when:8}  {report.nodeid}\n")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a page's kernel starts: an empty folder of records for it alone, the stored look, the stored engine."""
    if item.path.suffix != ".ipynb" or item.path in STARTED:
        return
    from programs.site.execute import SHOWN_ALIKE
    from workbook import paths

    STARTED.add(item.path)
    mine = SCRATCH / f"nbval-{item.path.stem}"
    shutil.rmtree(mine, ignore_errors=True)
    os.environ.update(paths.environment(os.environ) | SHOWN_ALIKE)
    os.environ.setdefault("WORKBOOK_ENGINE", "embedded")
    os.environ.setdefault("WORKBOOK_SANDBOX", "yes")  # as in the stored outputs; a reader has to say it
    os.environ["WORKBOOK_RESULTS"] = str(mine / "results")
    os.environ["IPYTHONDIR"] = str(mine / "ipython")
