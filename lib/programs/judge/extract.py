"""The program in an answer: which lines are code, and how clear that was.

Thinking is taken out first (``<think>…</think>``; one that never ends takes the rest with it). Then, in this order:

1. Fenced blocks (``` or ~~~, any indentation, with or without a language). Those of another language are left out.
   A fence that opens while another is open closes it. A block that never closes was cut.
2. Of several blocks: the largest that parses. It is joined with the others, in their order, where it reads a name
   that only they bind, or where it runs nothing and a later one calls what it defines. Where none parses alone, all
   of them together, if that parses; else the largest as it is.
3. Without a fence: the whole answer where it parses and does something, else its longest stretch of lines that
   begins like a program and parses, with prose before and after it.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["one block", "several blocks", "no fence", "none", "truncated"]

LONGEST = 400_000  # characters of an answer that are read: ten times the longest program a model writes
_BUDGET = 2_000_000  # characters that are parsed in search of code without fences
_PYTHON = {"", "python", "python3", "py", "py3", "python2", "pygame", "turtle", "ipython", "code"}
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_BEGINS = re.compile(r"^(import |from \w[\w.]* import |def |class |async def |@\w|#!|if __name__|\w+ *= *\S)")
_THINKS = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_OPENS = re.compile(r"^\s*<think(?:ing)?>", re.MULTILINE | re.IGNORECASE)
_CLOSES = re.compile(r"</think(?:ing)?>[ \t]*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Extracted:
    """The ``code`` of an answer, None where there is none, and how it stood there.

    ``truncated``: the chosen block, or the thinking, never ends. ``language``: what the block's fence says, or None.
    """

    code: str | None
    outcome: Outcome
    language: str | None = None


@dataclass(frozen=True)
class _Block:
    raw: str  # as it stands, less its fence's indentation
    language: str
    closed: bool

    @property
    def code(self) -> str:
        return textwrap.dedent(self.raw).strip("\n") + "\n"

    @property
    def tree(self) -> ast.Module | None:
        return parsed(self.code)


def program(answer: str) -> Extracted:
    """The program in ``answer``; the module's description says which one of several."""
    text = answer[:LONGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    text, unfinished = without_thinking(text)
    blocks = [block for block in _blocks(text) if block.language in _PYTHON and block.code.strip()]
    if not blocks:
        bare = None if _FENCE.search(text) else _unfenced(text)
        return Extracted(bare, "no fence" if bare else "truncated" if unfinished else "none")
    if len(blocks) == 1:
        (only,) = blocks
        return Extracted(only.code, "one block" if only.closed else "truncated", only.language or None)
    return _of_several(blocks)


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
    closed = _CLOSES.search(text)
    return text[closed.end() :] if closed else text, False


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of ``code``; None where this Python cannot compile it, whatever the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            compile(tree, "<answer>", "exec", dont_inherit=True)  # a return outside a function parses
            return tree
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks in their order, each without the indentation of its fence."""
    mark, indent, language, lines = "", "", "", list[str]()
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        info = fence["info"].strip() if fence else ""
        same = fence is not None and mark != "" and fence["mark"][0] == mark[0] and len(fence["mark"]) >= len(mark)
        if fence and (not mark or same):
            if mark:
                yield _Block(_unindented(lines, indent), language, closed=True)
            opens = not mark or info != ""
            mark, indent, lines = (fence["mark"], fence["indent"], []) if opens else ("", "", [])
            language = re.split(r"[\s{,:]", info.lstrip("{."), maxsplit=1)[0].rstrip("}").lower() if opens else ""
        elif mark:
            lines.append(line)
    if mark:
        yield _Block(_unindented(lines, indent), language, closed=False)


def _unindented(lines: list[str], indent: str) -> str:
    """The lines without the indentation of their fence."""
    return "\n".join(line[len(indent) :] if line.startswith(indent) else line.lstrip(" \t") for line in lines)


def _of_several(blocks: list[_Block]) -> Extracted:
    whole = [block for block in blocks if block.tree is not None]
    if not whole:
        together = "\n".join(block.raw for block in blocks) + "\n"
        if parsed(together) is not None:
            return Extracted(together, _outcome(blocks), blocks[0].language or None)
        largest = max(blocks, key=lambda block: len(block.code))
        return Extracted(largest.code, _outcome([largest]), largest.language or None)
    largest = max(whole, key=lambda block: len(block.code))
    if _continues(largest, whole):
        return Extracted("\n".join(block.code for block in whole), _outcome(whole), largest.language or None)
    return Extracted(largest.code, _outcome([largest]), largest.language or None)


def _outcome(chosen: Iterable[_Block]) -> Outcome:
    return "several blocks" if all(block.closed for block in chosen) else "truncated"


def _continues(largest: _Block, whole: list[_Block]) -> bool:
    """Whether the largest block is a part: it reads what others bind, or another runs what it only defines."""
    tree = largest.tree
    assert tree is not None
    others = [(block, block.tree) for block in whole if block is not largest]
    elsewhere = {name for _, other in others if other is not None for name in bound(other)}
    if (read(tree) - bound(tree) - set(dir(builtins))) & elsewhere:
        return True
    if runs(tree):
        return False
    later = [other for block, other in others if whole.index(block) > whole.index(largest)]
    return any(runs(other) and read(other) & bound(tree) for other in later if other is not None)


def bound(tree: ast.Module) -> set[str]:
    """Every name that the code binds somewhere: a name bound in a function counts, so joining errs to not joining."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def read(tree: ast.Module) -> set[str]:
    """Every name that the code reads somewhere."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def runs(tree: ast.Module) -> bool:
    """Whether the code does something when it is run: a call, a loop or a condition outside its definitions."""
    acting = ast.While | ast.For | ast.If | ast.With | ast.Try
    return any(
        isinstance(node, acting) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        for node in tree.body
    )


def _unfenced(text: str) -> str | None:
    """Code without a fence: all of the text, or the longest stretch that begins like a program."""
    text = textwrap.dedent(text).strip("\n") + "\n"
    lines = text.split("\n")
    starts = [0] + [i for i, line in enumerate(lines) if i and _BEGINS.match(line.strip())]
    spent = 0
    for start in starts:
        end = len(lines)
        while end > start and spent < _BUDGET:
            code = textwrap.dedent("\n".join(lines[start:end])).strip("\n") + "\n"
            spent += len(code)
            tree, broken_at = parsed(code), _broken_line(code)
            if tree is not None:
                if _does_something(tree):
                    return code
                break
            end = min(end - 1, start + broken_at - 1) if broken_at else end - 1
    return None


def _broken_line(code: str) -> int:
    """The line, counted from 1, at which Python stops to understand; 0 where it does not say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, MemoryError, RecursionError):
        return 0
    return 0


def _does_something(tree: ast.Module) -> bool:
    """Whether this is a program: one word, a number or a quotation parses too."""
    says_nothing = ast.Name | ast.Constant | ast.Tuple | ast.Attribute | ast.BinOp | ast.UnaryOp | ast.Compare
    telling = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, says_nothing))
        and not isinstance(node, ast.AnnAssign)
    ]
    return bool(telling)
