"""What a repetition measures, what is kept when something breaks, what a kill leaves."""

from __future__ import annotations

import itertools
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from bench_samples import Scripted, sample

from programs.bench import machine, measure, plan, recorder, session, store
from programs.bench.fields import Record
from programs.bench.machine import host_alias
from workbook.engines import llama
from workbook.errors import BadOption, EngineTimeout, OutOfMemory, StreamBroken

TESTS = Path(__file__).parent
SLOW_RUN = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from bench_samples import Scripted
from programs.bench import plan, session
session.connected = lambda engine, model: Scripted(wait_s=0.2)
session.record(plan.usual("one", 500), "openai", "killed", Path(sys.argv[2]))
"""


def chat(engine: Scripted, folder: Path, repetitions: int = 3) -> recorder.Recorder:
    """The repetitions of one chat."""
    asked = plan.usual(engine.model, repetitions)
    kept = recorder.Recorder(folder, "here", asked.hash("openai"), new=True)
    cell = asked.cells()[2]
    for _ in kept.repeat(measure.chat_cell(engine, asked, cell, "salt", None), cell, repetitions):
        pass
    return kept


class FakeModel:
    """Counts what is decoded; every call takes 10 ms."""

    n_vocab, bos, adds_bos = 50, 1, True

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def decode(self, tokens: list[int]) -> None:
        self.calls.append(tokens)
        time.sleep(0.01)


def bare(model: FakeModel, **sizes: int) -> measure.LoopCell:
    return measure.LoopCell(cast(llama.Model, model), sample(method="llama-bench"), **sizes)


def test_the_prompt_test_is_one_batch_and_the_generation_test_single_steps() -> None:
    model = FakeModel()
    prompt = bare(model, n_prompt=40).run(1)[0]
    assert [len(call) for call in model.calls] == [40]
    assert model.calls[0][0] == model.bos
    assert all(0 <= token < 50 for token in model.calls[0])
    assert (prompt.n_prompt, prompt.n_gen, prompt.gen_ns) == (40, 0, None)
    assert 10e6 <= cast(int, prompt.prompt_ns) < 1e9, "one call of 10 ms"
    model.calls.clear()
    steps = bare(model, n_gen=8).run(1)[0]
    assert [len(call) for call in model.calls] == [1] * 8
    assert (steps.n_prompt, steps.n_gen, steps.prompt_ns) == (0, 8, None)
    assert 80e6 <= cast(int, steps.gen_ns) < 2e9, "eight calls of 10 ms"
    assert model.resets == 2
    model.adds_bos = False
    firsts = []
    for rep in range(30):
        bare(model, n_prompt=2).run(rep)
        firsts.append(model.calls[-1][0])
    assert len(set(firsts)) > 3, "without a beginning-of-sequence token the first is random too"


def test_a_real_run_on_the_packaged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    asked = plan.usual("smollm2:135m", 2, 24, 6, n_threads=1)
    session.record(asked, "embedded", "here", tmp_path / "r", say=said.append)
    records = store.load(tmp_path / "r").records
    assert [(r.prompt_id, r.rep_index, r.is_warmup) for r in records] == [
        (cell, i, i == 0) for cell in ("pp24", "tg6", "chat-story") for i in range(3)
    ]
    assert {r.status for r in records} == {"ok"}
    (path,) = (tmp_path / "r" / "here").glob("*.jsonl")
    assert said[-1] == f"9 records in {path.name}"
    by_cell = {r.prompt_id: r for r in records}
    pp, tg, answer = (by_cell[cell] for cell in ("pp24", "tg6", "chat-story"))
    assert (pp.method, tg.method, answer.method) == ("llama-bench", "llama-bench", "server-timings")
    assert (pp.n_prompt, pp.n_gen, tg.n_prompt, tg.n_gen) == (24, 0, 0, 6)
    assert (pp.n_threads, pp.n_batch, pp.n_ubatch, pp.type_k) == (1, 2048, 512, "f16")
    assert pp.file_sha256 == answer.file_sha256
    assert os.getpid() in (pp.server_pids or ())
    assert (answer.n_gen, answer.max_tokens, answer.temperature, answer.thinking) == (6, 6, 0.0, False)
    assert {r.n_prompt for r in records if r.prompt_id == "chat-story"} == {answer.n_prompt}, "one length for all"
    assert answer.n_cached is not None
    assert answer.n_cached < 8, "only the template's first tokens are shared"
    assert all(r.pp_ts or r.tg_ts for r in records)
    assert [r.cold for r in records] == [True, False, False] * 3
    text, node = path.read_text(), platform.node()
    assert str(Path.home()) not in text
    assert len(node) < 4 or node not in text


def test_the_clock_of_a_stream(tmp_path: Path) -> None:
    for record in chat(Scripted(wait_s=0.05), tmp_path).records:
        assert (record.method, record.n_prompt, record.n_gen, record.n_cached) == ("client-stream", 100, 4, None)
        assert record.pp_ts is None, "how much of the prompt was cached is unknown"
        ttft, first_text, gen = record.ttft_ns or 0, record.ttf_answer_ns or 0, record.gen_ns or 0
        assert 50e6 <= ttft < 5e9
        assert first_text >= ttft + 10e6, "thinking comes before the answer"
        assert gen >= 30e6, "three waits of 10 ms"
        assert record.tg_ts == pytest.approx(3 / (gen / 1e9))


def test_consecutive_prompts_differ_from_the_first_character(tmp_path: Path) -> None:
    engine = Scripted(pace_s=0.0)
    chat(engine, tmp_path, repetitions=12)
    first = [request[0]["content"] for request in engine.asked]
    assert all(a[0] != b[0] for a, b in itertools.pairwise(first))
    assert len(set(first)) == 13
    assert len({len(text) for text in first}) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OutOfMemory("no room"), "oom"), (MemoryError(), "oom"), (EngineTimeout("no token"), "timeout"),
        (StreamBroken("gone"), "truncated"), (BadOption("no"), "http_error"),
        (RuntimeError(f"{Path.home()}/x\nboom \x1b[2J"), "harness_error"),
    ],
)  # fmt: skip
def test_a_failure_is_recorded_and_the_run_goes_on(tmp_path: Path, error: Exception, status: str) -> None:
    done = chat(Scripted({2: error}, pace_s=0.0), tmp_path)
    assert [r.status for r in done.records] == ["ok", "ok", status, "ok"]
    assert store.load(tmp_path).records == tuple(done.records)
    said = done.records[2].error or ""
    assert said.startswith(type(error).__name__)
    assert str(Path.home()) not in said
    assert said.isprintable()


def test_a_cell_that_only_fails_is_given_up(tmp_path: Path) -> None:
    done = chat(Scripted(dict.fromkeys(range(10), EngineTimeout("no token"))), tmp_path, repetitions=9)
    assert [r.status for r in done.records] == ["timeout", "timeout"]
    assert any("given up" in note for note in done.notes)


def test_a_killed_run_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    env = {**os.environ, "WORKBOOK_CACHE": str(tmp_path / "cache")}
    results = tmp_path / "results"
    started = subprocess.Popen([sys.executable, "-c", SLOW_RUN, str(TESTS), str(results)], env=env)

    def seen() -> tuple[Record, ...]:
        return tuple(r for r in store.load(results).records if r.status == "ok")

    try:
        deadline = time.monotonic() + 60
        while len(seen()) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        before = seen()
    finally:
        started.kill()
        started.wait(timeout=20)
    assert started.returncode == (-signal.SIGKILL if os.name == "posix" else 1), "it was cut, not done"
    assert len(before) >= 3
    assert seen()[: len(before)] == before
    assert all(problem.cut for problem in store.load(results).problems)


def test_an_alias_never_tells_the_name_of_the_machine() -> None:
    alias = host_alias()
    code = "from programs.bench.machine import host_alias; print(host_alias())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert other.stdout.strip() == alias, "the same in every process"
    assert alias.startswith("host-")
    assert platform.node().lower() not in alias
    assert host_alias("lab-3") == "lab-3"
    for bad in ("", "a b", "../up", "a/b", "-x", "x" * 41, "NUL", "com1", "é", "a.b", "dropped"):
        with pytest.raises(BadOption):
            host_alias(bad)


def test_an_alias_differs_from_machine_to_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.uuid, "getnode", lambda: 0x0242AC110002)
    monkeypatch.setattr(machine.platform, "node", lambda: "one")
    one = host_alias()
    monkeypatch.setattr(machine.platform, "node", lambda: "two")
    assert host_alias() != one


def test_a_broken_machine_report_does_not_lose_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.hardware.machine()
    odd = SimpleNamespace(**{**vars(found), "gpus": None, "cpu_model": "x" * 300 + "\n", "kernel": None})
    monkeypatch.setattr(machine.hardware, "machine", lambda: odd)
    done = chat(Scripted(), tmp_path, repetitions=1)
    assert len(done.records) == 2
    assert (done.records[0].gpus, done.records[0].kernel) == (None, None)
    assert len(done.records[0].cpu_model or "") == 100
