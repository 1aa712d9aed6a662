"""``workbook serve`` beside the engine in process and beside the real Ollama: one file, one run, ratios; judged by nobody.

``WORKBOOK_PERF_ROUNDS`` rounds, in each of which all contenders take their turn, in another order each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psutil
import pytest
from servers import NAME, Server, ollama_binary, ollama_serving, workbook_serving
from test_perf import ROUNDS, verdict

from workbook.engines import llama
from workbook.engines.embedded import Embedded

N_GEN, NUM_CTX, CLIENTS = 96, 2048, 64
THREADS = llama.usable_cores()


@dataclass(frozen=True)
class Turn:
    """What one answer cost, by the client's clock; the prompt by the server's own figures."""

    first_ms: float
    decode_ts: float
    prompt_ts: float


Contender = Callable[[str], Turn]


def prompt(i: int) -> str:
    """About 250 tokens that begin otherwise each time: nothing of them is in a cache."""
    return f"{i * 7919} is where this begins. " + "The cat sat on the mat and looked at the sea. " * 20


def turn(began: float, times: list[float], n_prompt: int, prompt_ns: int) -> Turn:
    decode_ts = (len(times) - 1) / (times[-1] - times[0])
    return Turn((times[0] - began) * 1e3, decode_ts, n_prompt / prompt_ns * 1e9)


def in_process(engine: Embedded) -> Contender:
    def ask(text: str) -> Turn:
        began = time.perf_counter()
        stream = engine.complete(text, stream=True, temperature=0, num_predict=N_GEN, num_ctx=NUM_CTX)
        times = [time.perf_counter() for _ in stream]
        assert stream.answer is not None
        return turn(began, times, stream.answer.n_prompt or 0, stream.answer.prompt_ns or 1)

    return ask


def over_http(server: Server) -> Contender:
    client = httpx.Client(base_url=server.url, timeout=600)
    options = {"num_predict": N_GEN, "temperature": 0, "num_ctx": NUM_CTX, "num_thread": THREADS}

    def ask(text: str) -> Turn:
        began = time.perf_counter()
        body = {"model": NAME, "prompt": text, "raw": True, "options": options}
        with client.stream("POST", "/api/generate", json=body) as answer:
            lines = [(time.perf_counter(), line) for line in answer.iter_lines()]
        end = json.loads(lines[-1][1])
        return turn(began, [at for at, _ in lines[:-1]], end["prompt_eval_count"], end["prompt_eval_duration"])

    return ask


@pytest.fixture(scope="module")
def contenders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Contender]]:
    with ExitStack() as stack:
        ready = {"in process": in_process(stack.enter_context(Embedded(n_threads=THREADS)))}  # type: ignore[arg-type]
        served = workbook_serving(tmp_path_factory.mktemp("serve"), WORKBOOK_THREADS=str(THREADS))
        ready["endpoint"] = over_http(stack.enter_context(served))
        if ollama_binary():
            real = ollama_serving(tmp_path_factory.mktemp("ollama"))
            ready["Ollama"] = over_http(stack.enter_context(real))
        yield ready


def test_endpoint_beside_in_process_and_ollama(contenders: dict[str, Contender]) -> None:
    took: dict[str, list[Turn]] = {name: [] for name in contenders}
    for i in range(ROUNDS + 1):
        order = list(contenders)[i % len(contenders) :] + list(contenders)[: i % len(contenders)]
        for name in order:
            made = contenders[name](prompt(len(contenders) * i + order.index(name)))
            if i:  # the first is the warm-up
                took[name].append(made)
    print(f"\n{THREADS} threads, {N_GEN} tokens after a prompt of about 250, {ROUNDS} rounds")
    for name, turns in took.items():
        first, decode, read = (median(getattr(t, of) for t in turns) for of in ("first_ms", "decode_ts", "prompt_ts"))
        print(f"{name:<12} decode {decode:7.1f} tokens/s, prompt {read:7.1f} tokens/s, first token {first:7.1f} ms")
    ours = took["endpoint"]
    for name in [name for name in took if name != "endpoint"]:
        pairs = list(zip(ours, took[name], strict=True))
        print(f"endpoint / {name}, decode: " + verdict([a.decode_ts / b.decode_ts for a, b in pairs]))
        print(f"endpoint / {name}, prompt: " + verdict([a.prompt_ts / b.prompt_ts for a, b in pairs]))
        print(f"{name} / endpoint, first token: " + verdict([b.first_ms / a.first_ms for a, b in pairs]))
        later = median(a.first_ms - b.first_ms for a, b in pairs)
        print(f"endpoint - {name}, first token: {later:+.1f} ms" + (" (budget +5 ms)" * (name == "in process")))


def worker_memory(server: Server) -> float:
    """MB that the server and its workers hold."""
    whole = psutil.Process(server.process.pid)
    return sum(p.memory_info().rss for p in (whole, *whole.children(recursive=True))) / 1e6


def used_ms(process: psutil.Process) -> float:
    """Processor time so far, without that of its children."""
    times = process.cpu_times()
    return (times.user + times.system) * 1e3


def test_what_a_token_costs_beside_the_model(tmp_path: Path) -> None:
    """Why decoding falls behind in process where llama.cpp has every core: these milliseconds are taken from it."""
    with workbook_serving(tmp_path, WORKBOOK_THREADS=str(THREADS)) as server:
        ask = over_http(server)
        ask(prompt(0))
        processes = psutil.Process(server.process.pid), psutil.Process()
        before = [used_ms(process) for process in processes]
        turns = [ask(prompt(i)) for i in range(1, 9)]
        server_ms, client_ms = (
            (used_ms(process) - was) / (len(turns) * N_GEN) for process, was in zip(processes, before, strict=True)
        )
    token_ms = 1e3 / median(t.decode_ts for t in turns)
    print(
        f"\na token in {token_ms:.1f} ms; the server's processor time in it {server_ms:.2f} ms, the client's ", end=""
    )
    print(f"{client_ms:.2f} ms: {(server_ms + client_ms) / token_ms:.1%}, a loss only where no core is free for them")


def test_a_crowd(tmp_path: Path) -> None:
    """None lost: what does not answer or refuse fails even here."""
    with workbook_serving(tmp_path, WORKBOOK_THREADS=str(THREADS)) as server:

        def ask(i: int) -> tuple[int, float]:
            began = time.perf_counter()
            body = {"model": NAME, "prompt": f"Say {i}.", "stream": False, "options": {"num_predict": 8}}
            answer = httpx.post(server.url + "/api/generate", json=body, timeout=600)
            assert "done" in answer.json() or "error" in answer.json()
            return answer.status_code, time.perf_counter() - began

        held, said = [], []
        ask(0)
        for _ in range(3):
            held.append(worker_memory(server))
            with ThreadPoolExecutor(CLIENTS) as pool:
                said += list(pool.map(ask, range(CLIENTS)))
        held.append(worker_memory(server))
    statuses = {status: sum(s == status for s, _ in said) for status in {s for s, _ in said}}
    assert sum(statuses.values()) == 3 * CLIENTS
    assert set(statuses) <= {200, 503}
    print(f"\n{CLIENTS} clients at once, three times: {statuses}, slowest {max(t for _, t in said):.1f} s")
    print("memory before, between and after: " + ", ".join(f"{mb:.0f}" for mb in held) + " MB")


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", *command], check=True, capture_output=True, timeout=120)
    return time.perf_counter() - began


def test_start(tmp_path: Path) -> None:
    imports, whole = [], []
    for i in range(5):
        imports.append(seconds(["import programs.cli, programs.serve.serve"]))
        began = time.perf_counter()
        folder = tmp_path / str(i)
        folder.mkdir()
        with workbook_serving(folder):  # ready once it answers; asked every 0.2 s
            whole.append(time.perf_counter() - began)
    after = median(whole) - median(imports)
    print(f"\nworkbook serve answers after {median(whole):.2f} s, of which imports {median(imports):.2f} s: ", end="")
    print(f"{after:.2f} s after import (budget 1 s)")
