"""Widgets of the pages. Python makes what they show, for every position; the browser only looks it up.

So a widget moves in JupyterLab, in Voilà, and on a page of the site that has no kernel behind it; it works by
keyboard, has a label on every control, and leaves a picture in a stored page.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets

from workbook import plots

Distribution = Callable[[float, int, float], tuple[Sequence[int], Sequence[float]]]
"""(temperature, top_k, top_p) to the ids that are kept and their probabilities."""

Pieces = Callable[[str], Sequence[tuple[int | str, str]]]
"""A text to its pieces: the id or kind of each, and the words or signs to show for it."""

TEMPERATURES = tuple(round(0.2 * step, 1) for step in range(11))
TOP_KS = (0, 100, 40, 10, 3, 1)
TOP_PS = (1.0, 0.99, 0.9, 0.75, 0.5, 0.25)
LONGEST = 2000
"""Characters that ``TokenExplorer`` cuts at once: more would not be read, and every key sends them all."""
_FOLDER = Path(__file__).parent


class PageWidget(anywidget.AnyWidget):
    """A widget that leaves a picture and a steady text in a stored page."""

    advice = "move the sliders"

    def picture(self) -> bytes:
        """What shows now, as a PNG file."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.advice} in a running page"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "image/png": self.picture()}, metadata


@dataclass(frozen=True)
class Control:
    """A slider over ``choices``, the texts of its positions; it starts ``at`` one of them."""

    label: str
    choices: tuple[str, ...]
    at: int = 0


@dataclass(frozen=True)
class Frame:
    """What one position of the sliders shows: rows (places in the widget's ``names``), their values, a sentence."""

    rows: tuple[int, ...]
    values: tuple[float, ...]
    caption: str


class Explorer(PageWidget):
    """Sliders over a table of bars, one table a position of the sliders, all made beforehand.

    Parameters
    ----------
    title : what the table shows, for who hears the page. names : the rows' names. unit : of the values.
    controls, frames : one frame for each combination of choices, the last control's changing fastest.
    """

    _esm = (_FOLDER / "explorer.js").read_text(encoding="utf-8")
    _css = (_FOLDER / "explorer.css").read_text(encoding="utf-8")
    title = traitlets.Unicode().tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    controls: Any = traitlets.List().tag(sync=True)
    frames = traitlets.Unicode().tag(sync=True)  # JSON: as one text, a stored page has it on one line
    at = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(
        self, title: str, unit: str, names: Sequence[str], controls: Sequence[Control], frames: Sequence[Frame]
    ) -> None:
        super().__init__(
            title=title, unit=unit, names=list(names), at=[control.at for control in controls],
            controls=[asdict(control) for control in controls],
            frames=json.dumps([asdict(frame) for frame in frames], separators=(",", ":")),
        )  # fmt: skip

    def frame(self) -> Frame:
        """What shows now."""
        index = 0
        for control, at in zip(self.controls, self.at, strict=True):
            index = index * len(control["choices"]) + at
        shown = json.loads(self.frames)[index]
        return Frame(tuple(shown["rows"]), tuple(shown["values"]), shown["caption"])

    def picture(self) -> bytes:
        """The bars that show now, as a PNG file."""
        shown, controls = self.frame(), zip(self.controls, self.at, strict=True)
        setting = ", ".join(f"{control['label']} {control['choices'][at]}" for control, at in controls)
        bars = [(self.names[row], value / 100) for row, value in zip(shown.rows, shown.values, strict=True)]
        return plots.png(plots.token_bars({setting: bars}, shown.caption, xlabel=self.unit))


