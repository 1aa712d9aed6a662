"""What the widgets show at every position, without a browser; what a stored page keeps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from programs.site import islands
from workbook import plots
from workbook.widgets import LONGEST, TEMPERATURES, TOP_KS, TOP_PS, Frame, SamplingExplorer, TokenExplorer

NAMES = ["<b>", "&", "' le'", "'\\n'", "$x$", "'�'", "g", "h"]
LOGITS = np.array([4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0])


def distribution(temperature: float, top_k: int, top_p: float) -> tuple[Sequence[int], Sequence[float]]:
    """A sampler over eight tokens, not in order of size."""
    if temperature == 0:
        temperature, top_k = 1.0, 1
    kept = np.argsort(-LOGITS)[: top_k or None]
    e = np.exp(LOGITS[kept] / temperature)
    n = np.count_nonzero(np.cumsum(e / e.sum()) < top_p) + 1
    ids = kept[:n][::-1]
    e = np.exp(LOGITS[ids] / temperature)
    return ids, e / e.sum()


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch) -> SamplingExplorer:
    monkeypatch.setenv("MPLBACKEND", "agg")
    return SamplingExplorer(distribution, NAMES.__getitem__, n_bars=5)


def at(explorer: SamplingExplorer, temperature: str = "1", top_k: str = "off", top_p: str = "off") -> Frame:
    """What shows at these positions of the sliders."""
    wanted = (temperature, top_k, top_p)
    explorer.at = [control["choices"].index(text) for control, text in zip(explorer.controls, wanted, strict=True)]
    return explorer.frame()


def test_it_begins_with_the_bare_distribution(explorer: SamplingExplorer) -> None:
    begin = explorer.frame()
    expected = 100 * np.exp(LOGITS)[:5] / np.exp(LOGITS).sum()
    assert begin.values == pytest.approx(expected, abs=0.006)
    assert [explorer.names[row] for row in begin.rows] == NAMES[:5]
    assert begin.caption == "8 tokens can be drawn; the 5 shown hold 99 % of the probability."
    assert begin == at(explorer)


def test_every_position_shows_what_the_sampler_gave(explorer: SamplingExplorer) -> None:
    for temperature, top_k, top_p in itertools.product(TEMPERATURES, TOP_KS, TOP_PS):
        ids, probs = distribution(temperature, top_k, top_p)
        shown = at(explorer, f"{temperature:g}", f"{top_k}" if top_k else "off", f"{top_p:g}" if top_p < 1 else "off")
        expected = dict(sorted(zip(ids, 100 * np.asarray(probs), strict=True), key=lambda pair: -pair[1])[:5])
        assert [explorer.names[row] for row in shown.rows] == [NAMES[token] for token in expected]
        assert shown.values == pytest.approx(list(expected.values()), abs=0.006)
        assert shown.caption.startswith(f"{len(ids)} token")


def test_its_state_is_all_that_a_page_without_a_kernel_needs(explorer: SamplingExplorer) -> None:
    state = json.loads(json.dumps(explorer.get_state()))
    assert len(json.loads(state["frames"])) == np.prod([len(control["choices"]) for control in state["controls"]])
    assert len(json.dumps(state)) < 100_000
    assert islands.ENDING.search(state["_esm"])
    assert all(control["label"] for control in state["controls"])


def test_a_stored_page_keeps_a_picture_and_a_steady_text(explorer: SamplingExplorer) -> None:
    def bundle() -> dict[str, Any]:
        data, _ = explorer._repr_mimebundle_()
        return data

    first = bundle()
    assert first["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in first
    at(explorer, top_k="1")
    later = bundle()
    assert later["text/plain"] == first["text/plain"]
    assert later["image/png"] != first["image/png"]


def test_what_is_typed_is_cut_and_examples_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    explorer = TokenExplorer(lambda t: [(ord(c), c) for c in t], {"one": "ab $x$ <b>", "two": "é🐦"})
    held = json.loads(explorer.examples)
    assert [example["name"] for example in held] == ["one", "two"]
    assert held[1]["tokens"] == [[233, "é"], [0x1F426, "🐦"]]
    assert explorer.picture().startswith(b"\x89PNG")
    assert explorer.answered == 0, "a stored page must not say that a Python answers"
    explorer.asked = 1
    assert explorer.answered == 1
    for typed in ("hi", "", "x" * (LONGEST + 5), "half a character \ud83d"):
        explorer.typed = typed
        answer = json.loads(explorer.answer)
        assert answer["text"] == typed[:LONGEST]
        assert len(answer["tokens"]) == len(typed[:LONGEST])
    kinds = TokenExplorer(lambda t: [("family", t)], {"one": "llama"}, unit="parts")
    assert (kinds.unit, kinds.cut("qwen")["tokens"]) == ("parts", [["family", "qwen"]])
    assert "innerHTML" not in str(TokenExplorer._esm)
    assert islands.ENDING.search(str(TokenExplorer._esm))


def test_figures_keep_every_row_and_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tokens of one text stay two bars; an empty group keeps its row; a dollar sign begins no formula."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    ax = plots.spread({"a": [3.0, 3.0, 5.0], "none": [], "b": [1.0]}, "title", "seconds")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "none", "b"]
    assert sum(len(points.get_offsets()) for points in ax.collections) == 4
    bars = plots.token_bars({"$one": [("x$", 0.5), ("x$", 0.25)]}, "title").axes[0]
    assert [bar.get_width() for bar in bars.patches] == [50, 25]
    assert [label.get_text() for label in bars.get_yticklabels()] == [r"x\$", r"x\$"]
    assert plots.png(bars.figure).startswith(b"\x89PNG")
