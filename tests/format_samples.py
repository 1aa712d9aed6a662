"""Small model files made byte by byte: whole, hostile, and damaged at random."""

import json
import random
import struct
from collections.abc import Sequence
from typing import Any

SCALAR = {"B": 0, "b": 1, "H": 2, "h": 3, "I": 4, "i": 5, "f": 6, "?": 7, "Q": 10, "q": 11, "d": 12}
F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8


def string(text: str | bytes, order: str = "<") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(f"{order}Q", len(raw)) + raw


def key(name: str | bytes, value: Any, order: str = "<") -> bytes:
    """``value``: a text, a list of texts, or (struct's code, number or list of numbers)."""
    made = string(name, order)
    if isinstance(value, str | bytes):
        return made + struct.pack(f"{order}I", 8) + string(value, order)
    if isinstance(value, list):
        items = b"".join(string(item, order) for item in value)
        return made + struct.pack(f"{order}IIQ", 9, 8, len(value)) + items
    code, number = value
    if isinstance(number, list):
        head = struct.pack(f"{order}IIQ", 9, SCALAR[code], len(number))
        return made + head + struct.pack(f"{order}{len(number)}{code}", *number)
    return made + struct.pack(f"{order}I{code}", SCALAR[code], number)


def tensor(name: str | bytes, shape: Sequence[int], kind: int, offset: int, order: str = "<") -> bytes:
    return string(name, order) + struct.pack(f"{order}I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def head(n_tensors: int, n_keys: int, version: int = 3, order: str = "<") -> bytes:
    return b"GGUF" + struct.pack(f"{order}IQQ", version, n_tensors, n_keys)


ARCH: tuple[str, Any] = ("general.architecture", "llama")


def gguf(
    keys: Sequence[tuple[Any, Any]] = (ARCH,),
    tensors: Sequence[tuple[Any, Sequence[int], int, int]] = (("a", (32, 4), F32, 0),),
    data: int = 512,
    version: int = 3,
    order: str = "<",
    alignment: int = 32,
) -> bytes:
    """A whole file whose ``data`` bytes are zero."""
    made = head(len(tensors), len(keys), version, order)
    made += b"".join(key(*pair, order) for pair in keys)
    made += b"".join(tensor(*listed, order) for listed in tensors)
    return made + bytes(-len(made) % alignment) + bytes(data)


def ordinary(order: str = "<", version: int = 3, n_tokens: int = 100) -> bytes:
    """A file with one key of each kind and three tensors."""
    numbers = [(f"llama.x_{code}", (code, 1)) for code in SCALAR]
    keys = [
        ARCH,
        ("general.name", "Small"),
        ("general.file_type", ("I", 7)),
        *numbers,
        ("tokenizer.ggml.tokens", [f"t{i}" for i in range(n_tokens)]),
        ("tokenizer.ggml.scores", ("f", [0.5] * n_tokens)),
        ("tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}" * 4),
    ]
    tensors = [("token_embd.weight", (32, 64), Q8_0, 0), ("norm.weight", (32,), F32, 2176), ("q", (64, 3), Q4_1, 2304)]
    return gguf(keys, tensors, 2304 + 120 + 8, version, order)


def safetensors(entries: dict[str, Any] | str | bytes, data: int = 0, length: int | None = None) -> bytes:
    raw = (
        entries
        if isinstance(entries, bytes)
        else (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    )
    return struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(data)


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def ordinary_safetensors() -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for i in range(12):
        size = 4 * 8 * (i + 1)
        entries[f"layers.{i}.weight"] = entry("F32", [8, i + 1], at, at + size)
        at += size
    return safetensors(entries, at)


def ordinary_files() -> list[bytes]:
    """Little- and big-endian, versions 2 and 3, a shard, an odd alignment; safetensors last."""
    shard = [ARCH, ("split.no", ("H", 1)), ("split.count", ("H", 2)), ("split.tensors.count", ("i", 4))]
    wide = [ARCH, ("general.alignment", ("I", 64))]
    tensors = [(f"blk.{i}.w", (32, 2), F32, 256 * i) for i in range(30)]
    return [ordinary(), ordinary(version=2), ordinary(order=">"), gguf(shard),
            gguf(wide, tensors, 256 * 30, alignment=64), ordinary_safetensors()]  # fmt: skip


# --- Damages at random

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 9, 12, 13, 31, 33, 127, 255, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40,
           2**60, 2**62, 2**63 - 1, 2**63, 2**64 - 1]  # fmt: skip
WORDS = [b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"-1", b"1e9", b"NaN", b"1" * 5000, b"[" * 3000,
         b'{"a":' * 3000, b'"\\ud800"', b"\xff\xfe", b"F32", b"F4", b"BOOL", b"18446744073709551616", b"0.5", b" " * 99,
         b'"data_offsets":[0,0],', b'"__metadata__":{"a":1},']  # fmt: skip


def _place(rng: random.Random, raw: bytearray) -> int:
    """A place in the file: most of them where the structure is."""
    n = max(1, len(raw))
    pick = rng.random()
    if pick < 0.4:
        return rng.randrange(min(n, 2000))
    return n - 1 - rng.randrange(min(n, 20_000)) if pick < 0.7 else rng.randrange(n)


def _damage(rng: random.Random, raw: bytearray, other: bytes) -> None:
    """One damage: a bit, a byte, a number, a word, or a part cut off, left out, repeated or taken from another file."""
    at, n = _place(rng, raw), rng.choice([1, 4, 8, 12, 40, rng.randrange(1, 500)])
    match rng.choice(
        ["bit", "bit", "byte", "number", "number", "number", "word", "cut", "leave out", "repeat", "take"]
    ):
        case "bit":
            raw[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in raw[at : at + 1])
        case "byte":
            raw[at : at + 1] = bytes([rng.choice([0, 1, 8, 9, 127, 128, 255, rng.randrange(256)])])
        case "number":  # a count, length, type or offset
            code = rng.choice(["<I", "<Q", "<Q", ">Q", ">I"])
            at = rng.choice([8, 16, 0, 4]) if rng.random() < 0.15 else at
            value = rng.choice(NUMBERS) % (2**32 if code[1] == "I" else 2**64)
            raw[at : at + struct.calcsize(code)] = struct.pack(code, value)
        case "word":
            raw[at : at + rng.choice([0, 1, 3])] = rng.choice(WORDS)
        case "cut":
            del raw[at:]
        case "leave out":
            del raw[at : at + n]
        case "repeat":
            raw[at:at] = raw[at : at + n] * rng.choice([1, 1, 2, 50])
        case "take":
            start = rng.randrange(len(other))
            raw[at : at + rng.choice([0, n])] = other[start : start + n]


def damaged(rng: random.Random, file: bytes, other: bytes) -> bytes:
    """``file`` with one to four damages."""
    raw = bytearray(file)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        _damage(rng, raw, other)
    if raw[8:9] == b"{" and rng.random() < 0.5:  # else nearly all safetensors cases fail by their length alone
        raw[:8] = struct.pack("<Q", max(0, raw.rfind(b"}") - 7))
    return bytes(raw)
