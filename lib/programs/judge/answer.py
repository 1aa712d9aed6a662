"""What an answer holds: the program in it, or its words without thinking and Markdown.

1. Fenced blocks (``` or ~~~, any indentation, with or without a language). Those of another language are left out.
   A fence that opens while another is open closes it. A block that never closes was cut.
2. Of several blocks: the largest that parses. It is joined with the others, in their order, where it reads a name
   that only they bind, or where it runs nothing and a later one calls what it defines. Where none parses alone, all
   of them together, if that parses; else the largest as it is.
3. Without a fence: the first stretch of lines that begins like a program and parses.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import textwrap
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

Shape = Literal["one block", "several blocks", "no fence", "none", "truncated"]

LONGEST = 400_000  # characters of an answer that are read: ten times the longest program a model writes
_BUDGET = 1_000_000  # characters that are parsed in search of code without fences
_PYTHON = {"", "python", "python3", "py", "py3", "python2", "pygame", "turtle", "ipython", "code"}
_FENCED = re.compile(  # it ends at a bare fence, before one that opens another block, or where the answer is cut
    r"^[ \t]*(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)\n(?P<code>.*?)"
    r"(?:^[ \t]*(?P=mark)[`~]*[ \t]*$|(?=^[ \t]*(?P=mark)[`~]*[^`\n]*$)|(?P<cut>\Z))",
    re.MULTILINE | re.DOTALL,
)
_BEGINS = re.compile(r"^(import |from \w[\w.]* import |def |class |async def |@\w|#!|if __name__|\w+ *= *\S)")
_THINKS = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_OPENS = re.compile(r"^\s*<think(?:ing)?>", re.MULTILINE | re.IGNORECASE)
_CLOSES = re.compile(r"</think(?:ing)?>[ \t]*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Extracted:
    """The ``code`` of an answer, None where there is none; ``truncated``: the block, or the thinking, never ends."""

    code: str | None
    outcome: Shape


class _Block(NamedTuple):
    code: str
    indented: str  # as it stands in the answer
    closed: bool


def program(answer: str) -> Extracted:
    """The program in ``answer``; the module's description says which one of several."""
    text = answer[:LONGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    text, unfinished = without_thinking(text)
    blocks = _blocks(text)
    if not blocks:
        bare = _unfenced(text)
        return Extracted(bare, "no fence" if bare else "truncated" if unfinished else "none")
    code, chosen = _chosen(blocks)
    whole: Shape = "one block" if len(blocks) == 1 else "several blocks"
    parts = blocks if fault(code) else chosen  # where none parses, the one that was cut might have
    return Extracted(code, whole if all(block.closed for block in parts) else "truncated")


def without_thinking(text: str) -> tuple[str, bool]:
    """``text`` without what stands in think tags, and whether the last thinking never ended.

    A template may open the thinking itself: then only its end stands in the answer, and all before it goes.
    """
    opens = _THINKS.search(text)
    while opens and (closes := _THOUGHT.search(text, opens.end())):
        text = text[: opens.start()] + text[closes.end() :]
        opens = _THINKS.search(text, opens.start())
    opened = _OPENS.search(text)
    if opened:
        return text[: opened.start()], True
    return _CLOSES.split(text)[-1], False


def fault(code: str) -> Exception | None:
    """Why this Python cannot compile ``code``; None where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<answer>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return error
    return None


def parsed(code: str) -> ast.Module:
    """The syntax tree of code that has no fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code)


def _blocks(text: str) -> list[_Block]:
    """The fenced blocks of Python in their order."""
    found = []
    for match in _FENCED.finditer(text):
        language = re.split(r"[\s{},:]", match["info"].strip().lstrip("{."), maxsplit=1)[0].lower()
        code = textwrap.dedent(match["code"]).strip("\n") + "\n"
        if language in _PYTHON and code.strip():
            found.append(_Block(code, match["code"], closed=match["cut"] is None))
    return found


def _chosen(blocks: list[_Block]) -> tuple[str, list[_Block]]:
    """The code of the blocks that make the program, and these blocks."""
    whole = [block for block in blocks if fault(block.code) is None]
    if not whole and len(blocks) > 1:
        together = textwrap.dedent("".join(block.indented for block in blocks))
        if fault(together) is None:
            return together, blocks
    largest = max(whole or blocks, key=lambda block: len(block.code))
    if len(whole) > 1 and _continues(largest, whole):
        return "\n".join(block.code for block in whole), whole
    return largest.code, [largest]


def _continues(largest: _Block, whole: list[_Block]) -> bool:
    """Whether the largest block is a part: it reads what others bind, or another runs what it only defines."""
    binds, reads = _names(largest.code)
    others = [block for block in whole if block is not largest]
    if (reads - binds - set(dir(builtins))) & set().union(*(_names(block.code)[0] for block in others)):
        return True
    later = whole[whole.index(largest) + 1 :]
    return not _runs(largest.code) and any(_runs(b.code) and _names(b.code)[1] & binds for b in later)


def _names(code: str) -> tuple[set[str], set[str]]:
    """The names that the code binds and those that it reads, in functions too: so joining errs to not joining."""
    tables, binds, reads = [symtable.symtable(code, "<answer>", "exec")], set[str](), set[str]()
    for table in tables:
        tables += table.get_children()
        symbols = table.get_symbols()
        binds |= {one.get_name() for one in symbols if one.is_assigned() or one.is_parameter() or one.is_imported()}
        reads |= {one.get_name() for one in symbols if one.is_referenced()}
    return binds, reads


def _runs(code: str) -> bool:
    """Whether the code does something when it is run: a call, a loop or a condition outside its definitions."""
    acting = ast.While | ast.For | ast.If | ast.With | ast.Try
    return any(isinstance(node, acting) or _is_call(node) for node in parsed(code).body)


def _is_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _unfenced(text: str) -> str | None:
    """Code without a fence: all of the text, or the first stretch that begins like a program and parses."""
    lines = textwrap.dedent(text).strip("\n").split("\n")
    starts = [0] + [i for i, line in enumerate(lines) if i and _BEGINS.match(line.strip())]
    spent = 0
    for start in starts:
        end = len(lines)
        while end > start and spent < _BUDGET:
            code = textwrap.dedent("\n".join(lines[start:end])).strip("\n") + "\n"
            spent += len(code)
            error = fault(code)
            if error is None:
                # One word, a number or a quotation parses too, and is no program.
                if any(_is_call(node) or not isinstance(node, ast.Expr | ast.AnnAssign) for node in parsed(code).body):
                    return code
                break
            broken_at = error.lineno if isinstance(error, SyntaxError) else None
            end = min(end, start + broken_at if broken_at else end) - 1
    return None


def plain(answer: str) -> str:
    """The answer as text: thinking, a fence around all of it and Markdown's emphasis taken away."""
    said = without_thinking(answer[:20_000].replace("\r\n", "\n").replace("\ufeff", ""))[0].strip()
    fenced = re.fullmatch(r"(?:```|~~~)\w*\n(.*?)\n?(?:```|~~~)", said, re.DOTALL)
    return re.sub(r"(\*\*|__|`)", "", fenced[1] if fenced else said).strip()


def folded(text: str) -> str:
    """Without case, accents, quotes around it, a final point and doubled spaces."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'"))
    text = "".join(sign for sign in text if not unicodedata.combining(sign))
    return " ".join(text.split()).strip(" .!?\"'`«»“”:").casefold()
