"""The look of every figure, for seaborn and the matplotlib beneath it; and the figures that several cells draw.

A page calls ``plots.theme()`` once and draws with seaborn. A figure's title states the finding, its axes the units.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import seaborn as sns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE: Sequence[str] = sns.color_palette("colorblind").as_hex()
"""Seaborn's ten colours that stay apart for colour-blind readers, as ``theme`` sets them."""

GREY = "#7F7F7F"
"""For what is context and not data: rules, notes, the rest."""

WIDTH = 5.2
"""Inches: as wide as a text column is on a desk, and still to be read when a phone shows it at two thirds."""


def theme() -> None:
    """Give all figures of this kernel the workbook's look."""
    layout = {"figure.figsize": (WIDTH, 3.2), "figure.constrained_layout.use": True}
    spines = {"axes.spines.top": False, "axes.spines.right": False}
    text = {"axes.titlelocation": "left", "figure.titlesize": 10.2, "legend.frameon": False, "grid.color": "#E0E0E0"}
    sns.set_theme(style="whitegrid", palette="colorblind", font_scale=0.85, rc=layout | spines | text)


def spread(groups: Mapping[Any, Iterable[float]], title: str, xlabel: str, *, log_x: bool = False) -> Axes:
    """One row a group: every value a point; behind them the middle half as a box, and the median.

    ``groups``: name of the group to its values, all in the unit that ``xlabel`` names. An empty group keeps its row.
    """
    ax: Axes
    _, ax = plt.subplots(figsize=(WIDTH, 1 + 0.42 * len(groups)))
    named = {str(name): list(values) for name, values in groups.items()}
    rows: dict[str, Any] = {"data": named, "order": list(named), "orient": "h", "ax": ax, "log_scale": log_x}
    box = {"facecolor": PALETTE[9], "alpha": 0.4, "edgecolor": "none"}
    median = {"color": PALETTE[3], "linewidth": 2}
    sns.boxplot(**rows, width=0.5, whis=0, showcaps=False, showfliers=False, boxprops=box, medianprops=median)
    sns.swarmplot(**rows, color=PALETTE[0], size=4, warn_thresh=1)
    ax.set(title=title, xlabel=xlabel)
    if not log_x:
        ax.set_xlim(left=0)
    return ax


def token_bars(
    panels: Mapping[str, Sequence[tuple[str, float]]], title: str, xlabel: str = "probability (%)"
) -> Figure:
    """One panel a setting, below one another, one bar a token, in the order given; all on the same scale.

    ``panels``: name of the setting to pairs of a token's text and its probability (0 to 1, drawn times 100).
    """
    n_rows = sum(map(len, panels.values()))
    fig: Figure
    fig, axes = plt.subplots(
        len(panels), squeeze=False, sharex=True, figsize=(4.6, 0.6 + 0.5 * len(panels) + 0.25 * n_rows)
    )
    for ax, (setting, panel) in zip(axes.flat, panels.items(), strict=True):
        # Two tokens can show as one text, so bars stand by place and are named afterwards.
        percent = [100 * p for _, p in panel]
        sns.barplot(x=percent, y=range(len(panel)), orient="h", color=PALETTE[0], ax=ax)
        ax.bar_label(ax.containers[0], fmt="%.1f", padding=3)
        ax.set_yticks(range(len(panel)), [_plain(token) for token, _ in panel])
        ax.set(title=_plain(setting), xlabel=xlabel)
        ax.margins(x=0.15)
    fig.suptitle(_plain(textwrap.fill(title, 52)), x=0.01, ha="left")
    return fig


def png(fig: Figure) -> bytes:
    """The figure as a PNG file, and closed."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    plt.close(fig)
    return buffer.getvalue()


def _plain(text: str) -> str:
    """Without formulas: a dollar sign would begin one."""
    return text.replace("$", r"\$")
