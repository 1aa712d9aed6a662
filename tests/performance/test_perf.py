"""``make perf``: figures and ratios, printed and judged by nobody; only what does not run at all fails.

The recorder against llama-bench: alternately, on the same file, threads, batch, ubatch, flash attention and cache.
``WORKBOOK_PERF_ROUNDS`` (default 11) rounds of recorder, llama-bench, llama-bench again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

import llama_bench
import pytest

from programs.bench import cells
from programs.bench.sampler import Sampler
from programs.site import cost as costs
from programs.site import normalize
from programs.site.execute import execute, reproducible
from workbook import models, pages, paths
from workbook.engines import llama

ROUNDS = int(os.environ.get("WORKBOOK_PERF_ROUNDS", "11"))
WIDEST = 0.02
CONFIDENCE = 0.95


def interval(ratios: list[float]) -> tuple[float, float]:
    """Between which two order statistics the median lies with at least 95% confidence; all of them if few.

    The k-th smallest and largest of n leave the median out with a chance of 2 * sum(C(n, i), i < k) / 2^n.
    """
    ordered, n = sorted(ratios), len(ratios)
    outside = 0.0
    k = 0
    while k < n // 2 and 2 * (outside + comb(n, k) / 2**n) <= 1 - CONFIDENCE:
        outside += comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return ordered[k - 1], ordered[n - k]


def verdict(ratios: list[float]) -> str:
    """One line: median ratio, its interval, and what that means at 2%."""
    low, high = interval(ratios)
    if len(ratios) < 6 or high - low > WIDEST:
        means = "undecided"  # five rounds give no interval of 95%
    elif low >= 1 - WIDEST and high <= 1 + WIDEST:
        means = "within 2%"
    elif high < 1 - WIDEST or low > 1 + WIDEST:
        means = "outside 2%"
    else:
        means = "undecided"
    return f"median {median(ratios):.4f}, interval {low:.4f} to {high:.4f}, n = {len(ratios)}: {means}"


def test_the_verdict_by_hand() -> None:
    # With 11 rounds the 2nd and the 10th value: 2 * (1 + 11) / 2048 = 1.2%; the 3rd would give 6.5%.
    assert interval([float(i) for i in range(1, 12)]) == (2.0, 10.0)
    assert interval([float(i) for i in range(1, 10)]) == (2.0, 8.0)
    assert interval([1.0, 2.0]) == (1.0, 2.0)
    assert "within 2%" in verdict([0.995, 1.0, 1.0, 1.001, 1.005, 0.999, 1.002, 1.003, 1.0])
    assert "outside 2%" in verdict([1.05 + i / 1000 for i in range(9)])
    assert "undecided" in verdict([0.95 + i / 100 for i in range(9)])
    assert "undecided" in verdict([1.0, 1.0])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "n_prompt", "n_gen"), [("pp512", 512, 0), ("tg128", 0, 128)])
def test_recorder_beside_llama_bench(name: str, n_prompt: int, n_gen: int) -> None:
    path = models.packaged()
    ours: list[float] = []
    theirs: list[float] = []
    again: list[float] = []
    with llama.Model(path) as model:
        cell = cells.bare_cells(model, "smollm2:135m", n_prompt or 512, n_gen or 128)[0 if n_prompt else 1]
        setting = llama_bench.Setting(
            path, model.n_threads, n_prompt, n_gen, n_batch=model.n_batch, n_ubatch=model.n_ubatch
        )
        llama_bench.program()
        for _ in range(ROUNDS):
            cell.run(0)  # the warm-up, as llama-bench has one
            with Sampler(cell.pids):  # it watches in a real run too
                took = cell.run(1).outcome.total_ns
            assert took
            ours.append((n_prompt + n_gen) / took * 1e9)
            theirs += llama_bench.rates(setting)
            again += llama_bench.rates(setting)
    lines = [
        f"{name}, {model.n_threads} threads: recorder {median(ours):.1f}, llama-bench {median(theirs):.1f} tokens/s",
        "    recorder / llama-bench:    " + verdict([a / b for a, b in zip(ours, theirs, strict=True)]),
        "    llama-bench / llama-bench: " + verdict([a / b for a, b in zip(again, theirs, strict=True)]),
        # what disturbs a run only slows it: the fastest of many are the least disturbed, and say no more than that
        f"    the fastest of each:       {max(ours) / max(theirs):.4f}, llama-bench's own {max(again) / max(theirs):.4f}",
    ]
    print("\n" + "\n".join(lines))


@pytest.mark.parametrize(
    "command", [["-c", "import workbook"], ["-c", "from programs.cli import app; app()", "--help"]]
)
def test_start_in_a_third_of_a_second(command: list[str]) -> None:
    took = []
    for _ in range(7):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
        took.append(time.perf_counter() - began)
        if done.returncode:
            pytest.skip(f"python {' '.join(command)} does not run: {done.stderr.strip()[-200:]}")
    print(f"\npython {' '.join(command)}: {median(took):.3f} s (budget 0.3 s)")


@pytest.mark.parametrize("page", [page for page in pages.pages() if page.engine != "ollama"], ids=lambda p: p.path.stem)
def test_pages_beside_what_is_recorded_of_them(page: pages.Page, tmp_path: Path) -> None:
    notebook = normalize.load(page.path.read_bytes(), page.link)
    cost = execute(notebook, page.path.parent, reproducible(tmp_path / "results", tmp_path / "ipython"))
    said = f"page {page.number}: {cost.seconds:.1f} s (budget {costs.RUN_ALL_S} s)"
    if page.measured and page.measured.seconds:
        said += f", recorded {page.measured.seconds:g} s, ratio {cost.seconds / page.measured.seconds:.2f}"
    print("\n" + said)


def test_inspect_beside_the_gguf_library() -> None:
    from workbook import formats

    path = models.packaged()
    program = "import sys, time; import gguf; began = time.perf_counter(); gguf.GGUFReader(sys.argv[1])"
    program += "; print(time.perf_counter() - began)"
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120)
    took = []
    for _ in range(7):
        began = time.perf_counter()
        formats.inspect(path)
        took.append(time.perf_counter() - began)
    line = f"inspect on {path.name}: {median(took):.3f} s (budget 0.2 s)"
    if run.returncode == 0:
        line += f", gguf.GGUFReader {float(run.stdout):.3f} s, ratio {float(run.stdout) / median(took):.0f}"
    print("\n" + line)


def test_the_ladders_of_page_15(tmp_path: Path) -> None:
    """The cells of the page themselves: all types on weights never quantized, then the model's nine files."""
    pytest.importorskip("gguf")
    notebook = normalize.load((paths.notebooks() / "1_theory" / "15_quantization.ipynb").read_bytes(), "15")
    source = {cell["id"]: cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"}
    names: dict[str, Any] = {}
    took = {}
    for name in ("setup", "weights", "absmax", "block-size", "oracle-check", "ladder", "make"):
        code = source[name].partition("for what, X in inputs.items()")[0]  # only the random numbers of that cell
        began = time.perf_counter()
        exec(code, names)
        took[name] = time.perf_counter() - began
    rungs, files = names["LADDER"], names["files"]
    print(f"\nladder of page 15: {len(rungs)} types {took['ladder']:.2f} s, {len(files)} files {took['make']:.1f} s")
