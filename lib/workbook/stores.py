"""Where other programs keep GGUF files: Hugging Face's cache, LM Studio, Ollama. All of it is read without trust."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook import ggufs
from workbook.errors import DamagedModel

_SEARCH_SECONDS, _MOST_FILES = 20.0, 200_000
_LARGEST_MANIFEST = 2**20
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
class Skipped:
    """A file that looks like a model and is none, and why."""

    name: str
    source: str
    why: str


def stored() -> list[LocalModel | Skipped]:
    """What the programs keep, by program and name; in 20 seconds at most."""
    end = time.monotonic() + _SEARCH_SECONDS
    return sorted([*_folders(end), *_ollama(end)], key=lambda item: (item.source, item.name))


def entry(name: str, path: Path, source: str) -> LocalModel | Skipped:
    """The model at ``path``, or why it is none. A model in several files is read whole."""
    try:
        part = _PART.fullmatch(path.stem)
        files = [path]
        if part:
            files = [
                path.with_name(f"{part[1]}-{i:05}-of-{part[3]}.gguf") for i in range(1, min(int(part[3]), 999) + 1)
            ]
        heads = [ggufs.header(file, first=i == 0) for i, file in enumerate(files)]
    except DamagedModel as error:
        return Skipped(name, source, str(error))
    return LocalModel(
        name=name,
        path=path,
        source=source,
        size_bytes=sum(h.size_bytes for h in heads),
        architecture=heads[0].architecture,
        quant=heads[0].quant,
        n_params=sum(h.n_params for h in heads),
    )


def _folders(end: float) -> Iterator[LocalModel | Skipped]:
    """Files named .gguf below the folders of Hugging Face and LM Studio. Links to folders are not followed."""
    home, env, seen = Path.home(), os.environ, set()
    hugging = Path(env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface")
    hub = Path(env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or hugging / "hub")
    studio = [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"]
    for root, source in [(hub.expanduser(), "Hugging Face"), *((folder, "LM Studio") for folder in studio)]:
        for path in _files(root, end):
            part = _PART.fullmatch(path.stem)
            if path.suffix.lower() != ".gguf" or (part and part[2] != "00001"):
                continue
            try:
                same = ggufs.same_file(path)
            except OSError as error:
                yield Skipped(path.stem, source, f"{path.name} cannot be read: {error.strerror}.")
                continue
            if same not in seen:
                seen.add(same)
                yield entry(_name(path.relative_to(root)), path, source)


def _name(path: Path) -> str:
    """organisation/repository/file, out of Hugging Face's or LM Studio's path."""
    first = path.parts[0].removeprefix("models--").split("--") if len(path.parts) > 1 else []
    middle = path.parts[1:2] if first and len(path.parts) > 2 and path.parts[1] != "snapshots" else ()
    return "/".join([*first, *middle, path.stem])


def _files(root: Path, end: float) -> Iterator[Path]:
    seen = 0
    for folder, _, names in os.walk(root):
        for name in names:
            seen += 1
            if seen > _MOST_FILES or time.monotonic() > end:
                return
            yield Path(folder) / name


def _ollama(end: float) -> Iterator[LocalModel | Skipped]:
    """Ollama's models: each manifest names the blob of its weights, which is a GGUF file."""
    named = os.environ.get("OLLAMA_MODELS")
    stores = [Path(named)] if named else [Path.home() / ".ollama" / "models"]
    for store in [*stores, Path("/usr/share/ollama/.ollama/models")]:
        for path in _files(store / "manifests", end):
            parts = path.relative_to(store / "manifests").parts
            if len(parts) < 3 or any(part.startswith(".") for part in parts):
                continue
            shown = parts[1:-1] if parts[0] == "registry.ollama.ai" else parts[:-1]
            name = "/".join(shown).removeprefix("library/") + f":{parts[-1]}"
            digest = _weights(path)
            if digest is None:
                yield Skipped(name, "Ollama", "its manifest names no GGUF weights.")
                continue
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
