"""Page 11: its own sampler against llama.cpp's chain, wrong samplers that must be caught, and what it says of SmolLM2.

The functions are taken from the page's cells: they stand nowhere else.
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
from workbook.engines import Options, connect, llama
from workbook.engines.embedded import Embedded
from workbook.engines.options import REPEAT_LAST_N

lib = pytest.importorskip("llama_cpp")

CELLS = {
    cell["id"]: cell
    for cell in json.loads((paths.notebooks() / "1_theory" / "11_next_token.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    if cell["cell_type"] == "code"
}
SAMPLER = [name for name, cell in CELLS.items() if "sampler" in cell["metadata"].get("tags", [])]
Logits = NDArray[np.float32]
Case = tuple[str, Logits, Sequence[int], Options]


def source(name: str) -> str:
    """The code of one cell of the page."""
    text = CELLS[name]["source"]
    return text if isinstance(text, str) else "".join(text)


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
    names = namespace(engine)
    for cell in ["read", "first-logits"]:
        exec(source(cell), names)
    names["capital_tokens"] = engine.tokenize(names["prompt"]("capital-of-france"))
    names.update(sampler(*mutations("temperature first")))
    exec(source("compare"), names)
    with pytest.raises(AssertionError, match="top_p"):
        exec(source("compare-run"), names)


def namespace(engine: Embedded) -> dict[str, Any]:
    """What the page's first cell leaves behind, with this engine."""
    lines = source("setup").splitlines()
    names: dict[str, Any] = {"engine": engine}
    exec("\n".join(line for line in lines if line.startswith(("from ", "import ", "vocabulary"))), names)
    return names


def stored(name: str) -> str:
    """What the page shows a cell to have printed."""
    streams = [out["text"] for out in CELLS[name]["outputs"] if out["output_type"] == "stream"]
    return "".join(text if isinstance(text, str) else "".join(text) for text in streams)


def test_compared_outputs_hold_under_another_rounding_and_the_prose_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell up to the engine, on logits that are rounded otherwise, prints what the page stores."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    with Embedded(n_threads=1) as other:
        other.context = replace(other.context, flash_attn="off", type_k="f32", type_v="f32")
        names = namespace(other)
        for name, cell in list(CELLS.items())[1 : list(CELLS).index("generate")]:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(source(name), names)
            if "nbval-ignore-output" not in cell["metadata"].get("tags", []):
                assert printed.getvalue() == stored(name), name
        top = names["likeliest"](names["probs"])
        assert top[0][0] == "','"
        assert not any(
            colour in token for token, _ in top for colour in ("bleu", "ble", "vert", "rouge", "noir", "blanc")
        )
        assert names["pieces"] == ["' ble'", "'u'"]
        assert names["factors"][0] < 1e-3 < 0.8 < names["factors"][1]
        assert all(en > 200 * fr for en, fr in zip(names["english"], names["french"], strict=True))
        assert 500 < names["after"][" bleu"] / names["before"][" bleu"] < 2500  # "about a thousand times"
        assert max(names["after"], key=names["after"].get) == " bleu"
        assert names["after"][" bleu"] < 0.1
        assert names["capital_probs"].max() > 0.7
        exec(source("generate"), names)  # two roundings tell two stories
        start = names["prompt"]("once-upon-a-time")
        with connect("embedded", quiet=True) as usual:
            assert names["generate"](usual, start, 24) != names["generate"](other, start, 24)
