"""Widgets of the pages: each works by keyboard, has a label on every control, and leaves a picture in a stored page."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from workbook import plots

Distribution = Callable[[float, int, float], tuple[Sequence[int], Sequence[float]]]
"""(temperature, top_k, top_p) to the ids that are kept and their probabilities."""

_ROW = (
    '<tr><td style="text-align:right;font-family:monospace;white-space:pre;padding-right:8px">{token}</td>'
    '<td style="width:{full}px"><div style="width:{width:.1f}px;height:14px;background:{colour}"></div></td>'
    '<td style="text-align:right;padding-left:8px">{percent:.1f} %</td></tr>'
)


class SamplingExplorer(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets carries no types
    """Sliders for temperature, top-k and top-p over one distribution, redrawn at every move.

    Parameters
    ----------
    distribution : the page's own sampler; at temperature 0 the explorer asks for top_k = 1 instead.
    name : a token's id to the text to show. n_bars : tokens shown, the likeliest first.

    The bars are an HTML table, so that a screen reader has the numbers; a page that is only read
    shows the first state as a picture.
    """

    def __init__(self, distribution: Distribution, name: Callable[[int], str], n_bars: int = 12) -> None:
        self._distribution, self._name, self._n_bars = distribution, name, n_bars
        wide = {"style": {"description_width": "90px"}, "layout": ipywidgets.Layout(width="420px")}
        self.temperature = ipywidgets.FloatSlider(1.0, min=0, max=2, step=0.1, description="temperature", **wide)
        self.top_k = ipywidgets.IntSlider(0, min=0, max=100, description="top-k (0: off)", **wide)
        self.top_p = ipywidgets.FloatSlider(1.0, min=0.05, max=1, step=0.05, description="top-p (1: off)", **wide)
        self.bars = ipywidgets.HTML()
        for slider in (self.temperature, self.top_k, self.top_p):
            slider.observe(self._redraw, "value")
        super().__init__([self.temperature, self.top_k, self.top_p, self.bars])
        self._redraw()

    def _kept(self) -> list[tuple[str, float]]:
        temperature, top_k = float(self.temperature.value), int(self.top_k.value)
        if temperature == 0:
            temperature, top_k = 1.0, 1
        ids, probs = self._distribution(temperature, top_k, float(self.top_p.value))
        ranked = sorted(zip(probs, ids, strict=True), reverse=True)
        self._n_kept = len(ranked)
        return [(self._name(int(token)), float(p)) for p, token in ranked[: self._n_bars]]

    def _redraw(self, _change: Any = None) -> None:
        kept, full = self._kept(), 300
        most = kept[0][1]
        rows = [
            _ROW.format(
                token=html.escape(token), full=full, width=full * p / most, colour=plots.PALETTE[0], percent=100 * p
            )
            for token, p in kept
        ]
        shown = 100 * sum(p for _, p in kept)
        caption = f"{self._n_kept:,} tokens can be drawn; the {len(kept)} shown hold {shown:.0f} % of the probability."
        self.bars.value = f'<div aria-live="polite"><table>{"".join(rows)}</table><p>{caption}</p></div>'

    def picture(self) -> bytes:
        """The bars as a PNG file."""
        import matplotlib.pyplot as plt

        setting = f"temperature {self.temperature.value:g}, top-k {self.top_k.value}, top-p {self.top_p.value:g}"
        fig = plots.token_bars({setting: self._kept()}, f"{self._n_kept:,} tokens can be drawn")
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        plt.close(fig)
        return buffer.getvalue()

    def __repr__(self) -> str:
        # Fixed, because the default one quotes the bars and so changes with the numbers.
        return "SamplingExplorer: move the sliders in a running page"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "image/png": self.picture()}, metadata
