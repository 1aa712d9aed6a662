"""The words of names and the shapes of their parts: rows of ``data/reference``, sizes, dates and quantizations."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

_REFERENCE = Path(__file__).resolve().parents[3] / "data" / "reference"

EXTENSIONS = {".gguf", ".ggml", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx"}
GENERIC = re.compile(
    r"((pytorch|diffusion|adapter)?[-_.]?(ggml-)?model|consolidated(\.\d+)?|weights|adapter|(?=shard|split))"
    r"([-_.]?(shard|split))?(?=$|[-_.])",
    re.I,
)
REGISTRY = re.compile(r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}|\d+(\.\d+){3})(:\d{1,5})?", re.I)
PART = re.compile(r"-(\d{5})-of-(\d{5})$")
QUANT = re.compile(
    r"(?<![a-z0-9])(?:"
    # llama.cpp's types, those of its fork ik_llama.cpp (IQ4_KS_R4), and mixtures of those who convert (Q8_K_P)
    r"[it]?q[1-8]_(?:k(?:v|ss?|l|t)?|bn|xxs|xs|s|m|nl|xl|\d)(?:_(?:xxs|xs|xl|[a-z]|r?\d{1,2}))*|q[2-8](?![._]?\d)"
    r"|bf16(?:_r16)?|fp?16|fp?32|fp8|fp4|nvfp4|mxfp[48](?:_moe)?|nf4|int[48]|w\d{1,2}a\d{1,2}|[2-8]-?bits?"
    r"|1\.58(?:-?bits?)?"
    r"|gptq|awq|bnb|hqq|aqlm|eetq|\d(?:\.\d{1,2})?bpw|b1\.58)(?![a-z0-9])",
    re.I,
)
DATE = re.compile(r"(?<![\w.])(20\d\d-[01]\d(?:-[0-3]\d)?|[01]\d-20\d\d|20\d{6}|\d{4})(?![\w.])")
SHORT_DATE = re.compile(r"2[2-9](0[1-9]|1[0-2])|(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])|20[12]\d")
SIZE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)([bmt])|(\d{1,3})b(\d)")  # 7b, 135m, 1.5b; 7b1 is 7.1
EXPERTS = re.compile(r"(\d{1,3})x(\d{1,4}(?:\.\d{1,3})?)([bm])")
ACTIVE = re.compile(r"([ae])(\d{1,4}(?:\.\d{1,3})?)([bm])")
VERSION = re.compile(r"v?(\d{1,3}(?:\.\d{1,3})*[a-fh-z]?)|([a-km-z]\d{1,2}(?:\.\d{1,2})?)")
WORD = re.compile(r"([a-z]{2,})(\d{1,3}(?:\.\d{1,3})*[a-z]?)?")
ODD = re.compile(r"[a-uw-z]|v(?!\d)")  # a first word that no pattern fits: c4ai, o3, e5
TOKENS = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,3})?[bmt])(?:t|[-_]?tok(?:ens?)?)(?![a-z0-9])", re.I)
GROUP = re.compile(r"(\d{2,4})g|gs?(\d{2,4})")  # 4 bits in groups of 128: 4bit-128g
PIXELS = r"(\d{3,4})(?:px)?"
PICTURES = re.compile(r"(?:^|-)(?:vit|clip|siglip|paligemma)|patch")  # families that read pictures of one size
CACHED = re.compile(r"(?:^|[/\\])models--(?:([^/\\]+?)--)?([^/\\]+)(?:[/\\].*?)??(?:[/\\]([^/\\]+\.[a-z]+))?$", re.I)
GLUED = re.compile(r"([a-z]+)(\d{1,4}(?:\.\d{1,3})?[bm])")


@cache
def _rows(table: str) -> tuple[dict[str, str], ...]:
    with (_REFERENCE / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def kinds() -> dict[str, str]:
    """Word -> variant, size or format."""
    return {row["word"]: row["kind"] for row in _rows("name_words")}


@cache
def families() -> frozenset[str]:
    """The families of the catalogue, in small letters."""
    return frozenset(row["family"] for row in _rows("models"))


@cache
def makers() -> frozenset[str]:
    """Who publishes them, as the catalogue writes it and as Hugging Face does, in small letters."""
    ids = {row["hugging_face"].partition("/")[0] for row in _rows("models")}
    return frozenset(maker.lower() for maker in {row["organisation"] for row in _rows("models")} | ids if maker)
