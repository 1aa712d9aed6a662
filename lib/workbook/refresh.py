"""Make the stored pages again: execute, bring into one form, refuse what must not be stored, write whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from workbook import leaks, normalize, paths
from workbook.errors import BadPage, PageStopped
from workbook.execute import CELL_TIMEOUT_S, execute, reproducible
from workbook.pages import Page

Say = Callable[[str], None]


def refresh(pages: Sequence[Page], say: Say = print, cell_timeout_s: float = CELL_TIMEOUT_S) -> None:
    """Execute ``pages`` one after the other and store them; say what changed in each.

    A page that stops, or whose outputs must not be stored, is left as it was; the others go on.
    Raises BadPage at the end if there was one.
    """
    left = []
    for page in pages:
        say(f"{page.number}  {page.title} …")
        try:
            for line in refresh_page(page, cell_timeout_s):
                say(f"    {line}")
        except (BadPage, PageStopped) as error:
            left.append(page.number)
            say(f"    left as it was: {error}")
    if left:
        raise BadPage(f"Not refreshed: {', '.join(left)}. Mend the cells named above and refresh again.")


def refresh_page(page: Page, cell_timeout_s: float = CELL_TIMEOUT_S) -> list[str]:
    """Execute and store one page; what changed, in words. Raises PageStopped, BadPage."""
    before = normalize.load(page.path.read_bytes(), page.link)
    notebook = normalize.load(page.path.read_bytes(), page.link)
    engine = page.engine if page.engine not in ("any", "embedded") else "embedded"
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as scratch:
        # Each page gets a folder of records of its own: what another recorded must not reach its outputs.
        env = reproducible(Path(scratch) / "results", Path(scratch) / "ipython", engine)
        cost = execute(notebook, page.path.parent, env, cell_timeout_s)
    made = normalize.normalize(notebook)
    wrong = leaks.refusals(made)
    if wrong:
        raise BadPage("; ".join(wrong))
    paths.write_whole(page.path, normalize.dump(made))
    changed = list(differences(before, made)) or ["unchanged"]
    return [*changed, f"{cost.seconds:.0f} s, {cost.peak_rss_bytes / 1e6:.0f} MB at most"]


def check(pages: Sequence[Page], say: Say = print) -> None:
    """Execute nothing: hold each stored page against the stored form. Raises BadPage if one is not in it."""
    wrong = []
    for page in pages:
        problems = check_page(page.path.read_bytes(), page.link)
        wrong += [page.number] * bool(problems)
        for problem in problems:
            say(f"{page.link}: {problem}")
    if wrong:
        raise BadPage(f"Not as refresh leaves them: {', '.join(wrong)}. Run: workbook refresh {' '.join(wrong)}")
    say(f"{len(pages)} pages are as refresh leaves them.")


def check_page(content: bytes, name: str) -> list[str]:
    """What of a stored page is not as ``refresh`` would leave it, in words."""
    notebook = normalize.load(content, name)
    made = normalize.normalize(notebook)
    problems = list(differences(notebook, made)) + leaks.refusals(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        problems.append(f"its {len(code)} code cells are not numbered 1 to {len(code)}: it was not run from the top")
    if not any(cell.outputs for cell in code):
        problems.append("it has no outputs")
    if not problems and normalize.dump(made) != content:
        problems.append("its file is laid out differently (line ends, indents or order of keys)")
    return problems


def differences(old: Any, new: Any) -> Iterator[str]:
    """What differs between two notebooks, a line each, by cell."""
    parts = [key for key in sorted({*old.metadata, *new.metadata}) if old.metadata.get(key) != new.metadata.get(key)]
    for key in parts:
        yield f"metadata: {key}" + (" is taken out" if key not in new.metadata else " differs")
    if len(old.cells) != len(new.cells):
        yield f"{len(old.cells)} cells became {len(new.cells)}"
        return
    for number, (was, now) in enumerate(zip(old.cells, new.cells, strict=True), 1):
        found = [part for part in ("id", "source", "metadata", "execution_count") if was.get(part) != now.get(part)]
        found += list(_outputs(was.get("outputs", []), now.get("outputs", [])))
        if found:
            yield f"cell {number} ({now.id}): {', '.join(found)}"


def _outputs(old: list[Any], new: list[Any]) -> Iterator[str]:
    if old == new:
        return
    if len(old) != len(new):
        yield f"{len(old)} outputs became {len(new)}"
        return
    for was, now in zip(old, new, strict=True):
        if was != now:
            kinds = sorted({*was.get("data", {}), *now.get("data", {})}) or [now.get("name", now.output_type)]
            same = [kind for kind in kinds if was.get("data", {}).get(kind, 0) == now.get("data", {}).get(kind, 1)]
            yield "output " + ", ".join(kind for kind in kinds if kind not in same)
