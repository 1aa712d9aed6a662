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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
MOST_SECONDS = 1800


@dataclass(frozen=True)
class Setting:
    """What one call of llama-bench measures. Either ``n_prompt`` or ``n_gen`` is 0."""

    model: Path
    n_threads: int
    n_prompt: int
    n_gen: int
    repetitions: int = 1
    n_batch: int = 2048
    n_ubatch: int = 512
    type_kv: str = "f16"
    n_depth: int = 0  # tokens that the context holds already


def version() -> str:
    """The installed llama-cpp-python."""
    return importlib.metadata.version("llama-cpp-python")


def libraries() -> Path:
    """The folder of its shared libraries."""
    spec = find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise RuntimeError("llama-cpp-python is not installed: there is nothing to compare")
    return Path(spec.origin).parent / "lib"


def program() -> Path:
    """llama-bench for the installed libraries, compiled on the first call (about a minute) and kept in the cache."""
    target = paths.cache() / f"llama-bench-{version()}" / "llama-bench"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            os.replace(_compile(_sources(Path(scratch))), target)
    return target


def _sources(folder: Path) -> Path:
    """llama.cpp's folder in the sdist of the installed version."""
    print(f"Fetching the sources of llama-cpp-python {version()} …", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python"]
    _call([*pip, "--dest", str(folder), f"llama-cpp-python=={version()}"], folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (found,) = folder.glob("*/vendor/llama.cpp")
    return found


def _compile(source: Path) -> Path:
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    print("Compiling llama-bench …", flush=True)
    info = (source / "common/build-info.cpp.in").read_text(encoding="utf-8")
    for name, value in BUILD_INFO.items():
        info = info.replace(f"@{name}@", value)
    (source / "common/build-info.cpp").write_text(info, encoding="utf-8")

    def one(name: str) -> str:
        made = name.replace("/", "_") + ".o"
        _call([compiler, *FLAGS, "-c", name, "-o", made], source)
        return made

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        made = list(pool.map(one, SOURCES))
    shared = [str(path) for path in sorted(libraries().iterdir()) if path.suffix in (".so", ".dylib")]
    linked = [path for path in shared if "mtmd" not in path]
    _call(
        [compiler, "-pthread", *made, *linked, f"-Wl,-rpath,{libraries()}", *ALLOW_MISSING, "-o", "llama-bench"], source
    )
    return source / "llama-bench"


def rates(setting: Setting) -> list[float]:
    """Tokens per second of every repetition, after llama-bench's own warm-up. Fields by name, as its JSON gives them."""
    s = setting
    sizes = ["-p", s.n_prompt, "-n", s.n_gen, "-b", s.n_batch, "-ub", s.n_ubatch, "-t", s.n_threads, "-d", s.n_depth]
    kinds = ["-ctk", s.type_kv, "-ctv", s.type_kv, "-r", s.repetitions, "-o", "json"]
    found = json.loads(_call([program(), "-m", s.model, *sizes, *kinds], Path.cwd()))
    (row,) = (row for row in found if (row["n_prompt"], row["n_gen"]) == (s.n_prompt, s.n_gen))
    wanted = {
        "n_depth": s.n_depth,
        "n_batch": s.n_batch,
        "n_ubatch": s.n_ubatch,
        "n_threads": s.n_threads,
        "type_k": s.type_kv,
    }
    differing = {name: row[name] for name, value in wanted.items() if row[name] != value}
    if differing:
        raise RuntimeError(f"llama-bench ran with {differing} instead of {wanted}")
    return [float(rate) for rate in row["samples_ts"]]


def _call(command: list[object], folder: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=MOST_SECONDS
    )
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[0])).name} failed with {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout
