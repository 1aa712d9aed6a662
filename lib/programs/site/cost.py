"""What a page cost where it ran: measured, recorded in its metadata, held against what its author states."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import platform
from typing import Any

from programs.site.execute import Cost
from workbook import hardware, models, pages
from workbook.engines import Info
from workbook.pages import Measured, Page

RUN_ALL_S = 60  # that Run All may take on two cores and 8 GB
PACKAGES = (
    "anywidget",
    "llama-cpp-python",
    "matplotlib",
    "numpy",
    "ollama",
    "xllamacpp",
)  # that change what a page shows or costs


def embedded() -> Info:
    """The engine in process, on the packaged model."""
    return Info("embedded", None, models.SMOLLM2.removesuffix(".gguf"), "")


def digest(notebook: Any) -> str:
    """The page's text in 16 letters: kinds and sources of its cells, so that new outputs do not change it."""
    text = json.dumps([[cell["cell_type"], pages.source(cell)] for cell in notebook["cells"]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def this_machine() -> str:
    """This machine without its name: cores, memory in GB (10^9 bytes), system, processor; what a container allows."""
    found = hardware.machine()
    ram = found.ram_limit_bytes or found.ram_total_bytes
    cores = f"{found.cores_usable} core{'s' * (found.cores_usable > 1)}"
    cpu = f", {found.cpu_model}" if found.cpu_model else ""
    return f"{cores}, {ram / 1e9:.0f} GB RAM, {platform.system()} {found.arch}{cpu}"


def measured(notebook: Any, cost: Cost, engine: Info, machine: str) -> Measured:
    """What the execution of ``notebook`` cost, today: seconds to two figures, RAM to 0.01 GB."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    if engine.engine != "embedded" and engine.engine_version:
        versions[f"{engine.engine} server"] = engine.engine_version
    return Measured(
        seconds=float(f"{cost.seconds:.2g}"), ram_gb=round(cost.peak_rss_bytes / 1e9, 2), on=datetime.date.today(),
        machine=machine, engine=engine.engine, model=engine.model or None, python=platform.python_version(),
        versions=tuple(sorted(versions.items())), sources=digest(notebook),
    )  # fmt: skip


def record(notebook: Any, cost: Measured | None) -> None:
    """Write ``cost`` into the notebook's metadata; None takes away what another execution left there."""
    stated = notebook.metadata["workbook"]
    stated.pop("measured", None)
    if cost is not None:
        fields = dataclasses.asdict(cost)
        stated["measured"] = fields | {"on": cost.on.isoformat(), "versions": dict(cost.versions)}


def past(page: Page, cost: Cost) -> list[str]:
    """Where an execution went past what the page may cost, in words; nothing fails for it."""
    over = [f"{cost.seconds:.0f} s, the limit is {RUN_ALL_S} s"] if cost.seconds > RUN_ALL_S else []
    if cost.peak_rss_bytes > 1e9 * page.ram_gb:
        over.append(f"{cost.peak_rss_bytes / 1e9:.2f} GB of RAM, stated {pages.ram(page)}")
    return over


def problems(notebook: Any) -> list[str]:
    """What is wrong with a stored page's recorded cost. Time is not judged: machines differ."""
    stated = notebook.metadata.get("workbook", {})
    cost = Measured.of(stated)
    if cost is None:
        return ["what it costs is not recorded, or cannot be read: refresh it"]
    if cost.sources != digest(notebook):
        return ["its recorded cost is older than its text: refresh it"]
    if cost.ram_gb > stated["ram_gb"]:
        return [f"it took {cost.ram_gb:g} GB of RAM and states {stated['ram_gb']:g}: state more, or use less"]
    return []
