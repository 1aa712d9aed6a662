"""Pages 11 and 91: their samplers against llama.cpp's chain, wrong ones that must be caught, and another rounding.

The functions are taken from the pages' cells: they stand nowhere else.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workbook import models, paths
from workbook.engines import Options, llama
from workbook.engines.embedded import Embedded
from workbook.engines.options import REPEAT_LAST_N

lib = pytest.importorskip("llama_cpp")


def code_cells(link: str) -> dict[str, dict[str, Any]]:
    """The page's code cells: id to cell."""
    cells = json.loads((paths.notebooks() / link).read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: cell for cell in cells if cell["cell_type"] == "code"}


PAGE, CELLS = code_cells("1_theory/11_next_token.ipynb"), code_cells("9_evidence/91_sampling.ipynb")
SAMPLER = [name for name, cell in CELLS.items() if "sampler" in cell["metadata"].get("tags", [])]
Logits = NDArray[np.float32]
Case = tuple[str, Logits, Sequence[int], Options]


def source(name: str, cells: dict[str, dict[str, Any]] = CELLS) -> str:
    """The code of one cell of the evidence page, or of another."""
    return "".join(cells[name]["source"])


def sampler(*replaced: tuple[str, str]) -> dict[str, Any]:
    """The page's sampler, with pieces of its code replaced."""
    code = "\n\n".join(source(name) for name in SAMPLER)
    for old, new in replaced:
        assert code.count(old) == 1, f"the page has changed: {old!r} is there {code.count(old)} times"
        code = code.replace(old, new)
    names: dict[str, Any] = {"np": np}
    exec(code, names)
    return names


def chain(o: Options, logits: Logits, seen: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What llama.cpp's own sampler chain leaves of these logits: ids and their probabilities."""
    made = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    penalties = lib.llama_sampler_init_penalties(len(logits), REPEAT_LAST_N, o.repeat_penalty, 0.0, 0.0)
    for token in seen[-REPEAT_LAST_N:]:
        lib.llama_sampler_accept(penalties, token)
    greedy = o.temperature == 0
    for step in (
        penalties,
        lib.llama_sampler_init_top_k(1 if greedy else o.top_k),
        lib.llama_sampler_init_top_p(o.top_p, 1),
        lib.llama_sampler_init_min_p(o.min_p, 1),
        lib.llama_sampler_init_temp(1.0 if greedy else o.temperature),
        lib.llama_sampler_init_dist(o.seed),
    ):
        lib.llama_sampler_chain_add(made, step)
    table = (lib.llama_token_data * len(logits))()
    view = np.frombuffer(table, dtype=[("id", "i4"), ("logit", "f4"), ("p", "f4")])
    view["id"], view["logit"] = np.arange(len(logits)), logits
    data = ctypes.cast(table, lib.llama_token_data_p)
    array = lib.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)
    lib.llama_sampler_apply(made, ctypes.byref(array))
    kept = np.array([(array.data[i].id, array.data[i].p) for i in range(array.size)])
    lib.llama_sampler_free(made)
    return kept[:, 0].astype(np.int32), kept[:, 1].astype(np.float32)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return sampler()


@pytest.fixture(scope="module")
def engine() -> Iterator[Embedded]:
    with Embedded(n_threads=1) as ready:
        yield ready


@pytest.fixture(scope="module")
def vectors() -> list[tuple[str, Logits, list[int]]]:
    """Logits after four texts, and made ones: ties, one giant, all equal, all negative; each with tokens said before."""
    found = []
    with llama.Model(models.packaged(), n_threads=1) as m:
        for text in ("Quand je dis l'oiseau, vous dites", "The capital of France is", "the the the the the",
                     "Snow is white. " * 20):  # fmt: skip
            tokens = m.tokenize(text)
            m.reset()
            m.decode(tokens)
            found.append((text[:20], m.logits(), tokens))
        rng = np.random.default_rng(11)
        noise = rng.normal(0, 3, m.n_vocab).astype(np.float32)
    giant = noise.copy()
    giant[777] = 500
    made = {"noise": noise, "ties": np.round(noise), "giant": giant, "negative": noise - 100, "equal": 0 * noise}
    return found + [(name, z.astype(np.float32), [1, 2, 3, 777]) for name, z in made.items()]


@pytest.fixture(scope="module")
def cases(vectors: list[tuple[str, Logits, list[int]]]) -> list[Case]:
    """Every corner on every vector, and combinations drawn once and for all: about 330."""
    off = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
    corners: list[dict[str, Any]] = [
        {}, {"temperature": 0.0}, {"temperature": 0.0, "repeat_penalty": 1.5}, {"temperature": 0.01},
        {"temperature": 5.0}, {"top_k": 1}, {"top_k": 2}, {"top_k": 128}, {"top_k": 129}, {"top_k": 10**6},
        {"top_p": 0.0}, {"top_p": 1e-6}, {"top_p": 0.5}, {"top_p": 0.99}, {"top_p": 0.9999}, {"min_p": 1.0},
        {"min_p": 0.05}, {"min_p": 1e-6}, {"repeat_penalty": 1.3}, {"repeat_penalty": 0.7}, {"repeat_penalty": 10.0},
    ]  # fmt: skip
    rng = np.random.default_rng(12)
    drawn: list[dict[str, Any]] = [
        {
            "temperature": float(rng.choice([0.2, 0.7, 1.0, 1.5, 3.0])), "top_k": int(rng.choice([0, 0, 5, 40, 1000])),
            "top_p": float(rng.choice([0.5, 0.9, 0.95, 0.99, 0.995, 1.0])),
            "min_p": float(rng.choice([0.0, 0.0, 0.001, 0.05, 0.3])),
            "repeat_penalty": float(rng.choice([1.0, 1.1, 1.3, 2.0])),
        }
        for _ in range(16)
    ]  # fmt: skip
    return [(v, z, seen, Options(**{**off, **c})) for v, z, seen in vectors for c in corners + drawn]


def agrees(page: dict[str, Any], case: Case, strict: bool = False) -> bool:
    """Same tokens and probabilities within 1e-5.

    One freedom is llama.cpp's: it sorts by an unstable sort, so which of several tokens with the *same* logit it keeps
    at the cut is left open. Then the logits kept must be the same, and the probabilities in order of size.
    """
    _, z, seen, o = case
    ids, ours = page["distribution"](z, seen, o)
    engine_ids, theirs = chain(o, z, seen)
    a, b = np.zeros(len(z)), np.zeros(len(z))
    a[ids], b[engine_ids] = ours, theirs
    if strict or set(ids.tolist()) == set(engine_ids.tolist()):
        return bool(abs(a - b).max() < 1e-5)
    at_stake = page["penalize"](z, seen, o.repeat_penalty)[list(set(ids.tolist()) ^ set(engine_ids.tolist()))]
    tied = len(ids) == len(engine_ids) and len(set(at_stake.tolist())) == 1
    return tied and bool(np.abs(np.sort(ours) - np.sort(theirs)).max() < 1e-5)


def test_the_page_samples_as_llama_cpp_does(page: dict[str, Any], cases: list[Case]) -> None:
    assert len(cases) >= 300
    wrong = [(case[0], case[3]) for case in cases if not agrees(page, case)]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:3]}"


def test_without_ties_the_tokens_are_the_very_same(page: dict[str, Any], cases: list[Case]) -> None:
    strict = [case for case in cases if case[0] in ("noise", "giant")]
    assert len(strict) > 70
    assert all(agrees(page, case, strict=True) for case in strict)


def test_the_draw_follows_the_probabilities(engine: Embedded) -> None:
    """The engine draws what it says that it draws: 600 draws of five tokens, by a chi-squared bound."""
    start, o = "Once upon a time, there was a", {"temperature": 1.0, "top_k": 5, "top_p": 1.0, "min_p": 0.0}
    likely = engine.next_tokens(start, sampled=True, **o)
    drawn = [engine.complete(start, num_predict=1, seed=seed, **o).text for seed in range(600)]
    counts, probs = np.array([drawn.count(t.text) for t in likely]), np.exp([t.logprob for t in likely])
    assert counts.sum() == 600
    assert ((counts - 600 * probs) ** 2 / (600 * probs)).sum() < 18.5  # 4 degrees of freedom: 0.1% of the time above


def test_the_engine_tells_the_probabilities_that_llama_cpp_computes(engine: Embedded) -> None:
    text = "The capital of France is"
    with llama.Model(models.packaged(), n_threads=1) as m:
        tokens = m.tokenize(text)
        m.decode(tokens)
        theirs = sampler()["softmax"](m.logits())
        assert engine.tokenize(text) == tokens
        told = engine.next_tokens(tokens)
        assert sorted(t.id for t in told) == list(range(m.n_vocab))
        assert {t.id: t.text for t in told}[tokens[1]] == m.text(tokens[1:2])
        special = [t for t in told if t.id in (m.eos, m.bos)]
    ours = np.empty(len(told))
    ours[[t.id for t in told]] = np.exp([t.logprob for t in told])
    assert ours.sum() == pytest.approx(1, abs=1e-3)
    assert np.abs(ours - theirs).max() < 0.02, "another build rounds otherwise"
    assert [t.logprob for t in told] == sorted((t.logprob for t in told), reverse=True)
    assert {t.text for t in special} == {""}
    assert engine.next_tokens(text, n=3) == told[:3]