class SamplingExplorer(Explorer):
    """Temperature, top-k and top-p over one distribution.

    Parameters
    ----------
    distribution : the page's own sampler, called once for every combination of the settings (396 times).
    name : a token's id to the text to show. n_bars : tokens shown, the likeliest first.
    """

    def __init__(self, distribution: Distribution, name: Callable[[int], str], n_bars: int = 12) -> None:
        rows: dict[int, int] = {}  # a token's id -> its place among the names
        frames = []
        for setting in itertools.product(TEMPERATURES, TOP_KS, TOP_PS):
            ids, probs = (np.asarray(part) for part in distribution(*setting))
            likeliest = np.argsort(-probs, kind="stable")[:n_bars]
            values = tuple(round(100 * float(p), 2) for p in probs[likeliest])
            places = tuple(rows.setdefault(int(token), len(rows)) for token in ids[likeliest])
            frames.append(Frame(places, values, _caption(len(ids), values)))
        controls = (
            Control("temperature", tuple(f"{t:g}" for t in TEMPERATURES), TEMPERATURES.index(1.0)),
            Control("top-k", tuple(f"{k}" if k else "off" for k in TOP_KS)),
            Control("top-p", tuple(f"{p:g}" if p < 1 else "off" for p in TOP_PS)),
        )
        super().__init__("Tokens and their probabilities", "%", [name(token) for token in rows], controls, frames)


def _caption(n_kept: int, values: Sequence[float]) -> str:
    if n_kept == 1:
        return "1 token can be drawn: no chance is left."
    shown = f"the {len(values)} shown hold {sum(values):.0f} % of the probability"
    return f"{n_kept:,} tokens can be drawn; {shown}."


class TokenExplorer(PageWidget):
    """A text box whose text shows as tokens. Python cuts it, so a page that is only read shows ``examples`` alone.

    Parameters
    ----------
    pieces : the page's own way to cut a text. examples : name to text; the first one shows at the start.
    unit : what the pieces are, when they are no tokens.
    """

    advice = "type into the box"
    _esm = (_FOLDER / "token_widget.js").read_text(encoding="utf-8")
    _css = "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("explorer.css", "token_widget.css"))
    examples = traitlets.Unicode().tag(sync=True)  # JSON: as one text, a stored page has it on one line
    at = traitlets.Int(0).tag(sync=True)
    unit = traitlets.Unicode("tokens").tag(sync=True)
    longest = traitlets.Int(LONGEST).tag(sync=True)
    typed = traitlets.Unicode().tag(sync=True)
    answer = traitlets.Unicode("{}").tag(sync=True)
    # The browser asks, Python answers: that is how the script learns that there is a Python.
    asked = traitlets.Int(0).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def __init__(self, pieces: Pieces, examples: Mapping[str, str], unit: str = "tokens") -> None:
        self._pieces = pieces
        held = [{"name": name, **self.cut(text)} for name, text in examples.items()]
        super().__init__(examples=json.dumps(held, separators=(",", ":")), unit=unit)

    def cut(self, text: str) -> dict[str, Any]:
        """``text`` and its tokens, as the script takes them."""
        text = text[:LONGEST]
        # A browser can send half a character.
        tokens = self._pieces(text.encode("utf-8", "replace").decode("utf-8"))
        return {
            "text": text,
            "tokens": [[token if isinstance(token, str) else int(token), shown] for token, shown in tokens],
        }

    @traitlets.observe("typed")
    def _cut_typed(self, change: Any) -> None:
        self.answer = json.dumps(self.cut(change["new"]), separators=(",", ":"))

    @traitlets.observe("asked")
    def _answer(self, change: Any) -> None:
        self.answered = change["new"]

    def picture(self) -> bytes:
        """The example that shows, as a PNG file."""
        shown = json.loads(self.examples)[self.at]
        fig, ax = plt.subplots(figsize=(plots.WIDTH, 1.3))
        ax.axis("off")
        x, y = 0.0, 1.0
        for token, text in shown["tokens"]:
            width = 0.019 * max(len(text), 0.9 * len(str(token))) + 0.022
            if x + width > 1:
                x, y = 0.0, y - 0.45
            box = {"boxstyle": "square,pad=0.25", "facecolor": "white", "edgecolor": plots.PALETTE[0]}
            ax.text(x, y, text, family="monospace", fontsize=9, bbox=box, parse_math=False)
            ax.text(x, y - 0.21, str(token), fontsize=8, color=plots.GREY)
            x += width
        ax.set(xlim=(0, 1), ylim=(min(y, 0.5) - 0.3, 1.2))
        return plots.png(fig)
