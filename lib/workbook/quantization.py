"""The types a weight can have in a GGUF file: how many weights share a block, and how many bytes it takes.

Standard library only, so that it can run inside a rendered page.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from workbook.errors import BadOption

_TABLE = Path(__file__).resolve().parents[2] / "data" / "reference" / "quantization_types.csv"


@dataclass(frozen=True)
class QuantType:
    """One ggml type.

    name : as ggml spells it, in capitals ("Q4_K"). ggml_id : its number in a GGUF file.
    kind : float, legacy, k, i, ternary, float4, or activation (never in a file).
    block_weights, block_bytes : weights that share a block, and the bytes it takes, scales included.
    stores : what stands in a block. fallback : what llama.cpp takes for a row that is no whole number of blocks
    ("" where it has none). needs_imatrix : whether ggml refuses to quantize to it without an importance matrix.
    """

    name: str
    ggml_id: int
    kind: str
    block_weights: int
    block_bytes: int
    stores: str
    fallback: str
    needs_imatrix: bool

    @property
    def bits_per_weight(self) -> float:
        """Bits that a weight takes, scales included."""
        return 8 * self.block_bytes / self.block_weights

    def fits(self, n_columns: int) -> bool:
        """Whether a row of ``n_columns`` weights is a whole number of blocks."""
        return n_columns > 0 and n_columns % self.block_weights == 0

    def row_bytes(self, n_columns: int) -> int:
        """Bytes of one row of ``n_columns`` weights. Raises BadOption when no whole number of blocks fills it."""
        if not self.fits(n_columns):
            raise BadOption(
                f"a row of {n_columns} weights does not fill blocks of {self.block_weights}: {self.name} cannot store it."
            )
        return n_columns // self.block_weights * self.block_bytes


def _types() -> Mapping[str, QuantType]:
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        rows = [
            QuantType(
                row["name"], int(row["ggml_id"]), row["kind"], int(row["block_weights"]), int(row["block_bytes"]),
                row["stores"], row["fallback"], row["needs_imatrix"] == "yes",
            )
            for row in csv.DictReader(lines)
        ]  # fmt: skip
    return MappingProxyType({row.name: row for row in rows})


TYPES: Mapping[str, QuantType] = _types()
"""Every ggml type by name. Source: llama.cpp, ggml/src/ggml-common.h (structs), src/llama-quant.cpp (fallbacks)."""


def named(name: str) -> QuantType:
    """The type of that name, in capitals or not ("q8_0"). Raises BadOption."""
    try:
        return TYPES[name.strip().upper()]
    except KeyError:
        raise BadOption(f"{name!r} is not a ggml type. Types: {', '.join(TYPES)}.") from None


def stored_as(name: str, n_columns: int) -> QuantType:
    """The type that llama.cpp stores rows of ``n_columns`` weights in when it is asked for the type ``name``.

    A row must be a whole number of blocks; else another type with smaller blocks takes its place, and F16 where
    that does not fit either. Source: llama.cpp, src/llama-quant.cpp, tensor_type_fallback.
    """
    wanted = named(name)
    if wanted.fits(n_columns):
        return wanted
    other = TYPES.get(wanted.fallback)
    return other if other is not None and other.fits(n_columns) else TYPES["F16"]
