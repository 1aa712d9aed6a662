"""What the header of a model file says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Value = str | int | float | bool

# general.file_type: what file names write. Source: llama.h, enum llama_ftype.
FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
_GUESSED = 1024  # added to a file type that the file's maker did not know


class Malformed(Exception):
    """What is wrong with a file, in a few words: inspect() makes DamagedModel of it."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as the header announces it; none of its weights was read.

    ``shape`` in the file's own order (GGUF: the fastest dimension first; safetensors: last). ``offset``: bytes from
    the beginning of the file. ``size_bytes`` None: a type newer than this reader.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int | None

    @property
    def n_elements(self) -> int:
        """The number of weights."""
        count = 1
        for n in self.shape:
            count *= n
        return count


@dataclass(frozen=True)
class Stepped:
    """A metadata value that was stepped over: an array or a very long text. ``count``: items, or bytes of a text."""

    type: str
    count: int


@dataclass(frozen=True)
class FileInfo:
    """What the header of a model file says. ``data_offset``: where the weights begin, in bytes.

    ``format``: "GGUF" or "safetensors". ``byte_order``: "little", or "big", which llama.cpp refuses on most machines.
    ``metadata``: the short values; ``stepped``: those that were measured and not read.
    """

    format: str
    version: int | None
    byte_order: str
    size_bytes: int
    data_offset: int
    alignment: int
    metadata: Mapping[str, Value]
    stepped: Mapping[str, Stepped]
    tensors: tuple[TensorInfo, ...]

    @property
    def n_params(self) -> int:
        """The number of weights in this file."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @property
    def type_bytes(self) -> Mapping[str, int]:
        """The bytes of each tensor type in this file, the most first."""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            if tensor.size_bytes is not None:
                sizes[tensor.type] += tensor.size_bytes
        return dict(sizes.most_common())

    def text(self, key: str, limit: int = 128) -> str | None:
        """A metadata value if it is a text, fit to be shown: at most ``limit`` characters, none of them a control."""
        value = self.metadata.get(key)
        if not isinstance(value, str):
            return None
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value[:limit])

    @property
    def architecture(self) -> str | None:
        """Which program of the engine these weights are for, e.g. "llama"; None: the file does not say."""
        return self.text("general.architecture", 64)

    @property
    def quant(self) -> str | None:
        """The file's type as file names write it ("Q4_K_M"), else the type that most bytes have."""
        said = self.metadata.get("general.file_type")
        if isinstance(said, int) and said & ~_GUESSED in FILE_TYPES:
            return FILE_TYPES[said & ~_GUESSED]
        return next(iter(self.type_bytes), None)

    @property
    def shard(self) -> tuple[int, int] | None:
        """(which, of how many), counted from 1, for a part of a GGUF model in several files."""
        no, count = self.metadata.get("split.no"), self.metadata.get("split.count")
        if isinstance(no, int) and isinstance(count, int) and count > 1:
            return no + 1, count
        return None
