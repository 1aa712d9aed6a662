"""Where things stand: the checkout, its data, this user's cache, this machine's results."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs


def root() -> Path:
    """The checkout this package is installed from (it is installed in editable mode)."""
    return Path(__file__).resolve().parents[2]


def data() -> Path:
    """The folder of facts, prompts and exercises."""
    return root() / "data"


def notebooks() -> Path:
    """The folder of pages."""
    return root() / "notebooks"


def build() -> Path:
    """The folder of everything that can be made again."""
    return root() / "build"


def results() -> Path:
    """The folder of benchmark records: ``WORKBOOK_RESULTS``, else ``data/results``."""
    named = os.environ.get("WORKBOOK_RESULTS")
    return Path(named).expanduser().absolute() if named else data() / "results"


def cache() -> Path:
    """This user's cache folder for the workbook: ``WORKBOOK_CACHE``, else the system's place."""
    named = os.environ.get("WORKBOOK_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("local-llm-workbook", appauthor=False))


def state() -> Path:
    """Where this user's choices are kept: ``WORKBOOK_STATE``, else the system's place."""
    named = os.environ.get("WORKBOOK_STATE")
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_state_dir("local-llm-workbook", appauthor=False))


def absolute(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` with our folders written out: a kernel starts in another folder, and must find the same ones."""
    ours = {name: env[name] for name in ("WORKBOOK_RESULTS", "WORKBOOK_CACHE") if env.get(name)}
    return {**env, **{name: str(Path(value).expanduser().absolute()) for name, value in ours.items()}}


def shown(path: Path) -> str:
    """``path`` without the names of this machine: relative to the checkout, else to the home folder."""
    for base, sign in ((root(), ""), (Path.home(), "~/")):
        try:
            return sign + path.resolve().relative_to(base).as_posix()
        except ValueError:
            continue
    return path.name


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds all of it or what it held before: a rename at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
