"""The header of a GGUF file, read without trusting it: no count is believed before the bytes are there.

``gguf.GGUFReader`` is for files one trusts: a false length makes it loop or allocate without end.
Source of the layout: ggml's docs/gguf.md.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from workbook.errors import DamagedModel

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_FIRST_READ, _LONGEST_HEADER = 2**20, 2**26  # the largest vocabularies of today make headers of 15 MB
_MOST_KEYS, _MOST_TENSORS, _MOST_ITEMS = 10_000, 100_000, 4_000_000
_LONGEST_NAME, _MOST_DIMS, _GUESSED = 65_535, 4, 1024
_ALIGNMENT = 32


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself. ``quant`` as in file names ("Q4_K_M"); None: it does not say.

    ``n_params`` counts the elements of all tensors in this file.
    """

    size_bytes: int
    architecture: str
    name: str | None
    quant: str | None
    n_params: int
    n_tensors: int


def header(path: Path, first: bool = True) -> Header:
    """Read the header of ``path`` and check that the file is long enough for the tensors it lists.

    ``first`` False: a later part of a model in several files, which need not name its architecture ("").
    Raises DamagedModel, with what is wrong, for whatever is not a whole GGUF file of version 2 or 3.
    """
    try:
        size = _regular_size(path)
        with path.open("rb") as file:
            return _parse(_Cursor(file, size), first)
    except _Bad as error:
        raise DamagedModel(f"{path.name} is not a whole GGUF file: {error}.") from None
    except OSError as error:
        raise DamagedModel(f"{path.name} cannot be read: {error.strerror or 'a loop of links'}.") from None


class _Bad(Exception):
    """What is wrong with the file."""


def _regular_size(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _Bad("it is not a file")  # opening a pipe would wait for its other end
    return status.st_size


class _Cursor:
    """Reads forwards, never more than the file holds or ``_LONGEST_HEADER``."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size = file, size
        self._bytes, self.at = bytearray(), 0

    def skip(self, n: int) -> int:
        """Move on by ``n`` bytes that are there; where they began."""
        start, end = self.at, self.at + n
        if end > self.size:
            raise _Bad("it ends in the middle of its header")
        if end > _LONGEST_HEADER:
            raise _Bad("its header is longer than that of any known model")
        while len(self._bytes) < end:
            more = self._file.read(max(_FIRST_READ, end - len(self._bytes)))
            if not more:
                raise _Bad("it ends in the middle of its header")
            self._bytes += more
        self.at = end
        return start

    def scalar(self, code: str) -> Any:
        """The next value, little-endian."""
        return struct.unpack_from(f"<{code}", self._bytes, self.skip(struct.calcsize(f"<{code}")))[0]

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes."""
        start = self.skip(n)
        return bytes(self._bytes[start : self.at])

    def name(self) -> str:
        """The next string, a key or the name of a tensor."""
        length = self.scalar("Q")
        if length > _LONGEST_NAME:
            raise _Bad("it holds a name of impossible length")
        return self.take(length).decode("utf-8", "replace")


def _parse(cursor: _Cursor, first: bool) -> Header:
    if cursor.size < 4 or cursor.take(4) != b"GGUF":
        raise _Bad("it does not begin with GGUF")
    version, n_tensors, n_keys = cursor.scalar("I"), cursor.scalar("Q"), cursor.scalar("Q")
    if version not in (2, 3):
        raise _Bad("its version is neither 2 nor 3, or it is big-endian")
    if n_tensors > _MOST_TENSORS or n_keys > _MOST_KEYS:
        raise _Bad(f"it claims {n_tensors} tensors and {n_keys} keys")
    said = {}
    for _ in range(n_keys):
        key, value = cursor.name(), _value(cursor)
        if value is not None:
            said[key] = value
    n_params, types = _tensors(cursor, n_tensors, said.get("general.alignment", _ALIGNMENT))
    architecture, name = said.get("general.architecture"), said.get("general.name")
    if not isinstance(architecture, str) and first:
        raise _Bad("it does not name its architecture")
    return Header(
        size_bytes=cursor.size,
        architecture=architecture[:64] if isinstance(architecture, str) else "",
        name=name[:128] if isinstance(name, str) else None,
        quant=_quant(said.get("general.file_type"), types),
        n_params=n_params,
        n_tensors=n_tensors,
    )


def _value(cursor: _Cursor) -> str | int | float | None:
    """The next value; None for arrays and long texts, which are stepped over."""
    kind = cursor.scalar("I")
    if kind in _SCALARS:
        value: int | float = cursor.scalar(_SCALARS[kind])
        return value
    if kind == _STRING:
        length = cursor.scalar("Q")
        if length > _LONGEST_NAME:  # a chat template, say
            cursor.skip(length)
            return None
        return cursor.take(length).decode("utf-8", "replace")
    if kind != _ARRAY:
        raise _Bad(f"it holds a value of the unknown type {kind}")
    item, count = cursor.scalar("I"), cursor.scalar("Q")
    if count > _MOST_ITEMS:
        raise _Bad(f"it claims an array of {count} items")
    if item in _SCALARS:
        cursor.skip(count * struct.calcsize(f"<{_SCALARS[item]}"))
    elif item == _STRING:
        for _ in range(count):
            cursor.skip(cursor.scalar("Q"))
    else:
        raise _Bad(f"it holds an array of the unknown type {item}")
    return None


def _tensors(cursor: _Cursor, n_tensors: int, alignment: Any) -> tuple[int, Counter[str]]:
    """How many elements there are, and how many bytes each type has; the file must be long enough for them."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    if not isinstance(alignment, int) or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise _Bad("its alignment is not a power of two")
    ends, elements = [0], 0
    types: Counter[str] = Counter()
    for _ in range(n_tensors):
        cursor.name()
        n_dims = cursor.scalar("I")
        if n_dims > _MOST_DIMS:
            raise _Bad(f"it claims a tensor of {n_dims} dimensions")
        count = 1
        for _ in range(n_dims):
            count *= cursor.scalar("Q")
        kind, offset = cursor.scalar("I"), cursor.scalar("Q")
        elements += count
        try:
            block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        except (ValueError, KeyError):  # a type newer than the library: its size is not known
            ends.append(offset)
            continue
        types[GGMLQuantizationType(kind).name] += count // block * size
        ends.append(offset + count // block * size)
    data_at = -(-cursor.at // alignment) * alignment
    if (needed := data_at + max(ends)) > cursor.size and n_tensors:
        raise _Bad(f"its tensors need {needed:,} bytes and it has {cursor.size:,}")
    return elements, types


def _quant(file_type: Any, types: Counter[str]) -> str | None:
    """The file's type as its name writes it, else the type that most bytes have."""
    from gguf.constants import LlamaFileType

    if isinstance(file_type, int) and file_type & ~_GUESSED in set(map(int, LlamaFileType)):
        return str(LlamaFileType(file_type & ~_GUESSED).name).removeprefix("MOSTLY_").removeprefix("ALL_")
    return max(types, key=types.__getitem__) if types else None


def same_file(path: Path) -> tuple[int, int] | str:
    """What two paths to one file have in common."""
    status = os.stat(path)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
