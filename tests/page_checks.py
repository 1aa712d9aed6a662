"""What every page must keep to. Each check takes a notebook and gives what is wrong with it, a line each."""

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from programs.site import check, normalize
from workbook import pages
from workbook.exercises import load

LONGEST_CELL, LONG_CELL = 25, 15
IGNORED_SHARE = 0.25
LARGEST_OUTPUTS = 2_000_000
IGNORE = "nbval-ignore-output"
NBVAL_COMMENT = re.compile(r"^\s*#\s*(NBVAL_|PYTEST_VALIDATE)", re.M)
ENDING = ["Takeaways", "What's next", "Sources"]
TAUGHT_ENDING = ["The decision", "What's next", "Sources"]
AS_BEFORE = {
    "21",
    "22",
    "23",
}  # not yet brought to the form that ``taught`` holds
CORE_WORDS, CORE_CELLS, FURTHER_SHARE = 1300, 18, 1 / 3
SKIPPING_TAGS = {"nbval-skip", "nbval-check-output", "skip-execution"}


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def tree(cell: Any) -> ast.Module:
    """The cell's syntax tree, with IPython's own syntax (%magic, !command) turned into Python first."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def stripped(notebook: Any) -> Iterator[str]:
    """Cells that print at their top level and have no stored output: a stripped page would pass every comparison."""
    for cell in code_cells(notebook):
        calls = [node.value for node in tree(cell).body if isinstance(node, ast.Expr)]
        names = {getattr(call.func, "id", "") for call in calls if isinstance(call, ast.Call)}
        if not cell.outputs and names & {"print", "check"}:
            yield f"cell {cell.id} shows something and has no stored output"


def short_cells(notebook: Any, limit: int = LONGEST_CELL) -> Iterator[str]:
    for cell in code_cells(notebook):
        lines = len(cell.source.splitlines())
        if lines > (3 * limit if "picture" in tags(cell) else limit):  # nobody has to read how a diagram is drawn
            yield f"cell {cell.id} has {lines} lines, more than {limit}"


def compared(notebook: Any, link: str) -> Iterator[str]:
    """Few outputs go uncompared on pages of theory and analysis, and nothing is skipped by a comment or tag."""
    cells = code_cells(notebook)
    ignored = [cell for cell in cells if IGNORE in tags(cell)]
    if link.startswith(("1_", "5_")) and len(ignored) > IGNORED_SHARE * len(cells):
        yield f"{len(ignored)} of {len(cells)} cells go uncompared, more than {IGNORED_SHARE:.0%}"
    for cell in cells:
        if NBVAL_COMMENT.search(cell.source):
            yield f"cell {cell.id} steers nbval by a comment: use a tag"
        if SKIPPING_TAGS & set(tags(cell)):
            yield f"cell {cell.id} is skipped by a tag"


def asserted(notebook: Any) -> Iterator[str]:
    """Every cell whose output is not compared is followed by an assert on a name that it assigned."""
    cells = code_cells(notebook)
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if IGNORE in tags(cell):
            made = assigned(tree(cell))
            if after is None or IGNORE in tags(after) or not asserts_on(tree(after), made):
                yield f"cell {cell.id}: the next cell asserts nothing of {', '.join(sorted(made)) or 'it: it assigns no name'}"


def assigned(module: ast.AST) -> set[str]:
    """Names that the code assigns, by whatever means, functions aside."""
    return {node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _used(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}


def asserts_on(module: ast.Module, names: set[str]) -> bool:
    """Whether an assert's condition depends on one of ``names``, directly or through what is made from them."""
    depends, before = set(names), -1
    while len(depends) != before:
        before = len(depends)
        for node in ast.walk(module):
            value = node.iter if isinstance(node, ast.For | ast.comprehension) else getattr(node, "value", None)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.For | ast.comprehension) and value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if _used(value) & depends:
                    depends |= {name for target in targets for name in assigned(target)}
    return any(isinstance(node, ast.Assert) and _used(node.test) & depends for node in ast.walk(module))


