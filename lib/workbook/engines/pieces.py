"""From tokens to pieces of text: whole characters, stop texts, thinking kept apart."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from workbook.engines.engine import Piece

_OPEN, _CLOSE = "<think>", "</think>"


class Pieces:
    """Feed the bytes of tokens, get pieces that are safe to show.

    What might be the start of a stop text, or of a thinking tag, is held back until it is decided.
    ``stopped`` tells that a stop text came; it is not part of the text. ``tags`` False: thinking stays in the text.
    """

    def __init__(self, stop: Sequence[str] = (), thinking: bool = False, tags: bool = True) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decode = self._decoder.decode
        self._stop = [s for s in stop if s]
        self._held, self._thinking, self._begun = "", thinking, thinking or not tags
        self._trim = self.stopped = False

    @property
    def whole(self) -> bool:
        """Whether the bytes so far end with a whole character."""
        return not self._decoder.getstate()[0]

    def feed(self, raw: bytes) -> list[Piece]:
        """The pieces that these bytes complete."""
        if self.stopped:
            return []
        self._held += self._decode(raw)
        return self._release(final=False)

    def end(self) -> list[Piece]:
        """The pieces that were still held back."""
        if self.stopped:
            return []
        self._held += self._decode(b"", True)
        return self._release(final=True)

    def _release(self, final: bool) -> list[Piece]:
        pieces: list[Piece] = []
        if not self._begun:
            begin = self._held.lstrip()
            if begin.startswith(_OPEN):
                self._held, self._thinking, self._begun = begin[len(_OPEN) :], True, True
            elif not final and _OPEN.startswith(begin):
                return pieces
            else:
                self._begun = True
        if self._thinking:
            thought, tag, rest = self._held.partition(_CLOSE)
            if not tag:
                return pieces + self._emit([_CLOSE], final)
            self._thinking, self._held, self._trim = False, rest, True
            if thought:
                pieces.append(Piece(thinking=thought))
        if self._trim:  # the empty lines between thinking and answer belong to neither
            self._held = self._held.lstrip("\n")
            self._trim = not self._held
        found = [(at, s) for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            self._held, self.stopped, final = self._held[: min(found)[0]], True, True
        return pieces + self._emit(self._stop, final)

    def _emit(self, awaited: Sequence[str], final: bool) -> list[Piece]:
        keep = 0 if final else max((_overlap(self._held, s) for s in awaited), default=0)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if not ready:
            return []
        return [Piece(thinking=ready) if self._thinking else Piece(text=ready)]


def _overlap(text: str, awaited: str) -> int:
    """How many characters at the end of ``text`` begin ``awaited``."""
    return next((n for n in range(min(len(text), len(awaited) - 1), 0, -1) if text.endswith(awaited[:n])), 0)
