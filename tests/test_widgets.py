"""The explorer's sliders redraw its bars, without a browser; what a stored page keeps; every figure of a page shows."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest

from workbook.widgets import SamplingExplorer

NAMES = ["<b>", "&", "' le'", "'\\n'", "$x$", "'�'", "g", "h"]
LOGITS = np.array([4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0])


def distribution(temperature: float, top_k: int, top_p: float) -> tuple[Sequence[int], Sequence[float]]:
    """A sampler over eight tokens, not in order of size."""
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


def percents(explorer: SamplingExplorer) -> list[float]:
    """The numbers of the table, from the top."""
    return [float(p) for p in re.findall(r">([\d.]+) %<", explorer.bars.value)]


def widths(explorer: SamplingExplorer) -> list[float]:
    """The lengths of the bars in pixels."""
    return [float(w) for w in re.findall(r"<div style=\"width:([\d.]+)px", explorer.bars.value)]


def test_it_shows_the_likeliest_first_and_counts_the_rest(explorer: SamplingExplorer) -> None:
    expected = 100 * np.exp(LOGITS)[:5] / np.exp(LOGITS).sum()
    assert percents(explorer) == [round(p, 1) for p in expected]
    assert widths(explorer) == pytest.approx(300 * expected / expected[0], abs=0.06)
    assert "8 tokens can be drawn; the 5 shown hold 99 %" in explorer.bars.value


@pytest.mark.parametrize(("slider", "value"), [("temperature", 2.0), ("top_k", 3), ("top_p", 0.5)])
def test_every_slider_redraws_table_and_picture(explorer: SamplingExplorer, slider: str, value: float) -> None:
    bars, picture = explorer.bars.value, explorer.picture()
    start = getattr(explorer, slider).value
    getattr(explorer, slider).value = value
    assert explorer.bars.value != bars
    assert explorer.picture() != picture
    getattr(explorer, slider).value = start
    assert explorer.bars.value == bars


def test_settings_mean_what_they_say(explorer: SamplingExplorer) -> None:
    explorer.top_k.value = 2
    assert len(percents(explorer)) == 2
    explorer.temperature.value = 0
    assert percents(explorer) == [100.0]
    explorer.top_k.value, explorer.temperature.value, explorer.top_p.value = 0, 2.0, 1.0
    assert percents(explorer)[0] < 100 * np.exp(4) / np.exp(LOGITS).sum()


def test_every_corner_of_the_sliders_draws(explorer: SamplingExplorer) -> None:
    for temperature in (explorer.temperature.min, 0.1, explorer.temperature.max):
        for top_k in (explorer.top_k.min, 1, explorer.top_k.max):
            for top_p in (explorer.top_p.min, explorer.top_p.max):
                explorer.temperature.value, explorer.top_k.value, explorer.top_p.value = temperature, top_k, top_p
                shown = percents(explorer)
                assert shown == sorted(shown, reverse=True)
                assert 90 < sum(shown) < 100.3


def test_a_token_cannot_write_into_the_page(explorer: SamplingExplorer) -> None:
    assert "&lt;b&gt;" in explorer.bars.value
    assert "<b>" not in explorer.bars.value
    assert "&amp;</td>" in explorer.bars.value


def test_controls_have_labels_and_are_reached_by_keyboard(explorer: SamplingExplorer) -> None:
    for slider in (explorer.temperature, explorer.top_k, explorer.top_p):
        assert slider.description
        assert not slider.disabled
        assert slider.tabbable is not False
        assert (slider.max - slider.min) / slider.step <= 100  # arrow keys get from end to end
    assert 'aria-live="polite"' in explorer.bars.value


def test_a_stored_page_keeps_a_picture_and_a_steady_text(explorer: SamplingExplorer) -> None:
    def bundle() -> dict[str, Any]:
        data, _ = explorer._repr_mimebundle_()
        return data

    first = bundle()
    assert first["image/png"].startswith(b"\x89PNG")
    width, height = struct.unpack(">II", first["image/png"][16:24])
    assert width > 300 < 3 * height
    assert "application/vnd.jupyter.widget-view+json" in first
    explorer.top_k.value = 1
    assert bundle()["text/plain"] == first["text/plain"]


def test_every_figure_of_a_page_shows() -> None:
    """In a kernel, where the backend loads late: the second figure must show as the first does."""
    draw = "from workbook import plots\nfig = plots.token_bars({'a': [('x', 0.5)]}, 'title')"
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(draw) for _ in range(3)])
    nbclient.NotebookClient(page, timeout=60).execute()
    assert [[out.output_type for out in cell.outputs] for cell in page.cells] == [["display_data"]] * 3
