"""Other ways to time generation beside llama-bench's bare loop: the ratio of each, and what the difference is made of.

All greedy, on one file and as many threads, ``N_GEN`` tokens after about ``DEPTH`` others; in another order each round.
Figures, judged by nobody. What is subtracted step by step:

1. depth: llama-bench itself with so many tokens in its context; attention reads them all for each new one;
2. ``Llama.generate``: its time outside of ``eval`` (sampling, Python), and in ``eval`` (the copy of the logits);
3. the engine in process and ``workbook serve``: the same file through sampling, text, and HTTP;
4. Ollama: other libraries (its own build of llama.cpp), by its clock and by ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

import httpx
import llama_bench
import pytest
from servers import NAME, Server, ollama_binary, ollama_serving, workbook_serving
from test_perf import ROUNDS, verdict
from test_perf_endpoint import NUM_CTX, THREADS, prompt

from workbook import models
from workbook.engines.embedded import Embedded

N_GEN, DEPTH = 128, 250


@dataclass(frozen=True)
class Timed:
    """Milliseconds of a token by the caller's clock; ``parts``: what else is known of them, in the same unit."""

    token_ms: float
    parts: dict[str, float]


Method = Callable[[int], Timed]


def bare(depth: int) -> Method:
    setting = llama_bench.Setting(models.packaged(), THREADS, 0, N_GEN, n_depth=depth)
    return lambda _: Timed(1e3 / llama_bench.rates(setting)[0], {})


def generate() -> Method:
    """``llama_cpp.Llama.generate`` with a clock around ``eval``."""
    import llama_cpp

    class Clocked(llama_cpp.Llama):  # type: ignore[misc]
        eval_s = 0.0

        def eval(self, tokens: Any) -> None:
            began = time.perf_counter()
            super().eval(tokens)
            self.eval_s += time.perf_counter() - began

    model = Clocked(
        str(models.packaged()), n_ctx=NUM_CTX, n_threads=THREADS, n_threads_batch=THREADS, n_batch=2048, verbose=False
    )

    def run(i: int) -> Timed:
        model.reset()
        stream = model.generate(model.tokenize(prompt(i).encode())[:DEPTH], temp=0.0)
        next(stream)  # the first token comes with the prompt
        model.eval_s, began = 0.0, time.perf_counter()
        made = len(list(islice(stream, N_GEN - 1)))
        took = time.perf_counter() - began
        return Timed(took / made * 1e3, {"outside of eval": (took - model.eval_s) / made * 1e3})

    return run


def in_process(engine: Embedded) -> Method:
    def run(i: int) -> Timed:
        stream = engine.complete(prompt(i), stream=True, temperature=0, num_predict=N_GEN, num_ctx=NUM_CTX)
        times = [time.perf_counter() for _ in stream]
        return Timed((times[-1] - times[0]) / (len(times) - 1) * 1e3, {})

    return run


def over_http(server: Server) -> Method:
    client = httpx.Client(base_url=server.url, timeout=600)
    options = {"num_predict": N_GEN, "temperature": 0, "num_ctx": NUM_CTX, "num_thread": THREADS}

    def run(i: int) -> Timed:
        body = {"model": NAME, "prompt": prompt(i), "raw": True, "options": options}
        with client.stream("POST", "/api/generate", json=body) as answer:
            lines = [(time.perf_counter(), line) for line in answer.iter_lines()]
        end, times = json.loads(lines[-1][1]), [at for at, _ in lines[:-1]]
        ours = (times[-1] - times[0]) / (len(times) - 1) * 1e3
        theirs = end["eval_duration"] / (end["eval_count"] - 1) / 1e6
        return Timed(ours, {"by the server's clock": theirs})

    return run


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Method]]:
    with ExitStack() as stack:
        ready = {"llama-bench": bare(0), f"llama-bench, depth {DEPTH}": bare(DEPTH), "Llama.generate": generate()}
        ready["engine in process"] = in_process(stack.enter_context(Embedded(n_threads=THREADS)))  # type: ignore[arg-type]
        served = workbook_serving(tmp_path_factory.mktemp("serve"), WORKBOOK_THREADS=str(THREADS))
        ready["workbook serve"] = over_http(stack.enter_context(served))
        if ollama_binary():
            ready["Ollama"] = over_http(stack.enter_context(ollama_serving(tmp_path_factory.mktemp("ollama"))))
        yield ready


@pytest.mark.timeout(3600)
def test_methods_beside_llama_bench(methods: dict[str, Method]) -> None:
    took: dict[str, list[Timed]] = {name: [] for name in methods}
    llama_bench.program()
    for i in range(ROUNDS + 1):
        first = i % len(methods)
        for name in [*methods, *methods][first : first + len(methods)]:
            timed = methods[name](i)
            if i:  # the first round is the warm-up
                took[name].append(timed)
    print(
        f"\n{THREADS} threads, tokens {DEPTH} to {DEPTH + N_GEN}, {ROUNDS} rounds; ratios of the rate to llama-bench's tg"
    )
    for name, timings in took.items():
        token_ms = median(t.token_ms for t in timings)
        print(f"{name:<24} {token_ms:6.2f} ms a token", end="")
        for part in timings[0].parts:
            print(f", {part} {median(t.parts[part] for t in timings):.2f} ms", end="")
        print()
        for base in [base for base in methods if base.startswith("llama-bench") and base != name]:
            ratios = [b.token_ms / t.token_ms for t, b in zip(timings, took[base], strict=True)]
            print(f"    / {base}: {verdict(ratios)}")
