"""pass@k: the chance that at least one of k answers passes, from n answers of which c passed.

Source: Chen et al., Evaluating Large Language Models Trained on Code, arXiv:2107.03374, section 2.1.
"""

from __future__ import annotations

import importlib
import math

from workbook.errors import BadOption


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k): the unbiased estimate from ``n`` samples of which ``c`` passed.

    Raises
    ------
    BadOption : not 0 <= c <= n, or not 1 <= k <= n: more answers than were drawn say nothing.
    """
    _possible(n, c, k)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def interval(n: int, c: int, k: int) -> tuple[float, float]:
    """95% bounds of pass@k: those of the rate c/n after Clopper and Pearson, carried through 1 - (1 - p)^k.

    They are those of drawing k new answers, not k of these n. Raises BadOption.
    """
    _possible(n, c, k)
    binomtest = importlib.import_module("scipy.stats").binomtest  # slow to import, and without types
    bounds = binomtest(c, n).proportion_ci(0.95, method="exact")
    return 1 - (1 - float(bounds.low)) ** k, 1 - (1 - float(bounds.high)) ** k


def _possible(n: int, c: int, k: int) -> None:
    if not (0 <= c <= n and 1 <= k <= n):
        raise BadOption(
            f"pass@{k} of {n} samples with {c} passed: it needs 0 <= passed <= samples and 1 <= k <= samples."
        )
