"""``make perf``: figures and ratios, printed and judged by nobody; only what does not run at all fails.

``WORKBOOK_PERF_ROUNDS`` (default 11) rounds, in each of which all contenders take their turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from math import comb
from pathlib import Path
from statistics import median

import httpx
import llama_bench
import pytest
from servers import NAME, Server, ollama_binary, ollama_serving, workbook_serving

from programs.bench import store
from programs.site import cost as costs
from programs.site import normalize
from programs.site.execute import execute, reproducible
from workbook import models, pages
from workbook.engines import llama
from workbook.engines.embedded import Embedded

ROUNDS = int(os.environ.get("WORKBOOK_PERF_ROUNDS", "11"))
THREADS = llama.usable_cores()
N_GEN, NUM_CTX = 96, 2048
COMMAND = ["-c", "from programs.cli import app; app()"]


def said(ratios: list[float]) -> str:
    """The median ratio, and between which two order statistics it lies with at least 95% confidence; all of them if few.

    The k-th smallest and largest of n leave the median out with a chance of 2 * sum(C(n, i), i < k) / 2^n.
    """
    ordered, n = sorted(ratios), len(ratios)
    k, outside = 0, 0.0
    while k < n // 2 and 2 * (outside + comb(n, k) / 2**n) <= 0.05:
        outside += comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return f"median {median(ratios):.4f}, interval {ordered[k - 1]:.4f} to {ordered[n - k]:.4f}, n = {n}"


def test_the_interval_by_hand() -> None:
    # With 11 rounds the 2nd and the 10th value: 2 * (1 + 11) / 2048 = 1.2%; the 3rd would give 6.5%.
    assert "interval 2.0000 to 10.0000" in said([float(i) for i in range(1, 12)])
    assert "interval 1.0000 to 2.0000" in said([1.0, 2.0])


@pytest.mark.timeout(3600)
def test_recorder_beside_llama_bench(tmp_path: Path) -> None:
    """On the same file and threads, alternately; llama-bench twice, to see by how much it differs from itself."""
    path, taken = models.packaged(), {"pp512": [], "tg128": []}
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: perf\nrepetitions: 1\nprompts: [pp512, tg128]\n")
    env = {**os.environ, "WORKBOOK_ENGINE": "embedded", "WORKBOOK_THREADS": str(THREADS)}
    for i in range(ROUNDS):
        theirs, again = ([llama_bench.rate(path, THREADS, *n) for n in ((512, 0), (0, 128))] for _ in range(2))
        into = str(tmp_path / str(i))
        command = [sys.executable, *COMMAND, "bench", str(plan), "--results", into, "--host", "here"]
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=600)
        kept = {r.prompt_id: r for r in store.load(Path(into)).records if not r.is_warmup}
        ours = [kept["pp512"].pp_ts, kept["tg128"].tg_ts]
        for name, *row in zip(taken, ours, theirs, again, strict=True):
            taken[name].append(row)
    for name, rows in taken.items():
        print(f"\n{name}, {THREADS} threads: recorder / llama-bench:    {said([a / b for a, b, _ in rows])}")
        print(f"{'':<18} llama-bench / llama-bench: {said([c / b for _, b, c in rows])}")


def in_process(engine: Embedded) -> Callable[[str], float]:
    """Tokens a second by the client's clock; so is the other."""

    def ask(text: str) -> float:
        stream = engine.complete(text, stream=True, temperature=0, num_predict=N_GEN, num_ctx=NUM_CTX)
        times = [time.perf_counter() for _ in stream]
        return (len(times) - 1) / (times[-1] - times[0])

    return ask


def over_http(server: Server) -> Callable[[str], float]:
    options = {"num_predict": N_GEN, "temperature": 0, "num_ctx": NUM_CTX, "num_thread": THREADS}

    def ask(text: str) -> float:
        body = {"model": NAME, "prompt": text, "raw": True, "options": options}
        with httpx.stream("POST", server.url + "/api/generate", json=body, timeout=600) as answer:
            times = [time.perf_counter() for _ in answer.iter_lines()][:-1]
        return (len(times) - 1) / (times[-1] - times[0])

    return ask


def test_endpoint_beside_in_process_and_ollama(tmp_path: Path) -> None:
    with ExitStack() as stack:
        asks = {"in process": in_process(stack.enter_context(Embedded(n_threads=THREADS)))}  # type: ignore[arg-type]
        asks["endpoint"] = over_http(stack.enter_context(workbook_serving(tmp_path)))
        if ollama_binary():
            real = ollama_serving(tmp_path / "ollama", LLAMA_ARG_THREADS=str(THREADS))
            asks["Ollama"] = over_http(stack.enter_context(real))
        rates: dict[str, list[float]] = {name: [] for name in asks}
        for i in range(ROUNDS + 1):
            for name, ask in asks.items():
                # About 250 tokens that begin otherwise each time: nothing of them is in a cache.
                rate = ask(f"{len(rates[name]) * 7919}{name} begins. " + "The cat sat on the mat and looked. " * 25)
                if i:  # the first is the warm-up
                    rates[name].append(rate)
    print(f"\n{THREADS} threads, {N_GEN} tokens after a prompt of about 250")
    for name, found in rates.items():
        pairs = zip(rates["endpoint"], found, strict=True)
        print(f"{name:<12} {median(found):7.1f} tokens/s; endpoint / it: {said([a / b for a, b in pairs])}")


@pytest.mark.parametrize("command", [["-c", "import workbook"], [*COMMAND, "--help"]], ids=["import", "help"])
def test_start_in_a_third_of_a_second(command: list[str]) -> None:
    took = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=60)
        took.append(time.perf_counter() - began)
    print(f"\npython {' '.join(command)}: {median(took):.3f} s (budget 0.3 s)")


@pytest.mark.parametrize("page", [page for page in pages.pages() if page.engine != "ollama"], ids=lambda p: p.path.stem)
def test_pages_beside_what_is_recorded_of_them(page: pages.Page, tmp_path: Path) -> None:
    notebook = normalize.load(page.path.read_bytes(), page.link)
    cost = execute(notebook, page.path.parent, reproducible(tmp_path / "results", tmp_path / "ipython"))
    recorded = f", recorded {page.measured.seconds:g} s" if page.measured and page.measured.seconds else ""
    print(f"\npage {page.number}: {cost.seconds:.1f} s (budget {costs.RUN_ALL_S} s){recorded}")
