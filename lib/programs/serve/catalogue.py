"""Which models there are: names to files, and what Ollama says of them in /api/tags and /api/show."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from programs.serve import cards
from programs.serve.cards import Defaults, Details
from workbook import models, stores
from workbook.errors import BadOption, DamagedModel, ModelNotFound
from workbook.formats import inspect_gguf
from workbook.stores import LocalModel

SMOLLM2, MINILM = "smollm2:135m", "all-minilm:latest"
_LOOK_AGAIN_S, _LOOK_S = 60.0, 25.0
_READ_BYTES, _LARGEST_CTX = (
    256 << 20,
    1 << 20,
)  # a window in tokens, for a file that does not say what it was trained with
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_HOST = r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"
NAME = re.compile(rf"(?:(?:{_HOST}/)?{_PART}/)?{_PART}(?::{_PART})?")


@dataclass(frozen=True)
class Entry:
    """A model by its full name ("smollm2:135m"). ``path`` never leaves this process.

    capabilities: of "completion", "tools", "thinking", "embedding". chat_template: in place of the file's own.
    """

    name: str
    path: Path
    size_bytes: int
    modified_at: datetime
    details: Details
    capabilities: tuple[str, ...]
    chat_template: str = ""
    defaults: Defaults = field(default_factory=Defaults)

    def window(self, num_ctx: int) -> int:
        """The window a request for ``num_ctx`` gets: at most what the model was trained with, at least 4, as Ollama."""
        return max(4, min(num_ctx, self.details.context_length or _LARGEST_CTX))


class Catalogue:
    """The models of this machine: the packaged ones, ``named`` ones (NAME -> FILE.gguf), and found GGUFs.

    search False: the packaged and the named ones only. Other programs' folders are looked through in a thread of
    its own, and again when a minute has passed: a question waits for the first look only.
    Raises DamagedModel for a named file that is no whole GGUF; BadOption for a name that cannot be one.
    """

    def __init__(self, named: Mapping[str, Path] | None = None, search: bool = True) -> None:
        self._given: dict[str, Entry] = {}
        for name, find in ((SMOLLM2, models.packaged), (MINILM, models.minilm)):
            try:
                self._given[name] = _entry(name, find())
            except DamagedModel:
                continue  # the package is not installed: its name is not found, the others are
        for name, path in (named or {}).items():
            if not NAME.fullmatch(name):
                raise BadOption(f"--model {name!r}: a name is like llama3:8b, of letters, digits and . _ - only.")
            inspect_gguf(path)
            defaults = Defaults.beside(path)
            self._given[_full(name)] = _entry(_full(name), path.resolve(), defaults=defaults)
        self._found: dict[str, Entry] = {}
        self._looked, self._lock, self._search = threading.Event(), threading.Lock(), search
        self._looked_at = 0.0
        self._look()

    def entries(self) -> list[Entry]:
        """All models, the newest first."""
        self._look()
        return sorted({**self._found, **self._given}.values(), key=lambda e: (e.modified_at, e.name), reverse=True)

    def find(self, name: str) -> Entry:
        """The model of this name; ":latest" may be left out, letters' case does not count.

        Raises ModelNotFound: "model 'NAME' not found". A path is never a name.
        """
        wanted = _full(name).casefold()
        for known in (lambda: self._given, self._others):
            for entry in known().values():
                if entry.name.casefold() == wanted:
                    return entry
        raise ModelNotFound(f"model '{name}' not found")

    def digest(self, entry: Entry) -> str:
        """What stands for a model in the lists: its file's sha256, or, of a file too large to read for a list, of its
        name, size and time. (Ollama's is that of a manifest, which is no file's either.) Call it in a thread."""
        if entry.size_bytes <= _READ_BYTES:
            return models.sha256(entry.path)
        return hashlib.sha256(f"{entry.name} {entry.size_bytes} {entry.modified_at}".encode()).hexdigest()

    def show(self, entry: Entry) -> dict[str, Any]:
        """What /api/show answers, but for what the request adds."""
        info = models.inspect(entry.path)
        tensors = [{"name": t.name, "type": t.type, "shape": t.shape} for t in info.tensors]
        return cards.shown(info, entry.name, entry.defaults) | {
            "details": entry.details.body(lengths=False), "model_info": cards.model_info(info), "tensors": tensors,
        }  # fmt: skip

    def _others(self) -> Mapping[str, Entry]:
        self._look()
        return self._found

    def _look(self) -> None:
        """See to it that the other programs' folders were looked through, at least once."""
        if not self._search:
            return
        with self._lock:
            now = time.monotonic()
            if not self._looked_at or now - self._looked_at > _LOOK_AGAIN_S:
                self._looked_at = now
                threading.Thread(target=self._look_through, daemon=True).start()
                return  # the one who asks first after a pause is answered with what was known
        self._looked.wait(_LOOK_S)

    def _look_through(self) -> None:
        try:
            known = {stores.same_file(entry.path) for entry in self._given.values()}
            self._found = _named(m for m in models.local_ggufs() if stores.same_file(m.path) not in known)
        finally:
            self._looked.set()


def _named(found: Iterable[LocalModel]) -> dict[str, Entry]:
    """Found models under names that Ollama could give them; the first of a name keeps it."""
    entries: dict[str, Entry] = {}
    for model in found:
        name = _name(model)
        try:
            entries.setdefault(name, _entry(name, model.path, model.size_bytes))
        except (DamagedModel, OSError):
            continue  # it changed since it was found
    return entries


def _name(model: LocalModel) -> str:
    """hf.co/organisation/repository:quant for what Hugging Face or LM Studio keeps, as Ollama pulls it."""
    if model.source == "Ollama":
        return _full(model.name)
    parts = [re.sub(r"[^A-Za-z0-9_.-]", "-", part).strip(".-")[:80] or "model" for part in model.name.split("/")]
    if len(parts) < 3:
        return f"{parts[-1].lower()}:latest"
    # Several files of one repository differ in their quantisation, and say so at the end of their names.
    tag = parts[-1].rsplit("-", 1)[-1] if "-" in parts[-1] else parts[-1]
    return f"hf.co/{parts[0]}/{parts[1]}:{tag}"


def _entry(name: str, path: Path, size_bytes: int | None = None, defaults: Defaults | None = None) -> Entry:
    info, status = models.inspect(path), path.stat()
    return Entry(
        name=name, path=path, size_bytes=size_bytes or status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC), details=cards.details(info),
        capabilities=cards.capabilities(info), chat_template=cards.CHATML if cards.is_chatml(info) else "",
        defaults=defaults or Defaults(),
    )  # fmt: skip


def _full(name: str) -> str:
    """The name with its tag, without the parts that Ollama leaves out."""
    shortest = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return shortest if ":" in shortest.rsplit("/", 1)[-1] else f"{shortest}:latest"
