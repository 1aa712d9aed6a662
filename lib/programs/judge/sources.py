"""What the source of a program says before it is run: its toolkit, its imports, its chance."""

from __future__ import annotations

import ast
from typing import Final

TOOLKITS: Final = ("pygame", "turtle", "curses", "tkinter")
UNPLAYABLE: Final = frozenset({
    "arcade", "asciimatics", "blessed", "cocos", "colorama", "cv2", "freegames", "getch", "getkey", "glfw", "ipycanvas",
    "keyboard", "kivy", "matplotlib", "msvcrt", "numpy", "OpenGL", "panda3d", "PIL", "PyQt5", "PyQt6", "PySide2",
    "PySide6", "pgzero", "pgzrun", "pyglet", "pynput", "pyxel", "raylib", "readchar", "rich", "termios", "textual",
    "tty", "ursina", "winsound", "wx",
})  # fmt: skip
"""Modules that exist and that this grader has no driver for, or that another system has: ungraded, not failed."""


def toolkit_of(tree: ast.Module) -> str | None:
    """The toolkit that a program imports, of those that there is a driver for."""
    names = imported(tree)
    return next((name for name in TOOLKITS if name in names), None)


def imported(tree: ast.Module) -> set[str]:
    """The modules that a program imports, by their first name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def syntax(code: str) -> str:
    """Why code does not parse, in Python's words."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        return f"{getattr(error, 'msg', None) or error}" + (f" (line {line})" if line else "")
    return "it cannot be compiled"


def no_driver(tree: ast.Module) -> str:
    """Why a program without a toolkit cannot be watched here; empty where it shows nothing at all."""
    other = sorted(imported(tree) & UNPLAYABLE)
    asks = any(isinstance(node, ast.Name) and node.id == "input" for node in ast.walk(tree))
    if not other and not asks:
        return ""
    what = f"it uses {', '.join(other)}" if other else "it plays in the terminal by input()"
    return f"{what}: there is no driver for that. Graded are {', '.join(TOOLKITS)}"


def apart(tree: ast.Module) -> str:
    """Why a program with a toolkit cannot be watched all the same: its keys are read in a process of their own."""
    used = {node.attr if isinstance(node, ast.Attribute) else node.id for node in ast.walk(tree)
            if isinstance(node, ast.Attribute | ast.Name)}  # fmt: skip
    if "multiprocessing" in imported(tree) and used & {"Process", "Pool", "Manager"}:
        return "it plays in several processes, and only one of them can be watched"
    return ""


def unseeded(tree: ast.Module) -> bool:
    """Whether two games may differ by more than the keys: chance that no seed reaches."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool(
        names & {"SystemRandom", "urandom", "uuid4", "default_rng", "randbelow", "datetime"}
        or imported(tree) & {"numpy", "secrets"}
    )
