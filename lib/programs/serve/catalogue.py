"""Which models there are: names to files."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from programs.serve.cards import Defaults, Entry
from workbook import models, stores
from workbook.errors import BadOption, DamagedModel, ModelNotFound

SMOLLM2, MINILM = "smollm2:135m", "all-minilm:latest"
_LOOK_AGAIN_S = 60.0
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
NAME = re.compile(rf"(?:{_PART}(?::\d+)?/)?(?:{_PART}/){{0,3}}{_PART}(?::{_PART})?")


class Catalogue:
    """The models of this machine: the packaged ones, ``named`` ones (NAME -> FILE.gguf), and found GGUFs.

    Other programs' folders are looked through (about 10 ms a file) where none of the first two is meant, once a minute.
    Raises DamagedModel for a named file that is no whole GGUF; BadOption for a name that cannot be one.
    """

    def __init__(self, named: Mapping[str, Path]) -> None:
        self._given: dict[str, Entry] = {}
        for name, find in ((SMOLLM2, models.packaged), (MINILM, models.minilm)):
            with suppress(DamagedModel):  # the package is not installed: its name is not found, the others are
                self._given[name] = Entry.read(name, find())
        for name, path in named.items():
            if not NAME.fullmatch(name):
                raise BadOption(f"--model {name!r}: a name is like llama3:8b, of letters, digits and . _ - only.")
            self._given[_full(name)] = Entry.read(_full(name), path.resolve(), defaults=Defaults.beside(path))
        self._found: dict[str, Entry] = {}
        self._look_at, self._lock = 0.0, threading.Lock()

    def entries(self) -> list[Entry]:
        """All models, those that write first (a chat program takes the first), then the newest. Call it in a thread."""
        return sorted(self._all(), key=lambda e: ("completion" in e.capabilities, e.modified_at, e.name), reverse=True)

    def find(self, name: str) -> Entry:
        """The model of this name; ":latest" may be left out, letters' case does not count. Call it in a thread.

        Raises ModelNotFound: "model 'NAME' not found". A path is never a name.
        """
        for entry in self._all():
            if entry.name.casefold() == _full(name).casefold():
                return entry
        raise ModelNotFound(f"model '{name}' not found")

    def _all(self) -> Iterator[Entry]:
        yield from self._given.values()
        yield from self._others().values()  # not looked for where one of the first was meant

    def _others(self) -> dict[str, Entry]:
        """What other programs keep, under names that can be asked for; the first of a name keeps it."""
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._found = {}
                known = [stores.same_file(entry.path) for entry in self._given.values()]
                for model in models.local_ggufs():
                    name = _full(re.sub(r"[^A-Za-z0-9_.:/-]", "-", model.name))
                    with suppress(DamagedModel, OSError):  # it changed since it was found
                        new = name not in self._given and stores.same_file(model.path) not in known
                        if new and NAME.fullmatch(name):
                            self._found.setdefault(name, Entry.read(name, model.path, model.size_bytes))
                self._look_at = time.monotonic() + _LOOK_AGAIN_S
            return self._found


def _full(name: str) -> str:
    """The name with its tag, without the parts that Ollama leaves out."""
    shortest = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return shortest if ":" in shortest.rsplit("/", 1)[-1] else f"{shortest}:latest"