def skeleton(notebook: Any, page: pages.Page) -> Iterator[str]:
    """Title, aim, budget, prerequisites, what one can do after, versions, takeaways, what's next, sources."""
    nb: dict[str, Any] = {"cells": [{"cell_type": c.cell_type, "source": c.source} for c in notebook.cells]}
    head, text = pages.header(nb), "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    budget = f"*Time: {page.minutes:g} minutes · RAM: {pages.ram(page)} · Download: {pages.download(page)}*"
    if budget not in head.splitlines():
        yield f"its budget line is not the one that its metadata say: {budget}"
    if page.level not in pages.LEVELS:
        yield f"its level is {page.level!r}, none of {', '.join(pages.LEVELS)}"
    first = code_cells(notebook)[0]
    if "versions(" not in first.source or "Python 3." not in str(first.outputs):
        yield "its first code cell does not print versions"
    if not bullets(section(text, "Sources")):
        yield "it names no source"
    if page.is_evidence:
        return
    if "**Before this page**:" not in text:
        yield "it does not say what comes before it"
    promised = bullets(re.split(r"^#", text.partition("**After it you can**")[2], flags=re.M)[0])
    if not 3 <= promised <= 5:
        yield f"it promises {promised} things, not 3 to 5"
    wanted = ENDING if page.number in AS_BEFORE else TAUGHT_ENDING
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    ending = [name for name in headings if name in wanted]
    if ending != wanted or headings[-1] != wanted[-1]:
        yield f"it ends with {', '.join(headings[-3:])}, not {', '.join(wanted)}"
    took = bullets(section(text, "Takeaways"))
    if page.number in AS_BEFORE and took != promised:
        yield f"it promises {promised} things and takes {took} away"


def words(text: str) -> int:
    """How many words a reader reads: no addresses, formulas or tags."""
    for pattern, left in ((r"\]\([^)]*\)", "]"), (r"\$\$?[^$]+\$?\$", " x "), (r"<[^>]+>", " "), (r"```.*?```", " ")):
        text = re.sub(pattern, left, text, flags=re.S)
    return len(re.findall(r"\w[\w'\u2019./-]*", text))