WRONG = {
    "top-p drops the one that crosses": ("np.count_nonzero(cumulated < p) + 1", "max(1, np.count_nonzero(cumulated < p))"),
    "top-p keeps one too many": ("np.count_nonzero(cumulated < p) + 1", "np.count_nonzero(cumulated < p) + 2"),
    "top-p wants more than p": ("cumulated < p)", "cumulated <= p)"),
    "top-p with exact sums": ("(e / np.cumsum(e)[-1])[order]", "softmax(z[ids])[order]"),
    "top-k keeps one too many": ("[:k]", "[: k + 1]"),
    "min-p with another logarithm": ("np.log(share)", "np.log10(share)"),
    "the penalty only divides": ("z[ids] / r, z[ids] * r", "z[ids] / r, z[ids] / r"),
    "the penalty sees all tokens": ("seen[-last_n:]", "seen"),
    "the penalty counts repeats": ("np.unique(np.asarray(seen[-last_n:], dtype=int))", "np.asarray(seen[-last_n:-1], dtype=int)"),
    "no temperature": ("z[ids] / o.temperature", "z[ids]"),
    "temperature first": (
        "z = penalize(logits, seen, o.repeat_penalty)",
        "z = penalize(logits, seen, o.repeat_penalty); z = z / o.temperature if o.temperature else z; o = o.but({'temperature': 1.0 if o.temperature else 0.0})",
    ),
    "top-p before top-k": (
        "    ids = top_k(z, ids, o.top_k)\n    ids = top_p(z, ids, o.top_p)\n",
        "    ids = top_p(z, ids, o.top_p)\n    ids = top_k(z, ids, o.top_k)\n",
    ),
    "penalty last": (
        "    if o.temperature == 0:\n        return ids[[",
        "    z = penalize(z, seen, o.repeat_penalty)\n    if o.temperature == 0:\n        return ids[[",
    ),
}  # fmt: skip


def mutations(name: str) -> list[tuple[str, str]]:
    """What to replace in the page for one wrong sampler."""
    extra = [("z = penalize(logits, seen, o.repeat_penalty)", "z = logits")] if name == "penalty last" else []
    return [*extra, WRONG[name]]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_sampler_is_caught(name: str, cases: list[Case]) -> None:
    wrong = sampler(*mutations(name))
    assert any(not agrees(wrong, case) for case in reversed(cases))


def test_the_page_itself_catches_a_wrong_sampler(engine: Embedded) -> None:
    names = namespace(engine, CELLS)
    for cell in ["read", "softmax", "first-logits"]:
        exec(source(cell), names)
    names.update(sampler(*mutations("temperature first")))
    exec(source("compare"), names)
    with pytest.raises(AssertionError, match="top_p"):
        exec(source("compare-run"), names)


def namespace(engine: Embedded, cells: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the page's first cell leaves behind, with this engine."""
    head = [line for line in source("setup", cells).splitlines() if line.startswith(("from ", "import ", "vocabulary"))]
    names: dict[str, Any] = {"engine": engine}
    exec("\n".join(head), names)
    return names


def stored(cell: dict[str, Any]) -> str:
    """What the page shows a cell to have printed."""
    return "".join("".join(out["text"]) for out in cell["outputs"] if out["output_type"] == "stream")


def test_page_11_holds_under_another_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its compared cells print what is stored, and its prose on SmolLM2 is true, with logits that are rounded otherwise."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    with Embedded(n_threads=1) as other:
        other.context = replace(other.context, flash_attn="off", type_k="f32", type_v="f32")
        names = namespace(other, PAGE)
        for name, cell in list(PAGE.items())[1:]:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(source(name, PAGE), names)
            if "nbval-ignore-output" not in cell["metadata"].get("tags", []):
                assert printed.getvalue() == stored(cell), name
    bird, capital = names["panels"].values()
    assert bird[0][0] == "','"
    assert not any(colour in token for token, _ in bird for colour in ("ble", "vert", "rou", "noir", "blanc"))
    assert capital[0][0] == "' Paris'"
    assert capital[0][1] > 0.75  # the exercise and the sliders speak of 0.77
    assert names["factors"][0] < 1e-3 < 0.8 < names["factors"][1]
    english, french, bleu, rouge, bleu_shown, rouge_shown = names["told"]
    assert 5e3 < english / french < 2e4  # "some ten thousand times"
    assert 1000 < bleu_shown / bleu < rouge_shown / rouge


def test_page_11_keeps_the_tokens_that_llama_cpp_keeps(vectors: list[tuple[str, Logits, list[int]]]) -> None:
    off = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
    names: dict[str, Any] = {"np": np}
    exec(source("temperature", PAGE).partition("words")[0] + source("distribution", PAGE), names)
    for change in (
        {"top_k": 40},
        {"top_p": 0.9},
        {"temperature": 2.0},
        {"temperature": 0.0},
        {"top_k": 9, "top_p": 0.7},
    ):
        for _, z, _ in vectors:
            _, theirs = chain(Options(**{**off, **change}), z, [])
            ours = names["distribution"](np.sort(z)[::-1], **change)
            n = min(len(ours), len(theirs))
            assert max(len(ours), len(theirs)) <= 1.01 * n, change  # llama.cpp adds in 32 bits, the page in 64
            assert np.abs(ours[:n] - np.sort(theirs)[::-1][:n]).max() < 1e-3
