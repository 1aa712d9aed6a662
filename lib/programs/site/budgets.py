"""What a page may cost and what it did cost: stated by its author, measured where it ran, held against each other."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbook import hardware, models, pages
from workbook.pages import Measured, Page

if TYPE_CHECKING:
    from programs.site.execute import Cost
    from workbook.engines import Info

RUN_ALL_S = 60
"""Seconds that Run All may take on two cores and 8 GB."""

SAME = 0.25
"""Two figures that differ by less than this part of the first one say the same."""

PACKAGES = ("anywidget", "llama-cpp-python", "matplotlib", "numpy", "ollama")
"""The packages whose versions can change what a page shows or costs."""


@dataclass(frozen=True)
class Ran:
    """What a page ran on. ``server``: the version of a server, where there is one. None: not known."""

    engine: str
    model: str | None
    server: str | None = None

    @classmethod
    def embedded(cls) -> Ran:
        """The engine in process, on the packaged model."""
        return cls("embedded", models.SMOLLM2.removesuffix(".gguf"))

    @classmethod
    def on(cls, info: Info) -> Ran:
        """What ``connect()`` found."""
        if info.engine == "embedded":
            # It calls the packaged model as Ollama does; its file's name says the quantization too.
            return cls.embedded() if info.model == "smollm2:135m" else cls("embedded", info.model)
        return cls(info.engine, info.model, info.engine_version)


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


def measured(notebook: Any, cost: Cost, ran: Ran, machine: str) -> Measured:
    """What the execution of ``notebook`` cost, today: seconds to two figures, RAM to 0.01 GB."""
    versions = dict(_versions())
    if ran.server:
        versions[f"{ran.engine} server"] = ran.server
    return Measured(
        seconds=float(f"{cost.seconds:.2g}"), ram_gb=round(cost.peak_rss_bytes / 1e9, 2), on=datetime.date.today(),
        machine=machine, engine=ran.engine, model=ran.model, python=platform.python_version(),
        versions=tuple(sorted(versions.items())), sources=digest(notebook),
    )  # fmt: skip


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def steady(new: Measured, old: Measured | None) -> Measured:
    """``new`` with those figures of ``old`` that it does not contradict, so that a second refresh changes nothing.

    Seconds and RAM stay as they were recorded where the new figure is within a quarter of it, the page's text did
    not change, and it ran on the same machine, engine and model. The date is always the new one.
    """
    if old is None or any(
        getattr(new, name) != getattr(old, name) for name in ("sources", "machine", "engine", "model")
    ):
        return new
    kept = {
        name: getattr(old, name)
        for name in ("seconds", "ram_gb")
        if abs(getattr(new, name) - getattr(old, name)) <= SAME * getattr(old, name)
    }
    return dataclasses.replace(new, **kept)


def record(notebook: Any, cost: Measured | None) -> None:
    """Write ``cost`` into the notebook's metadata; None takes away what another execution left there."""
    stated = notebook.metadata["workbook"]
    stated.pop("measured", None)
    if cost is not None:
        stated["measured"] = {
            **dataclasses.asdict(cost), "on": cost.on.isoformat(), "versions": dict(cost.versions)
        }  # fmt: skip


def past(page: Page, cost: Cost) -> list[str]:
    """Where an execution went past what the page may cost, in words; nothing fails for it."""
    limits = {f"{page.minutes:g} minutes": 60 * page.minutes, f"{RUN_ALL_S} s": RUN_ALL_S}
    over = [f"{cost.seconds:.0f} s, the limit is {words}" for words, most in limits.items() if cost.seconds > most]
    if cost.peak_rss_bytes > 1e9 * page.ram_gb:
        over.append(f"{cost.peak_rss_bytes / 1e9:.2f} GB of RAM, stated {pages.ram(page)}")
    return over


def problems(notebook: Any) -> list[str]:
    """What is wrong with a stored page's budget and its recorded cost, a line each. Time is not judged here."""
    stated = notebook.metadata.get("workbook", {})
    found = []
    for name, least in (("minutes", "more than 0"), ("ram_gb", "more than 0"), ("download_mb", "0 or more")):
        value = stated.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        if not number or (value == 0 and least != "0 or more"):
            found.append(f"its budget says {name} = {value!r}: state a number, {least}")
    cost = Measured.of(stated)
    if cost is None:
        return [*found, "what it costs is not recorded, or cannot be read: refresh it"]
    if cost.sources != digest(notebook):
        found.append("its recorded cost is older than its text: refresh it")
    if not found and cost.ram_gb > stated["ram_gb"]:
        found.append(f"it took {cost.ram_gb:g} GB of RAM and states {stated['ram_gb']:g}: state more, or use less")
    return found
