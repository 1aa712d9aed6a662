"""Figures of the pages: one palette, one style, labelled axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Eight colours that stay apart for colour-blind readers. Source: Okabe and Ito, Color Universal Design, 2008."""

GREY = "#7F7F7F"
"""For what is context and not data: rules, notes, the rest."""


def axes(
    title: str, xlabel: str, ylabel: str = "", *, width: float = 5.2, height: float = 3.2, log_x: bool = False
) -> tuple[Figure, Axes]:
    """A figure with one set of axes in the workbook's style.

    ``title`` states the finding; ``xlabel`` and ``ylabel`` carry the units. ``width`` and ``height`` in inches:
    as wide as a text column is on a desk, and still to be read when a phone shows it at two thirds.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    style = {
        "axes.prop_cycle": cycler(color=list(PALETTE)),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": "medium",
        "axes.grid": True,
        "grid.alpha": 0.3,
        "font.size": 10,
    }
    # Load the backend first: a notebook's turns on "interactive", and leaving the context would turn it off again,
    # so that only the first figure of a page would show.
    plt.draw_if_interactive()
    with plt.rc_context(style):
        fig, ax = plt.subplots(figsize=(width, height), layout="constrained")
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if log_x:
            ax.set_xscale("log")
    return fig, ax


def spread(groups: Mapping[str, Sequence[float]], title: str, xlabel: str, *, log_x: bool = False) -> Figure:
    """One row a group: every value as a point, the median as a line, the middle half as a bar.

    ``groups``: name of the group to its values, all in the unit that ``xlabel`` names. An empty group keeps its row.
    """
    fig, ax = axes(title, xlabel, height=1.2 + 0.5 * max(1, len(groups)), log_x=log_x)
    for row, values in enumerate(groups.values()):
        if not len(values):
            continue
        colour = PALETTE[row % (len(PALETTE) - 2)]
        low, median, high = np.percentile(np.asarray(values, dtype=float), [25, 50, 75])
        ax.plot([low, high], [row, row], color=colour, linewidth=9, alpha=0.35, solid_capstyle="butt")
        ax.plot([median, median], [row - 0.25, row + 0.25], color=colour, linewidth=2.5)
        # Points fan out by their order in the run, so that equal values and trends stay visible.
        offsets = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(1)
        ax.plot(values, row + offsets, "o", color=colour, markersize=4.5, markeredgecolor="white", markeredgewidth=0.6)
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.4, -0.6)
    if not log_x:
        largest = max((max(values) for values in groups.values() if len(values)), default=0.0)
        ax.set_xlim(0, 1.04 * largest or None)  # room for the last point's whole mark
    return fig


def token_bars(panels: Mapping[str, Sequence[tuple[str, float]]], title: str) -> Figure:
    """One panel a setting, below one another, one bar a token, in the order given; all on the same scale.

    ``panels``: name of the setting to pairs of a token's text and its probability (0 to 1).
    """
    n_rows = max(len(panel) for panel in panels.values())
    largest = 100 * max(p for panel in panels.values() for _, p in panel)
    fig, first = axes("", "", width=4.6, height=0.6 + len(panels) * (0.7 + 0.28 * n_rows))
    first.remove()
    for place, (setting, panel) in enumerate(panels.items()):
        ax = fig.add_subplot(len(panels), 1, place + 1)
        percent = [100 * p for _, p in panel]
        ax.barh(range(len(panel)), percent, color=PALETTE[0], height=0.7)
        for row, value in enumerate(percent):
            ax.annotate(
                f"{value:.1f}", (value, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        # A dollar sign would begin a formula.
        ax.set_yticks(range(len(panel)), [token.replace("$", r"\$") for token, _ in panel], fontsize=9)
        ax.set_ylim(n_rows - 0.4, -0.6)
        ax.set_xlim(0, 1.18 * largest)
        ax.set_xlabel("probability (%)")
        ax.set_title(setting, fontsize=9, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x", alpha=0.3)
    fig.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return fig


def maps(
    panels: Mapping[str, NDArray[np.floating[Any] | np.bool]], labels: Sequence[str], title: str, *, size: float = 2.55
) -> Figure:
    """Attention, one square a panel, two in a row: who looks (row) at whom (column), white for 0 and dark for 1.

    ``panels``: name of the panel to a matrix of shares, 0 to 1, as wide and as high as there are ``labels``.
    ``size``: of one panel in inches.
    """
    n_rows = -(-len(panels) // 2)
    fig, first = axes("", "", width=2 * size, height=n_rows * (size + 0.1) + 0.3)
    first.remove()
    # A dollar sign would begin a formula.
    shown = [label.replace("$", r"\$") for label in labels]
    for place, (name, matrix) in enumerate(panels.items()):
        ax = fig.add_subplot(n_rows, 2, place + 1)
        ax.imshow(np.asarray(matrix, dtype=float), cmap="Blues", vmin=0, vmax=1)
        ax.set_xticks(range(len(shown)), shown, rotation=90, fontsize=8)
        ax.set_yticks(range(len(shown)), shown if place % 2 == 0 else [""] * len(shown), fontsize=8)
        ax.set_xlabel("looked at", fontsize=8)
        ax.set_ylabel("looking" if place % 2 == 0 else "", fontsize=8)
        ax.set_title(name, fontsize=9, loc="left")
        ax.set_xticks(np.arange(len(shown)) - 0.5, minor=True)
        ax.set_yticks(np.arange(len(shown)) - 0.5, minor=True)
        ax.grid(which="minor", color=GREY, alpha=0.4, linewidth=0.5)
        ax.tick_params(which="minor", length=0)
    fig.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return fig
