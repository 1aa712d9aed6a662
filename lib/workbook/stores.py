"""Where other programs keep GGUF files: Hugging Face's cache, LM Studio, Ollama. All of it is read without trust."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook.errors import DamagedModel
from workbook.formats import inspect_gguf

_LARGEST_MANIFEST = 2**20  # bytes
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})")


@dataclass(frozen=True)
class LocalModel:
    """A GGUF file on this machine. ``source``: which program keeps it. ``quant`` None: the file does not say.

    ``size_bytes`` and ``n_params`` count all parts of a model in several files; ``path`` is the first.
    """

    name: str
    path: Path
    source: str
    size_bytes: int
    architecture: str
    quant: str | None
    n_params: int


@dataclass(frozen=True)
class SkippedFile:
    """A file that looks like a model and is none, and why."""

    name: str
    source: str
    why: str


def stored() -> list[LocalModel | SkippedFile]:
    """What the programs keep, by program and name."""
    return sorted([*_folders(), *_ollama()], key=lambda item: (item.source, item.name))


def entry(name: str, path: Path, source: str) -> LocalModel | SkippedFile:
    """The model at ``path``, or why it is none. A model in several files is read whole."""
    files, part = [path], _PART.fullmatch(path.stem)
    if part:
        last = min(int(part[3]), 999)
        files = [path.with_name(f"{part[1]}-{i:05}-of-{part[3]}.gguf") for i in range(1, last + 1)]
    try:
        heads = [inspect_gguf(file, first=i == 0) for i, file in enumerate(files)]
    except DamagedModel as error:
        return SkippedFile(name, source, str(error))
    return LocalModel(
        name=name, path=path, source=source, size_bytes=sum(head.size_bytes for head in heads),
        architecture=heads[0].architecture or "", quant=heads[0].quant, n_params=sum(head.n_params for head in heads),
    )  # fmt: skip


def same_file(path: Path) -> tuple[int, int] | str:
    """What two paths to one file have in common."""
    status = os.stat(path)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _folders() -> Iterator[LocalModel | SkippedFile]:
    """Files named .gguf below the folders of Hugging Face and LM Studio. Links to folders are not followed."""
    home, env, seen = Path.home(), os.environ, set()
    hugging = Path(env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface")
    hub = Path(env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or hugging / "hub").expanduser()
    studio = [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"]
    for root, source in [(hub, "Hugging Face"), *((folder, "LM Studio") for folder in studio)]:
        for path in _files(root):
            part = _PART.fullmatch(path.stem)
            if path.suffix.lower() != ".gguf" or (part and part[2] != "00001"):
                continue
            try:
                same = same_file(path)
            except OSError as error:
                yield SkippedFile(path.stem, source, f"{path.name} cannot be read: {error.strerror}.")
                continue
            if same not in seen:
                seen.add(same)
                yield entry(_name(path.relative_to(root)), path, source)


def _name(path: Path) -> str:
    """organisation/repository/file, out of Hugging Face's or LM Studio's path."""
    first = path.parts[0].removeprefix("models--").split("--") if len(path.parts) > 1 else []
    middle = path.parts[1:2] if len(path.parts) > 2 and path.parts[1] != "snapshots" else ()
    return "/".join([*first, *middle, path.stem])


def _files(root: Path) -> Iterator[Path]:
    return (Path(folder) / name for folder, _, names in os.walk(root) for name in names)


def _ollama() -> Iterator[LocalModel | SkippedFile]:
    """Ollama's models: each manifest names the blob of its weights, which is a GGUF file."""
    named = os.environ.get("OLLAMA_MODELS")
    own = Path(named) if named else Path.home() / ".ollama" / "models"
    for store in (own, Path("/usr/share/ollama/.ollama/models")):
        for path in _files(store / "manifests"):
            registry, *middle, tag = path.relative_to(store / "manifests").parts
            if not middle or any(part.startswith(".") for part in (registry, *middle, tag)):
                continue
            shown = middle if registry == "registry.ollama.ai" else [registry, *middle]
            name = "/".join(shown).removeprefix("library/") + f":{tag}"
            digest = _weights(path)
            if digest is None:
                yield SkippedFile(name, "Ollama", "its manifest names no GGUF weights.")
            else:
                yield entry(name, store / "blobs" / f"sha256-{digest}", "Ollama")


def _weights(manifest: Path) -> str | None:
    """The sha256 of the weights that an Ollama manifest names; None if it names none."""
    try:
        if not manifest.is_file() or manifest.stat().st_size > _LARGEST_MANIFEST:
            return None
        layers = json.loads(manifest.read_bytes())["layers"]
        digests = [str(x["digest"]) for x in layers if x["mediaType"] == "application/vnd.ollama.image.model"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    found = re.fullmatch(r"sha256[:-]([0-9a-f]{64})", digests[0]) if digests else None
    return found[1] if found else None
