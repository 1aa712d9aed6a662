"""Page 11: its own sampler against llama.cpp's chain, wrong samplers that must be caught, and what it says of SmolLM2.

The functions are taken from the page's cells: they stand nowhere else.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workbook import models, paths
from workbook.engines import Options, llama

pytest.importorskip("llama_cpp")

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


def sampler(m: llama.Model, *replaced: tuple[str, str]) -> dict[str, Any]:
    """The page's sampler, with pieces of its code replaced."""
    code = "\n\n".join(source(name) for name in SAMPLER)
    for old, new in replaced:
        assert code.count(old) == 1, f"the page has changed: {old!r} is there {code.count(old)} times"
        code = code.replace(old, new)
    names: dict[str, Any] = {"np": np, "m": m}
    exec(code, names)
    return names


@pytest.fixture(scope="module")
def m() -> Iterator[llama.Model]:
    with llama.Model(models.packaged(), n_threads=1) as model:
        yield model


@pytest.fixture(scope="module")
def page(m: llama.Model) -> dict[str, Any]:
    return sampler(m)


@pytest.fixture(scope="module")
def vectors(m: llama.Model) -> list[tuple[str, Logits, list[int]]]:
    """Logits after four texts, and made ones: ties, one giant, all equal, all negative; each with tokens said before."""
    found = []
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


def agrees(page: dict[str, Any], case: Case) -> bool:
    """Same tokens and probabilities within 1e-5, by the page's own comparison.

    One freedom is llama.cpp's: it sorts by an unstable sort, so which of several tokens with the *same* logit it keeps
    at the cut is left open. Then the logits kept must be the same, and the probabilities in order of size.
    """
    _, z, seen, o = case
    same, gap = page["compare"](z, seen, o)
    if same:
        return bool(gap < 1e-5)
    ids, ours = page["distribution"](z, seen, o)
    engine_ids, theirs = page["m"].distribution(o, z, seen)
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
    assert all(page["compare"](*case[1:])[0] for case in strict)


def test_the_draw_follows_the_probabilities(m: llama.Model, page: dict[str, Any]) -> None:
    """llama.cpp draws what the page's distribution says: 2,000 draws of five tokens, by a chi-squared bound."""
    m.reset()
    m.decode(m.tokenize("Once upon a time, there was a"))
    o = Options(temperature=1.0, top_k=5, top_p=1.0, min_p=0.0)
    ids, probs = page["distribution"](m.logits(), [], o)
    with m.sampler(o) as chain:
        drawn = [chain.sample() for _ in range(2000)]
    counts = np.array([drawn.count(int(i)) for i in ids])
    assert counts.sum() == 2000
    assert ((counts - 2000 * probs) ** 2 / (2000 * probs)).sum() < 18.5  # 4 degrees of freedom: 0.1% of the time above


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
def test_a_wrong_sampler_is_caught(name: str, m: llama.Model, cases: list[Case]) -> None:
    wrong = sampler(m, *mutations(name))
    assert any(not agrees(wrong, case) for case in reversed(cases))


@pytest.mark.parametrize("name", [None, "top-p drops the one that crosses", "penalty last", "temperature first"])
def test_the_page_itself_catches_a_wrong_sampler(name: str | None, m: llama.Model, monkeypatch: Any) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = namespace(m)
    for cell in ["read", "first-logits", "softmax", "softmax-sum", "bird-figure", "capital-figure"]:
        exec(source(cell), names)
    names.update(sampler(m, *mutations(name)) if name else sampler(m))
    with pytest.raises(AssertionError) if name else contextlib.nullcontext():
        exec(source("compare-run"), names)


def namespace(m: llama.Model) -> dict[str, Any]:
    """What the page's first cell imports, around this model."""
    from workbook import plots
    from workbook.exercises import check

    return {"np": np, "m": m, "paths": paths, "plots": plots, "check": check, "Options": Options, "llama": llama}


def stored(name: str) -> str:
    """What the page shows a cell to have printed."""
    streams = [out["text"] for out in CELLS[name]["outputs"] if out["output_type"] == "stream"]
    return "".join(text if isinstance(text, str) else "".join(text) for text in streams)


@pytest.mark.parametrize("setting", [{"flash_attn": "off", "n_ubatch": 1}, {"type_k": "f32", "type_v": "f32"}], ids=str)
def test_compared_outputs_hold_under_another_rounding_and_the_prose_is_true(
    setting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell up to the engine, on logits that are rounded otherwise, prints what the page stores."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    with llama.Model(models.packaged(), n_threads=1, **setting) as model:
        names = namespace(model)
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


def test_two_roundings_tell_two_stories() -> None:
    names: dict[str, Any] = {"np": np}
    exec(source("generate"), names)
    start = (paths.data() / "prompts" / "once-upon-a-time.txt").read_text(encoding="utf-8").strip()
    texts = set()
    for flash in ("on", "off"):
        with llama.Model(models.packaged(), n_threads=1, flash_attn=flash) as model:
            texts.add(tuple(names["generate"](model, start, 24)))
    assert len(texts) == 2
