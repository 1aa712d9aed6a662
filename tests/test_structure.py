"""The house holds: imports run downwards, every room keeps its budget, names say one thing."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "lib"
MODULES = sorted(LIB.rglob("*.py"))
LONGEST_FUNCTION = 40
# Lines of a room and of all within it.
BUDGETS = {
    "lib/workbook": 5_750,
    "lib/programs/bench": 3_150,
    "lib/programs/judge": 3_600,
    "lib/programs/serve": 1_950,
    "lib/programs/site": 1_050,
    "lib/programs/cli": 360,
    "tests": 16_100,
}


def lines(room: str, root: Path = ROOT) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (root / room).rglob("*.py"))


def twice(names: list[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def public_classes(paths: list[Path]) -> list[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return [n.name for tree in trees for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"]


def long_functions(tree: ast.Module) -> list[str]:
    """The functions that do not fit a screen: their lines without the docstring."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (node.end_lineno or 0) - (body[0].lineno if body else node.lineno) + 1
            found += [f"{node.name}: {lines} lines"] if lines > LONGEST_FUNCTION else []
    return found


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("room", BUDGETS)
def test_every_room_keeps_its_budget(room):
    assert lines(room) <= BUDGETS[room]


def test_imports_run_downwards():
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout


def test_each_file_and_each_public_class_has_a_name_of_its_own():
    files = [path.stem for path in MODULES if path.stem not in ("__init__", "__main__")]
    assert twice(files) == []
    assert twice(public_classes(MODULES)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIB).as_posix())
def test_functions_fit_a_screen(path):
    assert long_functions(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIB).as_posix())
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    assert ast.get_docstring(tree), "the module says nothing of itself"
    assert [node.name for node in public if ast.get_docstring(node) is None] == []


def test_the_checks_can_fail(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("class Reader:\n    pass\n")
    (tmp_path / "room" / "b.py").write_text("class Reader:\n    pass\n")
    assert lines("room", tmp_path) == 4
    assert twice(public_classes(sorted(tmp_path.rglob("*.py")))) == ["Reader"]
    body = "\n".join(f"    x = {n}" for n in range(LONGEST_FUNCTION + 1))
    assert long_functions(ast.parse(f"def f():\n    '''Says.'''\n{body}")) == ["f: 41 lines"]
    assert long_functions(ast.parse("def f():\n    '''Says.'''\n" + body.rpartition("\n")[0])) == []
    config = (ROOT / "pyproject.toml").read_text().replace('["programs", "workbook"]', '["workbook", "programs"]')
    (tmp_path / "pyproject.toml").write_text(config)
    assert "BROKEN" in linted(tmp_path).stdout
