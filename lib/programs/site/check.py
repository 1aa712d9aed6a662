"""What a stored page must keep to: no key, path or name of a machine, no large figure, run from the top."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image

from programs.site import cost, normalize
from workbook import leaks
from workbook.errors import BadPage
from workbook.pages import Page

WIDEST_PX = 1600
LARGEST_BYTES = 300_000


def check(pages: Sequence[Page], say: Callable[[str], None] = print) -> None:
    """Execute nothing: say what is wrong with each stored page. Raises BadPage if anything is."""
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
    problems = refusals(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        problems.append(f"its {len(code)} code cells are not numbered 1 to {len(code)}: it was not run from the top")
    if not any(cell.outputs for cell in code):
        problems.append("it has no outputs")
    problems += cost.problems(notebook)
    if not problems and normalize.dump(normalize.normalize(notebook)) != content:
        problems.append("it is not in the stored form: metadata of one execution, ids of widgets or the file's layout")
    return problems


def refusals(notebook: Any) -> list[str]:
    """Why ``notebook`` must not be stored, a line each: keys, names and paths of this machine, errors, figures."""
    figures = [
        f"cell {number} ({cell.get('id', 'no id')}) shows a figure {problem}"
        for number, cell in enumerate(notebook.cells, 1)
        for output in cell.get("outputs", [])
        for kind, text in output.get("data", {}).items()
        for problem in _figure(kind, text)
    ]
    return leaks.refusals(notebook) + figures


def _figure(kind: str, text: str) -> Iterator[str]:
    """What is wrong with a figure, if this is one."""
    if not kind.startswith("image/"):
        return
    content = text.encode()
    if kind != "image/svg+xml":
        try:
            content = base64.b64decode(text)
            with Image.open(io.BytesIO(content)) as picture:
                if picture.width > WIDEST_PX:
                    yield f"{picture.width} px wide, more than {WIDEST_PX}: give it a smaller figsize or dpi"
                picture.verify()
        except (OSError, SyntaxError, ValueError):  # what Pillow and base64 raise for damage
            yield f"that is no whole {kind.removeprefix('image/').upper()} file: draw it again"
    if len(content) > LARGEST_BYTES:
        yield f"of {len(content) / 1e3:.0f} kB, more than {LARGEST_BYTES / 1e3:.0f}: draw fewer points, or lower its dpi"
