"""The house holds: imports run downwards, no cycles, no long module, no long function."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "lib" / "workbook"

# From the ground up. A module may import from its own floor and from those below.
FLOORS = [
    {"errors"},
    {"paths"},
    {
        "cgroups",
        "exercises",
        "facts",
        "formats",
        "ggufs",
        "gpus",
        "hardware",
        "leaks",
        "minilm",
        "models",
        "names",
        "quantization",
        "stores",
    },
    {"engines"},
    {"server"},
    {"grading"},
    {"bench"},
    {"analysis", "comparison", "plots", "token_widget", "widgets"},
    {
        "alone",
        "budgets",
        "changes",
        "doctor",
        "endpoint",
        "execute",
        "figures",
        "islands",
        "lab",
        "masthead",
        "normalize",
        "pages",
        "refresh",
        "run",
        "site",
        "voila",
    },
    {"cli"},
]
LONGEST_MODULE, LONGEST_FUNCTION = 250, 40


def modules(folder: Path = LIB) -> dict[str, ast.Module]:
    """Dotted name below ``workbook`` -> syntax tree."""
    made = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        made[name] = ast.parse(path.read_text(encoding="utf-8"))
    return made


def imported(tree: ast.Module, known: set[str]) -> set[str]:
    """The modules of ours that ``tree`` imports anywhere, lazily or not."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "workbook":
            base = (node.module or "").partition(".")[2]
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                found.add(inner if inner in known else base)
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "workbook"}
    return found - {""}


def floor(name: str) -> int:
    top = name.split(".")[0]
    return next((level for level, names in enumerate(FLOORS) if top in names), -1)


def upward_imports(trees: dict[str, ast.Module]) -> Iterator[str]:
    for name, tree in trees.items():
        if name and floor(name) < 0:
            yield f"{name} stands on no floor: add it to FLOORS"
        for other in imported(tree, set(trees)):
            if name and floor(other) > floor(name):
                yield f"{name} imports {other} from a floor above"


def cycle(trees: dict[str, ast.Module]) -> list[str]:
    """The modules of one circle of imports; empty when there is none."""
    try:
        TopologicalSorter({name: imported(tree, set(trees)) - {name} for name, tree in trees.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            first = body[0].lineno if body else node.lineno
            lines = (node.end_lineno or first) - first + 1
            if lines > LONGEST_FUNCTION:
                yield f"{node.name}: {lines} lines"


def test_imports_run_downwards():
    assert not list(upward_imports(modules()))


def test_no_circle_of_imports():
    assert cycle(modules()) == []


@pytest.mark.parametrize("path", sorted(LIB.rglob("*.py")), ids=lambda path: path.relative_to(LIB).as_posix())
def test_modules_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert not list(long_functions(ast.parse(text)))


@pytest.mark.parametrize("path", sorted(LIB.rglob("*.py")), ids=lambda path: path.relative_to(LIB).as_posix())
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert ast.get_docstring(tree), "the module says nothing of itself"
    assert not bare


def test_the_checks_can_fail(tmp_path):
    trees = {
        "errors": ast.parse("from workbook import cli"),
        "cli": ast.parse("def late():\n    from workbook.errors import WorkbookError"),
        "stray": ast.parse(""),
    }
    assert list(upward_imports(trees)) == [
        "errors imports cli from a floor above",
        "stray stands on no floor: add it to FLOORS",
    ]
    assert set(cycle(trees)) == {"errors", "cli"}
    body = "\n".join(f"    x = {n}" for n in range(LONGEST_FUNCTION + 1))
    assert list(long_functions(ast.parse(f"def f():\n    '''Says.'''\n{body}"))) == ["f: 41 lines"]
    assert not list(long_functions(ast.parse("def f():\n    '''Says.'''\n" + body.rpartition("\n")[0])))
