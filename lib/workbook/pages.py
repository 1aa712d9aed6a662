"""The pages of the workbook, in reading order, and what each says of itself."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbook import paths
from workbook.errors import BadPage

EVIDENCE = "9_evidence"
"""Where the proofs stand that the other pages link to."""

PARTS = {
    "": "Start",
    "1_theory": "Theory",
    "2_apis": "APIs",
    "3_hardware": "Hardware",
    "4_benchmarks": "Benchmarks",
    "5_analysis": "Analysis",
    EVIDENCE: "How we know",
}
"""Folder under ``notebooks/`` -> the heading its pages stand under."""

LEVELS = ("beginner", "intermediate", "advanced")

ENGINES = ("any", "embedded", "ollama")
"""What a page may run on: whatever answers, the model itself in process, or the real Ollama that it is about."""

FILE_NAME = re.compile(r"(\d\d)_[a-z0-9_]+\.ipynb")


@dataclass(frozen=True)
class Measured:
    """What one execution of a page cost, and where.

    ``seconds``: all cells, the kernel's start included. ``ram_gb`` (10^9 bytes): the page's process and its
    children at most, not a server elsewhere. ``machine`` in words; ``versions``: (package, version).
    ``sources``: the text of the page that was executed, as ``cost.digest`` gives it.
    """

    seconds: float
    ram_gb: float
    on: datetime.date
    machine: str
    engine: str
    model: str | None
    python: str
    versions: tuple[tuple[str, str], ...]
    sources: str

    @classmethod
    def of(cls, stated: Any) -> Measured | None:
        """The ``measured`` of a notebook's ``workbook`` metadata; None where it is absent or damaged."""
        try:
            raw = stated["measured"]
            texts = [raw[name] for name in ("machine", "engine", "python", "sources")]
            figures = float(raw["seconds"]), float(raw["ram_gb"])
            versions = tuple(sorted(raw["versions"].items()))
            texts += [text for pair in versions for text in pair] + [raw["model"]] * (raw["model"] is not None)
            if not all(isinstance(text, str) for text in texts) or not all(0 <= n < math.inf for n in figures):
                return None
            return cls(
                seconds=figures[0], ram_gb=figures[1], on=datetime.date.fromisoformat(raw["on"]),
                machine=raw["machine"], engine=raw["engine"], model=raw["model"], python=raw["python"],
                versions=versions, sources=raw["sources"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


@dataclass(frozen=True)
class Page:
    """One page. ``minutes`` is the reader's time; ``ram_gb`` (10^9 bytes) and ``download_mb`` (10^6) are budgets.

    ``engine``: one of ``ENGINES``: "embedded" (the page opens the model itself), "any" (it takes what ``connect()``
    finds), or the name of the one engine that the page is about. ``measured``: what it cost when it was refreshed.
    """

    path: Path
    link: str
    number: str
    title: str
    aim: str
    engine: str
    minutes: float
    ram_gb: float
    download_mb: float
    level: str
    measured: Measured | None = None

    @property
    def is_evidence(self) -> bool:
        """Whether this page proves what others say, and teaches nothing by itself."""
        return self.link.startswith(f"{EVIDENCE}/")

    @property
    def part(self) -> str:
        """The heading this page stands under."""
        folder = self.link.rpartition("/")[0]
        return PARTS.get(folder, folder)


def pages(folder: Path | None = None) -> list[Page]:
    """Every page under ``folder`` (the checkout's ``notebooks/``), in the order of their numbers.

    Raises BadPage for a notebook that cannot be read or that does not state its budget.
    """
    folder = folder or paths.notebooks()
    found = [path for path in folder.rglob("*.ipynb") if FILE_NAME.fullmatch(path.name) and not _hidden(path, folder)]
    return sorted((read(path, folder) for path in found), key=lambda page: (page.number, page.link))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read(path: Path, folder: Path) -> Page:
    """What the notebook at ``path`` says of itself. Raises BadPage."""
    link = path.relative_to(folder).as_posix()
    try:
        notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        head = header(notebook)
        stated = notebook["metadata"]["workbook"]
        title, aim = title_and_aim(head)
        if stated["engine"] not in ENGINES:
            raise ValueError(f"its engine is {stated['engine']!r}, none of {', '.join(ENGINES)}")
        return Page(
            path=path, link=link, number=path.name[:2], title=title, aim=aim, engine=str(stated["engine"]),
            minutes=float(stated["minutes"]), ram_gb=float(stated["ram_gb"]),
            download_mb=float(stated["download_mb"]), level=str(stated.get("level", LEVELS[0])),
            measured=Measured.of(stated),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise BadPage(f"{link} cannot be read as a page: {error}.") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise BadPage(
            f"{link} lacks {error}: its metadata need workbook.engine, minutes, ram_gb and download_mb."
        ) from None


def source(cell: dict[str, Any]) -> str:
    """A cell's text as it is stored: LF, no newline at the end. A file may hold it as a string or a list of lines."""
    text = cell["source"]
    text = text if isinstance(text, str) else "".join(text)
    return text.replace("\r\n", "\n").rstrip("\n")


def header(notebook: dict[str, Any]) -> str:
    """The Markdown before the first code cell."""
    texts = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            break
        texts.append(source(cell))
    return "\n\n".join(texts)


def title_and_aim(head: str) -> tuple[str, str]:
    """The title, and the paragraph after it on one line. Raises ValueError where one is missing."""
    title = re.match(r"\s*#\s+(\S.*)", head)
    if not title:
        raise ValueError("it does not begin with '# Title'")
    blocks = [block.strip() for block in re.split(r"\n\s*\n", head[title.end() :]) if block.strip()]
    if not blocks or blocks[0].startswith(("#", "*Time", "- ")):
        raise ValueError("no paragraph after the title says what the page is for")
    return title.group(1).strip(), " ".join(blocks[0].split())


def select(every: Sequence[Page], wanted: Sequence[str]) -> list[Page]:
    """The pages that ``wanted`` names by number ("11"), file name or path; all of them for no name.

    Raises BadPage for a name that fits none.
    """
    if not wanted:
        return list(every)
    chosen = []
    for name in wanted:
        stem = Path(name).name.removesuffix(".ipynb")
        fits = [page for page in every if stem in (page.number, page.path.stem)]
        if not fits:
            raise BadPage(f"There is no page {name!r}. Pages: {', '.join(page.number for page in every)}.")
        chosen += fits
    return [page for page in every if page in chosen]


def ram(page: Page) -> str:
    """The page's memory budget in words."""
    return f"{page.ram_gb:g} GB"


def download(page: Page) -> str:
    """The page's download budget in words."""
    return f"{page.download_mb:g} MB" if page.download_mb else "none"


@dataclass(frozen=True)
class MapTable:
    """The map of pages: a table with links where Markdown is shown, aligned text elsewhere."""

    pages: tuple[Page, ...]

    def _repr_markdown_(self) -> str:
        rows = ["| Page | About | Minutes | RAM | Level |", "|---|---|--:|--:|---|"]
        for page in self.pages:
            aim = first_sentence(page.aim).replace("|", "\\|")
            name = f"[{page.number} {page.title}]({page.link})"
            room = ram(page).replace(" ", "\u00a0")  # in a narrow column the number stays with its unit
            rows.append(f"| {name} | {aim} | {page.minutes:g} | {room} | {page.level} |")
        return "\n".join(rows)

    def __repr__(self) -> str:
        wide = max((len(page.title) for page in self.pages), default=0)
        return "\n".join(
            f"{page.number}  {page.title:<{wide}}  {page.minutes:>3g} min  {ram(page):>6}  {page.level}"
            for page in self.pages
        )


def first_sentence(text: str) -> str:
    """``text`` up to its first full stop, question or exclamation mark; of links their words: they hold elsewhere only."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    end = re.search(r"[.!?](?=\s+[A-Z]|$)", text)
    return text[: end.end()] if end else text


def map_table(every: Iterable[Page] | None = None) -> MapTable:
    """The map of the pages that teach, with links as page 00 needs them: relative to ``notebooks/``."""
    return MapTable(tuple(page for page in (pages() if every is None else every) if not page.is_evidence))
