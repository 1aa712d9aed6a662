"""The header of a safetensors file: a length, then JSON. It is measured before it is parsed, and then checked.

Source of the format, and of what is refused: huggingface/safetensors, README.md and src/tensor.rs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from workbook.formats.cursor import Cursor
from workbook.formats.file_info import FileInfo, Malformed, TensorInfo, Value

_LONGEST_HEADER = 2**24  # bytes; a file of 50,000 tensors has half of it
_MOST_TENSORS, _MOST_DIMS, _LARGEST = 2**16, 16, 2**63
# Bits of one element. Source: safetensors 0.8, src/tensor.rs, enum Dtype.
DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_METADATA = "__metadata__"
# What a header of so many tensors can need: one object and two lists each, four colons, a dozen commas.
_MOST_SIGNS = {b"{": 2**17, b"[": 2**18, b":": 2**19, b",": 2**20}


def looks_like(start: bytes, size: int) -> bool:
    """Whether a file that begins so can be a safetensors file: a length that fits, then an opening brace."""
    return len(start) >= 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def read(cursor: Cursor) -> FileInfo:
    """The header of the whole file; raises Malformed with what is wrong."""
    if cursor.size < 8:
        raise Malformed("it is shorter than the length of its header")
    (length,) = cursor.unpack("Q")
    if length > cursor.size - 8:
        raise Malformed(f"it claims a header of {length:,} bytes and has {cursor.size:,} in all")
    if length > _LONGEST_HEADER:
        raise Malformed("its header is longer than that of any known model")
    listed = _parsed(cursor.take(length))
    metadata = listed.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed("its __metadata__ are not texts")
    _whole(metadata.values())
    if len(listed) > _MOST_TENSORS:
        raise Malformed(f"it claims {len(listed)} tensors")
    tensors = tuple(_tensor(name, entry, cursor.at) for name, entry in listed.items())
    _tiled(tensors, cursor.at, cursor.size)
    said: dict[str, Value] = dict(metadata)
    return FileInfo("safetensors", None, "little", cursor.size, cursor.at, 1, said, {}, tensors)


def _parsed(raw: bytes) -> dict[str, Any]:
    """The JSON object; too much structure is refused before any of it is built."""
    if raw[:1] != b"{":
        raise Malformed("its header is no JSON object")
    for sign, most in _MOST_SIGNS.items():
        if raw.count(sign) > most:
            raise Malformed("its header has more parts than that of any known model")
    try:
        text = raw.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Malformed("its header is not UTF-8") from None
    except RecursionError:
        raise Malformed("its header is nested without end") from None
    except ValueError:
        raise Malformed("its header is not JSON") from None
    if not isinstance(found, dict):
        raise Malformed("its header is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON readers keep the last of two equal keys, others the first: so none may be there twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise Malformed("its header holds the same name twice")
    _whole(made)
    return made


def _whole(texts: Iterable[str]) -> None:
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("it holds a name that is no text") from None


def _no_number(name: str) -> None:
    raise Malformed(f"its header holds {name}")


def _counts(values: Any, most: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(value) is int and 0 <= value < _LARGEST for value in values)
    )


def _tensor(name: str, entry: Any, data_at: int) -> TensorInfo:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise Malformed("it holds a tensor without type, shape or place")
    kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPE_BITS:
        raise Malformed("it holds a tensor of an unknown type")
    if not _counts(shape, _MOST_DIMS) or not _counts(place, 2) or len(place) != 2:
        raise Malformed("it holds a tensor whose shape or place is no list of counts")
    bits = DTYPE_BITS[kind]
    for n in shape:
        bits *= n
    begin, end = place
    if bits % 8 or end - begin != bits // 8:
        raise Malformed(f"a tensor of {bits / 8:,.1f} bytes claims the bytes {begin:,} to {end:,}")
    return TensorInfo(name, kind, tuple(shape), data_at + begin, end - begin)


def _tiled(tensors: tuple[TensorInfo, ...], data_at: int, size: int) -> None:
    """Each byte of the data belongs to one tensor: no overlap, no hole, nothing after the last."""
    at = data_at
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.size_bytes)):
        if tensor.offset != at:
            wrong = "two of its tensors lie on top of each other" if tensor.offset < at else "bytes belong to no tensor"
            raise Malformed(wrong)
        at += tensor.size_bytes or 0
    if at != size:
        raise Malformed(f"its tensors end at byte {at:,} and the file at {size:,}")
