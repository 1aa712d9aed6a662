"""The header of a GGUF file, versions 2 and 3: no count or length is believed before the bytes are there.

``gguf.GGUFReader`` 0.19 is for files one trusts: a false length makes it loop or allocate without end.
Source of the layout: ggml's docs/gguf.md; of what is refused: ggml's gguf.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from workbook.formats.cursor import Cursor
from workbook.formats.file_info import FileInfo, Malformed, Stepped, TensorInfo, Value
from workbook.quantization import TYPES

# id: name, weights in a block, bytes of a block
GGML_TYPES: Mapping[int, tuple[str, int, int]] = {
    **{kind.ggml_id: (kind.name, kind.block_weights, kind.block_bytes) for kind in TYPES.values()},
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
}  # fmt: skip
REMOVED_TYPES = frozenset({4, 5, 31, 32, 33, 36, 37, 38})  # ggml has them no more

# id: struct's code, its bytes, its name
_SCALARS = {
    0: ("B", 1, "uint8"), 1: ("b", 1, "int8"), 2: ("H", 2, "uint16"), 3: ("h", 2, "int16"), 4: ("I", 4, "uint32"),
    5: ("i", 4, "int32"), 6: ("f", 4, "float32"), 7: ("?", 1, "bool"), 10: ("Q", 8, "uint64"), 11: ("q", 8, "int64"),
    12: ("d", 8, "float64"),
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MOST_KEYS, _MOST_TENSORS, _MOST_STRINGS = 10_000, 2**16, 3_000_000
_LONGEST_KEY, _LONGEST_NAME, _LONGEST_TEXT, _MOST_TEXT = 65_535, 255, 65_536, 2**22
_MOST_DIMS, _MOST_ELEMENTS, _LARGEST_ALIGNMENT, _NEWEST_TYPE = 4, 2**63, 2**20, 255
_ALIGNMENT = "general.alignment"


def read(cursor: Cursor) -> FileInfo:
    """The header that begins at the beginning of the file; raises Malformed with what is wrong."""
    order, version = _version(cursor)
    n_tensors, n_keys = cursor.unpack("QQ")
    if n_tensors > _MOST_TENSORS or n_keys > _MOST_KEYS:
        raise Malformed(f"it claims {n_tensors} tensors and {n_keys} keys")
    metadata, stepped = _metadata(cursor, n_keys)
    alignment = metadata.get(_ALIGNMENT, 32)
    if not isinstance(alignment, int) or not 0 < alignment <= _LARGEST_ALIGNMENT or alignment & (alignment - 1):
        raise Malformed("its alignment is not a power of two")
    listed = [_tensor(cursor) for _ in range(n_tensors)]
    data_offset = -(-cursor.at // alignment) * alignment
    if not listed:
        data_offset = min(data_offset, cursor.size)
    tensors = tuple(_placed(tensor, data_offset, alignment, cursor.size) for tensor in listed)
    _distinct(tensors)
    return FileInfo(
        "GGUF", version, order, cursor.size, data_offset, alignment, metadata, stepped, tensors
    )  # fmt: skip


def _version(cursor: Cursor) -> tuple[str, int]:
    """(byte order, version). A version that is huge in one order is small in the other."""
    if cursor.size < 4 or cursor.take(4) != b"GGUF":
        raise Malformed("it does not begin with GGUF")
    (version,) = cursor.unpack("I")
    order = "little"
    if version & 0xFFFF == 0 and version:
        order, version = "big", int.from_bytes(int(version).to_bytes(4, "little"), "big")
        cursor.use(">")
    if version not in (2, 3):
        raise Malformed(f"its version is {version}, neither 2 nor 3")
    return order, version


def _text(cursor: Cursor, longest: int, what: str) -> str:
    (length,) = cursor.unpack("Q")
    if length > longest:
        raise Malformed(f"it holds {what} of impossible length")
    raw = cursor.take(length)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"it holds {what} that is not UTF-8") from None


def _metadata(cursor: Cursor, n_keys: int) -> tuple[dict[str, Value], dict[str, Stepped]]:
    metadata: dict[str, Value] = {}
    stepped: dict[str, Stepped] = {}
    room, strings = _MOST_TEXT, _MOST_STRINGS
    for _ in range(n_keys):
        key = _text(cursor, _LONGEST_KEY, "a key")
        if not key:
            raise Malformed("it holds a key without a name")
        if key in metadata or key in stepped:
            raise Malformed("it holds the same key twice")
        value = _value(cursor, strings)
        if isinstance(value, Stepped):
            stepped[key] = value
            strings -= value.count if value.type == "string array" else 0
        else:
            metadata[key] = value
            room -= len(value) if isinstance(value, str) else 0
        room -= len(key)
        if room < 0:
            raise Malformed("its metadata hold more text than those of any known model")
    return metadata, stepped


def _value(cursor: Cursor, strings: int) -> Value | Stepped:
    """The next value; arrays and long texts are stepped over. ``strings``: how many an array may still hold."""
    (kind,) = cursor.unpack("I")
    if kind in _SCALARS:
        value: int | float | bool = cursor.unpack(_SCALARS[kind][0])[0]
        return value
    if kind == _STRING:
        return _string(cursor)
    if kind != _ARRAY:
        raise Malformed(f"it holds a value of the unknown type {kind}")
    item, count = cursor.unpack("IQ")
    if item in _SCALARS:
        cursor.skip(count * _SCALARS[item][1])
        return Stepped(f"{_SCALARS[item][2]} array", count)
    if item == _ARRAY:
        raise Malformed("it holds arrays within arrays, which llama.cpp does not read either")
    if item != _STRING:
        raise Malformed(f"it holds an array of the unknown type {item}")
    if count > strings or count * 8 > cursor.size - cursor.at:
        raise Malformed(f"it claims an array of {count} texts")
    cursor.skip_strings(count)
    return Stepped("string array", count)


def _string(cursor: Cursor) -> str | Stepped:
    (length,) = cursor.unpack("Q")
    if length > _LONGEST_TEXT:  # a whole tokenizer, say
        cursor.skip(length)
        return Stepped("string", length)
    return cursor.take(length).decode("utf-8", "replace")


def _tensor(cursor: Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """(name, shape, type, offset) of the next tensor."""
    name = _text(cursor, _LONGEST_NAME, "a tensor's name")
    (n_dims,) = cursor.unpack("I")
    if n_dims > _MOST_DIMS:
        raise Malformed(f"it claims a tensor of {n_dims} dimensions")
    *shape, kind, offset = cursor.unpack(f"{'Q' * n_dims}IQ")
    return name, tuple(shape), kind, offset


def _placed(listed: tuple[str, tuple[int, ...], int, int], data_at: int, alignment: int, size: int) -> TensorInfo:
    """The tensor at its place in the file, which must hold it."""
    name, shape, kind, offset = listed
    count = 1
    for n in shape:
        count *= n
    if count >= _MOST_ELEMENTS:
        raise Malformed("it claims a tensor of more weights than can be counted")
    if kind > _NEWEST_TYPE:
        raise Malformed(f"it holds a tensor of the unknown type {kind}")
    if kind in REMOVED_TYPES:
        raise Malformed(f"it holds a tensor of type {kind}, which llama.cpp reads no more")
    if offset % alignment:
        raise Malformed(f"a tensor lies at byte {offset:,} of its data, which is no multiple of {alignment}")
    label, block, block_bytes = GGML_TYPES.get(kind, (f"type {kind}", 1, 0))
    if (shape[0] if shape else 1) % block:
        raise Malformed(
            f"a tensor's rows of {shape[0] if shape else 1} weights do not fill blocks of {block} ({label})"
        )
    taken = count // block * block_bytes if kind in GGML_TYPES else None
    if (needed := data_at + offset + (taken or 0)) > size:
        raise Malformed(f"its tensors need {needed:,} bytes and it has {size:,}")
    return TensorInfo(name, label, shape, data_at + offset, taken)


def _distinct(tensors: tuple[TensorInfo, ...]) -> None:
    """No two of the same name, none on top of another."""
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise Malformed("it lists two tensors of the same name")
    placed = sorted((tensor for tensor in tensors if tensor.size_bytes), key=lambda tensor: tensor.offset)
    for before, after in pairwise(placed):
        if before.offset + (before.size_bytes or 0) > after.offset:
            raise Malformed("two of its tensors lie on top of each other")
