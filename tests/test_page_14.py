"""Page 14: its own forward pass against llama.cpp on models it has not seen, and wrong passes that must be caught."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import page_cells
import pytest
from numpy.typing import NDArray

from workbook import facts, models
from workbook.engines import llama
from workbook.errors import BadOption

pytest.importorskip("llama_cpp")

LINK = "1_theory/14_transformer.ipynb"
CELLS = page_cells.load(LINK)
SETTING = re.search(r"^n_layer.*?one head$", CELLS["open-it"], flags=re.M | re.S)
assert SETTING, "the page has changed"
CELLS["set-up of one file"] = f"hp, w = open_llama(file)\n{SETTING[0]}"
PASS = [*page_cells.tagged(LINK, "forward"), "set-up of one file"]
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 60]
Logits = NDArray[np.float32]


def page(file: Path, wrong: tuple[str, str] = ("", "")) -> Any:
    """What the page's forward pass leaves behind on the model in ``file``."""
    return page_cells.run(CELLS, *PASS, wrong=wrong, file=file)


def tiny(path: Path, n_head: int = 4, n_kv: int = 2, d: int = 16, tied: bool = False, **more: Any) -> Path:
    """A Llama of two layers with random weights, with what SmolLM2 does not have: other shapes, an output head.

    ``more``: ``scaling`` (a type of RoPE scaling) or ``extra`` (a further tensor's name).
    """
    rng, width, wide, n_vocab = np.random.default_rng(0), 64, 96, 61
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(2)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(n_head)
    writer.add_head_count_kv(n_kv)
    writer.add_key_length(d)
    writer.add_value_length(d)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(5000.0)
    writer.add_rope_dimension_count(d)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if "scaling" in more:
        writer.add_rope_scaling_type(more["scaling"])
        writer.add_rope_scaling_factor(2.0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"t{i}" for i in range(n_vocab - 3))])
    writer.add_token_scores([0.0] * n_vocab)
    writer.add_token_types([2, 3, 3, *[1] * (n_vocab - 3)])
    shapes = {"token_embd": (n_vocab, width), "output_norm": (width,)} | ({} if tied else {"output": (n_vocab, width)})
    for i in range(2):
        shapes |= {
            f"blk.{i}.{name}": shape
            for name, shape in {
                "attn_norm": (width,), "ffn_norm": (width,), "attn_q": (n_head * d, width),
                "attn_k": (n_kv * d, width), "attn_v": (n_kv * d, width), "attn_output": (width, n_head * d),
                "ffn_gate": (wide, width), "ffn_up": (wide, width), "ffn_down": (width, wide),
            }.items()
        }  # fmt: skip
    if "extra" in more:
        shapes[more["extra"]] = (width,)
    for name, shape in shapes.items():
        scale = 1.0 if len(shape) == 1 else 3 / np.sqrt(shape[1])  # attention far from even, logits far from 0
        weight = rng.normal(1.0 if len(shape) == 1 else 0.0, 0.3 if len(shape) == 1 else scale, size=shape)
        writer.add_tensor(f"{name}.weight", weight.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def engine(file: Path, tokens: list[int]) -> Logits:
    """llama.cpp's logits after every one of the tokens, with everything in F32."""
    rows = []
    with llama.Model(file, n_ctx=64, n_threads=1, type_k="f32", type_v="f32", flash_attn="off") as model:
        for token in tokens:
            model.decode([token])
            rows.append(model.logits())
    return np.array(rows)


def off(ours: Logits, theirs: Logits) -> float:
    """The largest difference, as a part of the spread of the logits."""
    return float(np.abs(ours - theirs).max() / theirs.std())


@pytest.mark.parametrize(
    "shape",
    [{}, {"n_kv": 4}, {"n_kv": 1}, {"tied": True}, {"n_head": 2, "n_kv": 1, "d": 32}, {"d": 24}],
    ids=["two share", "no sharing", "all share", "tied", "as SmolLM2's width", "heads wider than the stream"],
)
def test_the_page_computes_what_llama_cpp_computes(tmp_path: Path, shape: dict[str, Any]) -> None:
    file = tiny(tmp_path / "tiny.gguf", **shape)
    ours = page(file)["forward"](TOKENS)
    theirs = engine(file, TOKENS)
    assert ours.dtype == np.float32
    assert theirs.std() > 0.5
    assert off(ours, theirs) < 1e-4
    assert np.array_equal(ours.argmax(1), theirs.argmax(1))


WRONG = {
    "the halves paired": ("even, odd = x[..., 0::2], x[..., 1::2]", "even, odd = x[..., :d // 2], x[..., d // 2:]"),
    "turned the other way": (
        "turned[..., 1::2] = even * sin + odd * cos",
        "turned[..., 1::2] = odd * cos - even * sin",
    ),
    "another base": ("base ** (-np.arange(0, d, 2) / d)", "base ** (-np.arange(0, d, 2) / n_embd)"),
    "it looks ahead": ("<= positions[:, None]", "<= positions[:, None] + 1"),
    "it does not see itself": ("<= positions[:, None]", "<= np.maximum(positions[:, None] - 1, 0)"),
    "heads share with the wrong one": ("g = h // (n_head // n_kv)", "g = h % n_kv"),
    "no root of d": ("/ np.sqrt(np.float32(d))", ""),
    "a sigmoid for the gate": ("silu = gate / (1 + np.exp(-gate))", "silu = 1 / (1 + np.exp(-gate))"),
    "no mean in the norm": ("(x * x).mean(axis=-1, keepdims=True)", "(x * x).sum(axis=-1, keepdims=True)"),
    "nothing added": ("x = x + feed_forward(", "x = feed_forward("),
    "always tied": ('w.get("output.weight", w["token_embd.weight"])', 'w["token_embd.weight"]'),
    "no last norm": ('x = rms_norm(x, w["output_norm.weight"])', ""),
}


def test_a_wrong_pass_differs(tmp_path: Path) -> None:
    file = tiny(tmp_path / "tiny.gguf")
    theirs = engine(file, TOKENS)
    for name, wrong in WRONG.items():
        assert off(page(file, wrong)["forward"](TOKENS), theirs) > 0.01, name


def test_what_the_page_cannot_compute_is_refused_in_one_line(tmp_path: Path) -> None:
    strange: list[tuple[dict[str, Any], str]] = [
        ({"extra": "rope_freqs"}, "rope_freqs.weight"),  # Llama 3.1
        ({"extra": "blk.0.ffn_gate_inp"}, "ffn_gate_inp.weight"),  # a mixture of experts
        ({"extra": "blk.1.attn_q_norm"}, "attn_q_norm.weight"),
        ({"scaling": gguf.RopeScalingType.LINEAR}, "a stretched RoPE"),
    ]
    files = [(tiny(tmp_path / f"{i}.gguf", **more), named) for i, (more, named) in enumerate(strange)]
    for file, named in [*files, (models.minilm(), "this page computes 'llama', not 'bert'")]:
        with pytest.raises(BadOption, match=re.escape(named)) as refusal:
            page(file)
        assert "\n" not in str(refusal.value)


def test_the_table_of_families_has_the_outlines_and_its_years() -> None:
    table = facts.table("architectures")
    outline = ["Transformer", "BERT", "GPT", "T5", "XLNet", "BART", "Turing-NLG", "Reformer", "ALBERT", "Llama"]
    assert set(outline) == set(table[table.outline_says.notna()].family)
    assert (table.outline_says.notna() == table.correction.notna()).all()
    for row in table.itertuples():
        cited = re.search(r"arXiv (\d\d)\d\d\.\d{5}", row.source)
        if cited and row.family != "GPT":  # its paper is on no server; the one cited is GPT-3's
            assert int(cited[1]) + 2000 == row.year, row.family


def test_speeds_that_two_tables_hold_are_the_same() -> None:
    ours, other = facts.table("bandwidth_8b"), facts.table("quantization_speed")
    both = ours.merge(other, on=["machine", "name", "source"])
    assert set(both.machine) >= {"RTX 3070", "RTX 3090", "RTX 4090"}
    assert (both.pp_ts == both.pp512_ts).all()
    assert (both.tg_ts == both.tg512_ts).all()
    assert (ours.tg_ts < ours.bandwidth_gb_s / ours.size_gb).all()
