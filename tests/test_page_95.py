"""Evidence 95: its codecs against ggml, byte for byte; wrong codecs that must be caught."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import page_cells
import pytest
from numpy.typing import NDArray

from workbook import models
from workbook.quantization import TYPES

pytest.importorskip("llama_cpp")
gguf = pytest.importorskip("gguf")
from workbook.engines import ggml  # noqa: E402

LINK = "9_evidence/95_quantization.ipynb"
CELLS = page_cells.load(LINK)
CODEC = page_cells.tagged(LINK, "codec")
NAMES = ("Q8_0", "Q4_0", "Q4_1")
Weights = NDArray[np.float32]


@cache
def matrix() -> Weights:
    """One in whose blocks a division rounds other than a product with the inverse."""
    return np.array(next(t for t in gguf.GGUFReader(models.minilm()).tensors if t.name == "blk.4.ffn_down.weight").data)


def page(wrong: tuple[str, str] = ("", "")) -> Any:
    """The page's codecs."""
    return page_cells.run(CELLS, *CODEC, wrong=wrong, W=matrix(), relative_error=lambda w, back: 0.0)


def inputs() -> Iterator[tuple[str, Weights]]:
    rng = np.random.default_rng(15)
    yield "a matrix of MiniLM", matrix()
    for scale in (1e-30, 1e-12, 1e-8, 1e-4, 0.02, 1, 1e3, 1e5):
        yield f"random {scale:g}", rng.normal(0, scale, (200, 64)).astype(np.float32)
    for step in (1, 0.3, 1 / 3):  # halves of a step, where rounding has to decide
        halves = rng.integers(-16, 17, (2000, 32)) / 2
        yield f"halves of {step:g}", (halves * np.float32(step)).astype(np.float32)
        yield f"halves, 127 at the top {step:g}", _topped(rng, 127, step)
        yield f"halves, -8 at the top {step:g}", _topped(rng, -8, step)
    yield "zero", np.zeros((3, 32), dtype=np.float32)
    yield "negative zero", -np.zeros((3, 32), dtype=np.float32)
    yield "all equal", np.full((3, 32), 0.3, dtype=np.float32)
    yield "two largest", np.tile(np.array([0.5, -0.5], dtype=np.float32), (3, 16))


def _topped(rng: np.random.Generator, top: int, step: float) -> Weights:
    below = rng.integers(-abs(top), abs(top), (2000, 31)) + 0.5
    return (np.hstack([np.full((2000, 1), top), below]) * np.float32(step)).astype(np.float32)


@cache
def expected(name: str) -> list[tuple[str, Weights, Any, Weights]]:
    """Each input with the bytes that ggml makes of it, and the weights that ggml reads back."""
    made = []
    for what, weights in inputs():
        raw = ggml.quantize(weights, name)
        made.append((what, weights, raw, ggml.dequantize(raw, name)))
    return made


def differing(page: Any, name: str) -> list[str]:
    """The inputs whose bytes or weights are not ggml's."""
    encode, decode = page["CODECS"][name]
    wrong = []
    for what, weights, raw, theirs in expected(name):
        mine = encode(weights).reshape(len(weights), -1)
        back = decode(raw.reshape(-1, TYPES[name].block_bytes)).reshape(weights.shape)
        if not (np.array_equal(mine, raw) and np.array_equal(back, theirs)):
            wrong.append(what)
    return wrong


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_is_ggmls(name: str) -> None:
    assert differing(page(), name) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Q8_0", "np.sign(x) * np.floor(np.abs(x.astype(np.float64)) + 0.5)", "np.round(x)"),
        ("Q8_0", "np.float32(127)", "np.float32(128)"),
        ("Q8_0", "q = half_away(w * inverse(d))", "q = half_away(w / np.where(d, d, 1))"),
        ("Q8_0", "half_away(w * inverse(d))", "half_away(w * inverse(d.astype(np.float16).astype(np.float32)))"),
        ("Q4_0", " + 0.0) / -8", ") / -8"),
        ("Q4_0", "q = np.trunc(w * inverse(d)", "q = np.trunc(w / np.where(d, d, 1)"),
        ("Q4_0", "unpack(blocks[:, 2:]) - 8", "unpack(blocks[:, 2:]) - 7"),
        (
            "Q4_0",
            "return np.hstack([f16_bytes(d), pack(np.minimum(q, 15))])",
            "return np.hstack([f16_bytes(d), pack(q)])",
        ),
        ("Q4_0", "/ -8", "/ 8"),
        ("Q4_0", "np.float32(8.5)", "np.float32(8)"),
        ("Q4_1", "/ np.float32(15)", "/ np.float32(16)"),
        ("Q4_1", "inverse(d) + np.float32(0.5)", "inverse(d)"),
    ],
)
def test_a_wrong_codec_is_caught(name: str, old: str, new: str) -> None:
    assert differing(page((old, new)), name)


def test_q4_k_by_hand() -> None:
    decode = page()["q4_k_decode"]
    rng = np.random.default_rng(4)
    for weights in (rng.normal(0, 1, (40, 1024)), rng.uniform(0, 1, (40, 256)), np.zeros((1, 256))):
        raw = ggml.quantize(weights.astype(np.float32), "Q4_K")
        mine = decode(raw.reshape(-1, 144)).reshape(weights.shape)
        assert np.array_equal(mine, ggml.dequantize(raw, "Q4_K"))
    raw = rng.integers(0, 256, (300, 144), dtype=np.uint8)  # every bit of the scales
    raw[:, [1, 3]] &= 0x3B  # d and dmin finite and positive
    assert np.array_equal(decode(raw), ggml.dequantize(raw, "Q4_K").reshape(-1, 256))


def test_a_wrong_q4_k_is_caught() -> None:
    for old, new in (("(c & 15) | (a >> 6 << 4)", "(c & 15) | (b >> 6 << 4)"), ("(c >> 4)", "(c & 15)"),
                     ("- (dmin * m)", "+ (dmin * m)")):  # fmt: skip
        with pytest.raises(AssertionError):
            page((old, new))
