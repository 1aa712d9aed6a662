"""Page 13: the catalogue holds the guides' models, and its sizes are those that the models' shapes give."""

from __future__ import annotations

import re

import nbformat
import pytest

from workbook import facts, names, paths

PAGES = [paths.notebooks() / name for name in ("1_theory/13_model_names.ipynb", "9_evidence/93_model_names.ipynb")]
CELLS = [cell for page in PAGES for cell in nbformat.read(page, as_version=4).cells]
TEXT = "\n\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
MODELS = facts.table("models").set_index("name")
GUIDE = {
    "deepseek-r1": "1.5b 7b 8b 14b 32b 70b 671b", "deepseek-v3": "671b", "llama3.3": "70b", "llama3.2-vision": "11b 90b",
    "llama3.2": "1b 3b", "codellama": "7b 13b 34b 70b", "qwen2.5": "0.5b 1.5b 3b 7b 14b 32b 72b",
    "qwen2.5-coder": "0.5b 1.5b 3b 7b 14b 32b", "qwq": "32b", "phi4": "14b", "gemma2": "2b 9b 27b", "codegemma": "2b 7b",
    "mistral": "7b", "mistral-large": "123b", "mistral-small": "22b",
}  # fmt: skip
OUTLINE = ["mistral-small:22b", "llama-7b", "llama-13b", "llama-30b", "gpt-3", "gpt-4", "gpt-4o", "mistral-nemo:12b"]


def test_every_model_and_size_of_the_guides_is_in_the_catalogue() -> None:
    guide = [f"{family}:{size}" for family, sizes in GUIDE.items() for size in sizes.split()]
    lists = facts.table("model_lists").groupby("listed")["models"].agg(" ".join).str.split()
    assert lists["guide, 2025"] == guide
    named = [*guide, *lists["catalogue, November 2026"], *OUTLINE, "all-minilm:l6-v2"]
    assert not [name for name in named if name not in MODELS.index]


def test_sizes_are_billions_and_only_those_that_were_published() -> None:
    assert MODELS["params_b"].dropna().between(0.01, 2000).all()
    moe = MODELS.dropna(subset=["active_b", "params_b"])
    assert (moe["active_b"] < moe["params_b"]).all()
    assert MODELS.loc[["gpt-4", "gpt-4o", "gemma3n:e4b"], "params_b"].isna().all()


SHAPES = {  # layers, width, feed-forward, heads, heads of keys and values, their width, vocabulary, as in config.json
    "llama2:7b": (32, 4096, 11008, 32, 32, 128, 32000), "llama2:13b": (40, 5120, 13824, 40, 40, 128, 32000),
    "llama2:70b": (80, 8192, 28672, 64, 8, 128, 32000), "codellama:7b": (32, 4096, 11008, 32, 32, 128, 32016),
    "codellama:13b": (40, 5120, 13824, 40, 40, 128, 32016), "codellama:34b": (48, 8192, 22016, 64, 8, 128, 32000),
    "codellama:70b": (80, 8192, 28672, 64, 8, 128, 32016), "llama3.1:8b": (32, 4096, 14336, 32, 8, 128, 128256),
    "llama3.1:70b": (80, 8192, 28672, 64, 8, 128, 128256), "llama3.3:70b": (80, 8192, 28672, 64, 8, 128, 128256),
    "llama3.1:405b": (126, 16384, 53248, 128, 8, 128, 128256), "llama-7b": (32, 4096, 11008, 32, 32, 128, 32000),
    "llama-30b": (60, 6656, 17920, 52, 52, 128, 32000), "deepseek-r1:8b": (32, 4096, 14336, 32, 8, 128, 128256),
    "deepseek-r1:70b": (80, 8192, 28672, 64, 8, 128, 128256), "mistral:7b": (32, 4096, 14336, 32, 8, 128, 32768),
    "mistral-nemo:12b": (40, 5120, 14336, 32, 8, 128, 131072), "mistral-small:22b": (56, 6144, 16384, 48, 8, 128, 32768),
    "mistral-small:24b": (40, 5120, 32768, 32, 8, 128, 131072), "devstral:24b": (40, 5120, 32768, 32, 8, 128, 131072),
    "magistral:24b": (40, 5120, 32768, 32, 8, 128, 131072), "ministral-8b": (36, 4096, 12288, 32, 8, 128, 131072),
    "mistral-large:123b": (88, 12288, 28672, 96, 8, 128, 32768), "smollm2:135m": (30, 576, 1536, 9, 3, 64, 49152),
    "smollm2:360m": (32, 960, 2560, 15, 5, 64, 49152), "smollm2:1.7b": (24, 2048, 8192, 32, 32, 64, 49152),
    "deepseek-r1:1.5b": (28, 1536, 8960, 12, 2, 128, 151936), "deepseek-r1:7b": (28, 3584, 18944, 28, 4, 128, 152064),
    "deepseek-r1:14b": (48, 5120, 13824, 40, 8, 128, 152064), "deepseek-r1:32b": (64, 5120, 27648, 40, 8, 128, 152064),
}  # fmt: skip


def weights(name: str) -> int:
    """Weights of a model built like Llama; Qwen's have a bias on queries, keys and values, SmolLM2's one table of words."""
    layers, width, feed, heads, kv, head, vocabulary = SHAPES[name]
    queries, keys = heads * head, kv * head
    layer = 2 * width * (queries + keys) + 3 * width * feed + 2 * width
    if MODELS.loc[name, "hugging_face"].count("Distill-Qwen"):
        layer += queries + 2 * keys
    tables = 1 if name.startswith("smollm2") else 2
    return layers * layer + tables * vocabulary * width + width


def test_the_count_is_right_where_it_is_known() -> None:
    """keras-hub presets (Llama 2 7B), the header of the packaged file, and models as published."""
    assert weights("llama2:7b") == 6_738_415_616
    assert weights("smollm2:135m") == 134_515_008
    assert weights("llama3.1:8b") == 8_030_261_248
    assert weights("deepseek-r1:1.5b") == 1_777_088_000


def test_parameters_are_those_of_the_shapes() -> None:
    assert MODELS["params_b"][list(SHAPES)].to_dict() == pytest.approx(
        {name: weights(name) / 1e9 for name in SHAPES}, rel=0.003
    )


def test_models_that_the_text_calls_restricted_are_so() -> None:
    for name in ("mistral-large:123b", "qwen2.5:3b"):
        assert re.search("Research|Non-Production", MODELS.loc[name, "licence"])
        assert f"`{name}`" in TEXT


def test_names_in_the_text_can_be_read() -> None:
    for name in re.findall(r"`([a-z][a-z0-9.-]*:[a-z0-9.]+(?:-[a-zA-Z0-9_]+)*)`", TEXT):
        assert names.parse(name).family
