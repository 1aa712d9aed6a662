"""Formulas as MathML, which every browser draws by itself: no script, no font, nothing to fetch."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

ALIGNED = re.compile(r"\\(begin|end)\{(?:aligned|align\*?|gather\*?|gathered|multline\*?)\}")
NAMED = "<mi>(?:sin|cos|tan|exp|ln|log)</mi>"  # functions: a thin space before and after, unless a sign stands there
APPLIED, APPLYING = re.compile(rf"({NAMED})(?=<m(?!o|space))"), re.compile(rf"(</(?:mi|msub)>)(?={NAMED})")
BAR = re.compile(r'<mo(?: stretchy="false")?>(&#x0007C;|\|)</mo>')  # |x|: close to what it holds
ARROW = re.compile(r"<mi>(&#x0(?:21[9A-F]|27F)[0-9A-F];)</mi>")  # latex2mathml takes some arrows for names
UNKNOWN = re.compile(r"\\|&(?!#?\w+;)")  # a command left as text, or a column mark outside a table


def rewritten(latex: str, display: str) -> str:
    """The formula in the environments that latex2mathml draws."""
    latex = re.sub(r"\\(begin|end)\{equation\*?\}", "", latex.strip())
    latex = ALIGNED.sub(r"\\\1{split}", latex)
    if display == "block" and r"\\" in latex and r"\begin{" not in latex:
        latex = rf"\begin{{split}}{latex}\end{{split}}"
    return latex


def mathml(node: nodes.Element, display: str) -> str:
    """The formula of ``node`` as MathML; one that cannot be converted is a warning, and shown as it is written."""
    latex = node.astext()
    try:
        made = str(convert(rewritten(latex, display), display=display))
    except Exception as error:  # noqa: BLE001  latex2mathml raises whatever its parser meets
        logger.warning("formula not understood (%s): %s", type(error).__name__, latex, location=node)
        return f"<code>{html.escape(latex)}</code>"
    made = re.sub(r">\\([{}|])<", r">\1<", made)  # a brace after \Big keeps its backslash
    made = BAR.sub(r'<mo lspace="0" rspace="0" stretchy="false">\1</mo>', made)
    made = ARROW.sub(r"<mo>\1</mo>", made)
    for place in (APPLIED, APPLYING):
        made = place.sub(r'\1<mspace width="0.167em"/>', made)
    if UNKNOWN.search(re.sub(r"<[^>]*>", "", made)):
        logger.warning("formula holds what MathML has no sign for: %s", latex, location=node)
    return made


def visit_inline(writer: Any, node: nodes.math) -> None:
    """A formula within a line."""
    writer.body.append(f'<span class="math notranslate">{mathml(node, "inline")}</span>')
    raise nodes.SkipNode


def visit_block(writer: Any, node: nodes.math_block) -> None:
    """A formula on lines of its own, with its number if it has one."""
    writer.body.append(writer.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})</span>')
    writer.body.append(mathml(node, "block") + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
