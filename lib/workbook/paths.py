"""Where things stand: the checkout, its data, this user's cache, this machine's results."""

from __future__ import annotations

import contextlib
import os
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
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
    return _named("WORKBOOK_RESULTS") or data() / "results"


def cache() -> Path:
    """This user's cache folder for the workbook: ``WORKBOOK_CACHE``, else the system's place."""
    return _named("WORKBOOK_CACHE") or Path(platformdirs.user_cache_dir("local-llm-workbook", appauthor=False))


def state() -> Path:
    """Where this user's choices are kept: ``WORKBOOK_STATE``, else the system's place."""
    return _named("WORKBOOK_STATE") or Path(platformdirs.user_state_dir("local-llm-workbook", appauthor=False))


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` for a kernel or server that we start: our folders written out, as it starts in another one.

    PATH: a page's ``!workbook`` is the command of this very Python, also where its environment is not activated.
    GOMP_SPINCOUNT: OpenMP's idle threads spin, and two llama.cpp processes on one machine would starve each other.
    """
    folders = {name: env[name] for name in ("WORKBOOK_RESULTS", "WORKBOOK_CACHE") if env.get(name)}
    written = {name: str(Path(value).expanduser().absolute()) for name, value in folders.items()}
    path = os.pathsep.join(filter(None, (sysconfig.get_path("scripts"), env.get("PATH"))))
    return {"GOMP_SPINCOUNT": "1000", **env, **written, "PATH": path}


def shown(path: Path) -> str:
    """``path`` without the names of this machine: relative to the checkout, else to the home folder."""
    for base, sign in ((root(), ""), (Path.home(), "~/")):
        try:
            return sign + path.resolve().relative_to(base).as_posix()
        except ValueError:
            continue
    return path.name


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A file to write in the block, which takes the place of ``target`` at its end: all of it, or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*"):  # by a process that was killed: none writes for an hour
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink()
    fd, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(fd)
    made = Path(name)
    try:
        yield made
        with made.open("rb+") as written:
            os.fsync(written.fileno())
        made.chmod(0o644)
        os.replace(made, target)
    finally:
        made.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds all of it or what it held before."""
    with whole(path) as made:
        made.write_bytes(content)
