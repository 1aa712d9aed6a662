"""The oracle of speed: llama-bench from llama-cpp-python's own sources, on that package's own shared libraries.

Only the few files that its tests pp and tg need are compiled; the arithmetic is that of the installed libraries.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

from workbook import paths

SOURCES = (
    "tools/llama-bench/llama-bench.cpp", "tools/llama-bench/main.cpp",
    "common/common.cpp", "common/log.cpp", "common/fit.cpp", "common/json.cpp", "common/build-info.cpp",
)  # fmt: skip
FLAGS = ("-std=c++17", "-O1", "-pthread", "-Iinclude", "-Iggml/include", "-Icommon", "-Ivendor", "-Itools/llama-bench")
# What downloads models and samples text is left out. It is never called with -m and a file.
_GNU = ("-no-pie", "-Wl,--unresolved-symbols=ignore-all")  # without -no-pie Debian's loader refuses the holes
ALLOW_MISSING = ("-Wl,-undefined,dynamic_lookup",) if sys.platform == "darwin" else _GNU
BUILD_INFO = {"LLAMA_BUILD_NUMBER": "0", "LLAMA_BUILD_COMMIT": "sdist", "BUILD_COMPILER": "", "BUILD_TARGET": ""}


def program() -> Path:
    """llama-bench for the installed libraries, compiled on the first call (about two minutes) and kept in the cache."""
    version = importlib.metadata.version("llama-cpp-python")
    target = paths.cache() / f"llama-bench-{version}" / "llama-bench"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            os.replace(_compile(_sources(Path(scratch), version)), target)
    return target


def _sources(folder: Path, version: str) -> Path:
    """llama.cpp's folder in the sdist of the installed version."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python"]
    _call([*pip, "--dest", str(folder), f"llama-cpp-python=={version}"], folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (found,) = folder.glob("*/vendor/llama.cpp")
    return found


def _compile(source: Path) -> Path:
    info = (source / "common/build-info.cpp.in").read_text(encoding="utf-8")
    for name, value in BUILD_INFO.items():
        info = info.replace(f"@{name}@", value)
    (source / "common/build-info.cpp").write_text(info, encoding="utf-8")
    spec = find_spec("llama_cpp")
    assert spec is not None
    libraries = Path(str(spec.origin)).parent / "lib"
    shared = [
        path for path in sorted(libraries.iterdir()) if path.suffix in (".so", ".dylib") and "mtmd" not in path.name
    ]
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    _call([compiler, *FLAGS, *SOURCES, *shared, f"-Wl,-rpath,{libraries}", *ALLOW_MISSING, "-o", "llama-bench"], source)
    return source / "llama-bench"


def rate(model: Path, n_threads: int, n_prompt: int, n_gen: int) -> float:
    """Tokens per second of one repetition, after llama-bench's own warm-up. Either ``n_prompt`` or ``n_gen`` is 0."""
    words = ["-m", model, "-p", n_prompt, "-n", n_gen, "-t", n_threads, "-r", 1, "-o", "json"]
    rows = json.loads(_call([program(), *words], Path.cwd()))
    (row,) = (row for row in rows if (row["n_prompt"], row["n_gen"]) == (n_prompt, n_gen))
    assert row["n_threads"] == n_threads
    return float(row["samples_ts"][0])


def _call(command: list[object], folder: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[0])).name} failed with {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout
