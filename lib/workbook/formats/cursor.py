"""Reading forwards through a file of unknown origin: never past its end, never more than a window in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from workbook.formats.file_info import Malformed

_WINDOW = 2**18
_LONGEST_HEADER = 2**26  # bytes; the largest vocabularies of today make headers of 15 MB
_ENDS = "it ends in the middle of its header"


class Cursor:
    """A place in ``file``. ``order``: "<" little-endian, ">" big-endian.

    It reads and does not map: a mapped file that another program shortens meanwhile would end this process.
    """

    def __init__(self, file: BinaryIO, size: int, order: str = "<") -> None:
        self._file, self.size = file, size
        self._window, self._base, self.at = b"", 0, 0
        self.use(order)

    def use(self, order: str) -> None:
        """Read numbers in this byte order from here on."""
        self._codes: dict[str, struct.Struct] = {}
        self._order = order
        self._length = struct.Struct(f"{order}Q")

    def _load(self, n: int) -> None:
        if n > self.size - self.at:
            raise Malformed(_ENDS)
        if self.at + n > _LONGEST_HEADER:
            raise Malformed("its header is longer than that of any known model")
        self._file.seek(self.at)
        self._window, self._base = self._file.read(max(n, _WINDOW)), self.at
        if len(self._window) < n:
            raise Malformed(_ENDS)

    def unpack(self, code: str) -> tuple[Any, ...]:
        """The next values, as ``struct`` names them."""
        layout = self._codes.get(code)
        if layout is None:
            layout = self._codes[code] = struct.Struct(self._order + code)
        here = self.at - self._base
        if here + layout.size > len(self._window):
            self._load(layout.size)
            here = 0
        self.at += layout.size
        return layout.unpack_from(self._window, here)

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes."""
        if self.at + n > self._base + len(self._window):
            self._load(n)
        here = self.at - self._base
        self.at += n
        return self._window[here : here + n]

    def skip(self, n: int) -> None:
        """Step over ``n`` bytes without reading them."""
        if n > self.size - self.at:
            raise Malformed(_ENDS)
        self.at += n

    def skip_strings(self, count: int) -> None:
        """Step over ``count`` strings, each a length and that many bytes: no list of them is made."""
        unpack: Callable[[bytes, int], tuple[Any, ...]] = self._length.unpack_from
        window, base, at = self._window, self._base, self.at
        for _ in range(count):
            here = at - base
            if here + 8 > len(window):
                self.at = at
                self._load(8)
                window, base, here = self._window, self._base, 0
            at += 8 + unpack(window, here)[0]
        self.at = at
        self.skip(0)
