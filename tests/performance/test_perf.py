"""``make perf``: figures and ratios, printed and judged by nobody; only what does not run at all fails.

``WORKBOOK_PERF_ROUNDS`` (default 11) rounds, in each of which all contenders take their turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

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


Clock = tuple[float, float]  # seconds to the first piece, tokens a second after it


def clocked(pieces: Iterator[Any], began: float) -> Clock:
    """By the client's clock, whoever answers."""
    times = [time.perf_counter() for _ in pieces]
    return times[0] - began, (len(times) - 1) / (times[-1] - times[0])


def in_process(engine: Embedded) -> Callable[[str], Clock]:
    def ask(text: str) -> Clock:
        began = time.perf_counter()
        return clocked(
            iter(engine.complete(text, stream=True, temperature=0, num_predict=N_GEN, num_ctx=NUM_CTX)), began
        )

    return ask


def over_http(server: Server) -> Callable[[str], Clock]:
    options = {"num_predict": N_GEN, "temperature": 0, "num_ctx": NUM_CTX, "num_thread": THREADS}

    def ask(text: str) -> Clock:
        body = {"model": NAME, "prompt": text, "raw": True, "options": options}
        began = time.perf_counter()
        with httpx.stream("POST", server.url + "/api/generate", json=body, timeout=600) as answer:
            return clocked((line for line in answer.iter_lines() if '"done":false' in line), began)

    return ask


def test_endpoint_beside_in_process_and_ollama(tmp_path: Path) -> None:
    """Writing, reading, and the first token of a short prompt; the texts begin otherwise each time: nothing is cached."""
    with ExitStack() as stack:
        asks = {"in process": in_process(stack.enter_context(Embedded(n_threads=THREADS)))}  # type: ignore[arg-type]
        asks["endpoint"] = over_http(stack.enter_context(workbook_serving(tmp_path)))
        if ollama_binary():
            real = ollama_serving(tmp_path / "ollama", LLAMA_ARG_THREADS=str(THREADS))
            asks["Ollama"] = over_http(stack.enter_context(real))
        rates: dict[str, list[tuple[float, float, float]]] = {name: [] for name in asks}
        for i in range(ROUNDS + 1):
            for name, ask in asks.items():
                ttft, writing = ask(f"{i * 7919} {name} begins.")
                to_read, _ = ask(f"{i * 7907} {name} goes on. " + "The cat sat on the mat and looked. " * 58)
                if i:  # the first is the warm-up
                    rates[name].append((writing, 525 / to_read, ttft))
    print(f"\n{THREADS} threads; writing {N_GEN} tokens, reading about 525, the first token of about 10")
    for name, found in rates.items():
        ours = rates["endpoint"]
        for at, unit in enumerate(("tokens/s written", "tokens/s read", "s to the first token")):
            pairs = zip(ours, found, strict=True)
            figure = median(row[at] for row in found)
            print(f"{name:<12} {figure:9.4g} {unit:<21} endpoint / it: {said([a[at] / b[at] for a, b in pairs])}")


def test_two_engines_at_once() -> None:
    """Two processes on one machine: without GOMP_SPINCOUNT their idle threads starve each other."""
    code = (
        "import sys, time; from workbook.engines.embedded import Embedded; engine = Embedded(); "
        "engine.complete('Warm', num_predict=2); sys.stdin.readline(); began = time.perf_counter(); "
        f"n = engine.complete('Once upon a time', num_predict={N_GEN}).n_gen; print(n / (time.perf_counter() - began))"
    )
    for spin in ("1000", "", "1000", ""):
        env = {**os.environ, "WORKBOOK_THREADS": str(THREADS), "GOMP_SPINCOUNT": spin or "30000000000"}
        found = []
        for n in (1, 2):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
            both = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(n)]  # type: ignore[call-overload]
            time.sleep(4)  # loaded
            for one in both:
                one.stdin.write("\n")
                one.stdin.flush()
            found.append([float(one.communicate(timeout=600)[0]) for one in both])
        print(f"\nGOMP_SPINCOUNT={spin or 'not set (spins)'}: alone {found[0][0]:.0f} tokens/s, two at once {found[1]}")


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
