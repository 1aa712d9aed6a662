"""What the explorer shows at every position, without a browser; what a stored page keeps; every figure shows."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Sequence
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest

from programs.site import islands
from workbook.widgets import TEMPERATURES, TOP_KS, TOP_PS, Frame, SamplingExplorer

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


def test_settings_mean_what_they_say(explorer: SamplingExplorer) -> None:
    assert len(at(explorer, top_k="3").rows) == 3
    assert at(explorer, temperature="0").values == (100.0,)
    assert at(explorer, top_k="1").caption == "1 token can be drawn: no chance is left."
    assert at(explorer, temperature="2").values[0] < at(explorer).values[0] < at(explorer, temperature="0.4").values[0]
    assert len(at(explorer, top_p="0.25").rows) == 1


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
    width, height = struct.unpack(">II", first["image/png"][16:24])
    assert width > 300 < 3 * height
    assert "application/vnd.jupyter.widget-view+json" in first
    at(explorer, top_k="1")
    later = bundle()
    assert later["text/plain"] == first["text/plain"]
    assert later["image/png"] != first["image/png"]


def test_every_figure_of_a_page_shows() -> None:
    """In a kernel, where the backend loads late: the second figure must show as the first does."""
    draw = "from workbook import plots\nfig = plots.token_bars({'a': [('x', 0.5)]}, 'title')"
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(draw) for _ in range(3)])
    nbclient.NotebookClient(page, timeout=60).execute()
    assert [[out.output_type for out in cell.outputs] for cell in page.cells] == [["display_data"]] * 3