def parts(notebook: Any) -> tuple[list[Any], list[Any]]:
    """The cells of the core, and those of "Going further"; what ends the page is in neither."""
    core: list[Any] = []
    further: list[Any] = []
    into: list[Any] | None = core
    for cell in notebook.cells:
        heading = re.match(r"## (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            name = heading[1]
            into = further if name == "Going further" else None if name in ("What's next", "Sources") else core
        if into is not None:
            into.append(cell)
    return core, further


def minutes(notebook: Any) -> int:
    """What a newcomer needs for the core: 130 words or 12 lines of code a minute, 4 minutes an exercise; up to the next 5."""
    core, _ = parts(notebook)
    n_words = sum(words(cell.source) for cell in core if cell.cell_type == "markdown")
    n_lines = sum(len(cell.source.splitlines()) for cell in visible(core))
    n_exercises = sum(is_exercise(cell) for cell in core)
    return 5 * math.ceil((n_words / 130 + n_lines / 12 + 4 * n_exercises) / 5)


def is_exercise(cell: Any) -> bool:
    return cell.cell_type == "code" and cell.source.startswith("# Exercise ")


def visible(cells: list[Any]) -> list[Any]:
    """The code that a reader is shown, exercises aside."""
    code = [cell for cell in cells if cell.cell_type == "code" and not is_exercise(cell)]
    return [cell for cell in code if not set(normalize.HIDDEN) & set(tags(cell))]


def taught(notebook: Any, page: pages.Page) -> Iterator[str]:
    """One picture, one decision, few words: what a newcomer finishes in the time that the page states."""
    core, further = parts(notebook)
    n_core, n_further = (sum(words(c.source) for c in cells if c.cell_type == "markdown") for cells in (core, further))
    if n_core > CORE_WORDS:
        yield f"its core has {n_core} words, more than {CORE_WORDS}"
    if n_further > FURTHER_SHARE * (n_core + n_further):
        yield f"Going further has {n_further} words of {n_core + n_further}, more than a third"
    shown = visible(core)
    if len(shown) > CORE_CELLS:
        yield f"its core shows {len(shown)} cells of code, more than {CORE_CELLS}"
    yield from (
        f"cell {cell.id} shows {len(cell.source.splitlines())} lines, more than {LONG_CELL}"
        for cell in shown
        if len(cell.source.splitlines()) > LONG_CELL
    )
    if "check" not in tags(code_cells(notebook)[0]):
        yield "its first code cell, of imports and versions, lacks the tag check"
    if page.minutes != minutes(notebook):
        yield f"it states {page.minutes:g} minutes, and its core takes {minutes(notebook)}"
    first = "".join(str(c.get("outputs", "")) for c in notebook.cells[: first_section(notebook)])
    if "image/" not in first:
        yield "no picture stands before its first section"
    for cell in code_cells(notebook):
        only = all(isinstance(node, ast.Assert | ast.Import | ast.ImportFrom) for node in tree(cell).body)
        if only and "check" not in tags(cell):
            yield f"cell {cell.id} only imports or asserts, and lacks the tag check"


def first_section(notebook: Any) -> int:
    """The place of the first cell with a heading of the second level."""
    return next(
        (
            i
            for i, c in enumerate(notebook.cells)
            if re.search(r"^## ", c.source, flags=re.M) and c.cell_type == "markdown"
        ),
        0,
    )


def section(text: str, heading: str) -> str:
    return re.split(r"^## ", text.partition(f"## {heading}\n")[2], flags=re.M)[0]


def bullets(text: str) -> int:
    return len(re.findall(r"^[-*] \S", text, flags=re.M))


def exercises(notebook: Any, folder: Path, page: pages.Page) -> Iterator[str]:
    """At least two, left unanswered, each with its answer in data/exercises."""
    if page.is_evidence:
        return
    file = folder / f"{page.path.stem}.yaml"
    known = set(load(file)) if file.is_file() else set()
    found = []
    for cell in code_cells(notebook):
        number = re.match(r"# Exercise (\d\d\.\d+)\. \S", cell.source)
        if number:
            found.append(number[1])
            if f'check("{number[1]}", ' not in cell.source or "..." not in cell.source:
                yield f"exercise {number[1]} is not left open, or checks another"
            if "Not answered yet" not in str(cell.outputs):
                yield f"exercise {number[1]} is stored answered"
    if len(found) < 2:
        yield f"it has {len(found)} exercises, fewer than two"
    if set(found) != known:
        yield f"its exercises are {found}, those in the file {sorted(known)}"
    yield from (f"exercise {number} is not of page {page.number}" for number in found if number[:2] != page.number)


def alt_texts(notebook: Any) -> Iterator[str]:
    for cell in code_cells(notebook):
        shown = any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if shown and len(alt.split()) < 4:
            yield f"cell {cell.id} shows a figure without words for who cannot see it"


def size(notebook: Any) -> Iterator[str]:
    total = sum(len(str(cell.outputs)) for cell in code_cells(notebook)) + len(
        str(notebook.metadata.get("widgets", ""))
    )
    if total > LARGEST_OUTPUTS:
        yield f"its outputs are {total / 1e6:.1f} MB, more than {LARGEST_OUTPUTS / 1e6:g}"


def problems(notebook: Any, page: pages.Page, folder: Path) -> list[str]:
    """All that is wrong with a page."""
    form = [] if page.number in AS_BEFORE or page.is_evidence else taught(notebook, page)
    return [
        *form, *stripped(notebook), *short_cells(notebook), *compared(notebook, page.link), *asserted(notebook),
        *skeleton(notebook, page), *exercises(notebook, folder, page), *alt_texts(notebook), *size(notebook),
        *check.check_page(normalize.dump(notebook), page.link),
    ]  # fmt: skip
