"""The worker processes: the answers of the model itself, and what happens when somebody leaves or something breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from programs.serve import wire
from programs.serve.catalogue import Catalogue, Entry
from programs.serve.child import Child
from programs.serve.generation import _Answer
from programs.serve.jobs import (
    Begun,
    ChatMessage,
    Done,
    Embed,
    Event,
    Generate,
    Job,
    Load,
    Sampling,
    Scored,
    Setting,
    Token,
    Vectors,
)  # fmt: skip
from programs.serve.runner import FOREVER, Busy, Pool, Refused
from programs.serve.worker import buffers
from workbook import models
from workbook.engines import llama
from workbook.engines.embedded import Embedded

SMALL = Setting(num_ctx=256, num_thread=1)
GREEDY = Sampling(temperature=0, num_predict=12)
ENDLESS = Generate(prompt="Once upon a time", sampling=Sampling(seed=1, num_predict=-1, stop=("\0",)))


@dataclass
class Side:
    """A pool in an event loop of its own."""

    loop: asyncio.Runner
    pool: Pool
    smollm: Entry
    minilm: Entry

    def all(self, job: Job, entry: Entry | None = None, setting: Setting = SMALL, **more: Any) -> list[Event]:
        """Every event of one job."""

        async def events() -> list[Event]:
            async with aclosing(self.pool.run(entry or self.smollm, job, setting, **more)) as running:
                return [event async for event in running]

        return self.loop.run(asyncio.wait_for(events(), 240))

    def text(self, job: Generate, **more: Any) -> tuple[str, Done]:
        """The whole answer, and its end."""
        events = self.all(job, **more)
        assert isinstance(events[0], Begun)
        assert isinstance(events[-1], Done)
        return "".join(event.text for event in events if isinstance(event, Token)), events[-1]


@pytest.fixture(scope="module")
def side() -> Iterator[Side]:
    catalogue = Catalogue(search=False)
    with asyncio.Runner() as loop:
        pool = Pool(catalogue, keep_alive_s=FOREVER, max_queue=4)
        yield Side(loop, pool, catalogue.find("smollm2:135m"), catalogue.find("all-minilm"))
        loop.run(pool.close())


def test_jobs_and_events_cross_the_pipe_unchanged() -> None:
    items = [
        Generate(
            messages=(ChatMessage("user", "é\n\u2028", tool_name="f"),), sampling=replace(GREEDY, stop=("a", "b")),
            context=(1, 2), think="low",
        ),
        Embed(("a", "b"), dimensions=3),
        SMALL,
        Token("x", (Scored("x", -0.5),)),
        Vectors(((0.1, 0.2), (0.3, 0.4)), 5),
        Done("repeats", 1, 2, 3, 4, 5, 6, (7,)),
    ]  # fmt: skip
    for item in items:
        line = wire.line(id=1, item=item)
        assert line.count(b"\n") == 1
        assert wire.load(json.loads(line)["item"]) == item
    with pytest.raises(KeyError):
        wire.load({"is": "os.system"})
    with pytest.raises(KeyError):
        wire.load({"is": "Load", "x": 1})


def test_the_answer_is_the_models_own(side: Side) -> None:
    engine = Embedded(n_threads=1)
    expected = engine.complete("The capital of France is", temperature=0, num_predict=12, num_ctx=256)
    engine.close()
    text, done = side.text(Generate(prompt="The capital of France is", sampling=GREEDY))
    assert text == expected.text
    assert (done.n_prompt, done.n_gen, done.reason) == (expected.n_prompt, 12, "length")


def test_a_next_turn_does_not_compute_the_history_again(side: Side) -> None:
    first = (ChatMessage("user", "Name a colour, please, and say why you like it so very much."),)
    said, before = side.text(Generate(messages=first, sampling=GREEDY))
    turn = (*first, ChatMessage("assistant", said), ChatMessage("user", "And another?"))
    again, after = side.text(Generate(messages=turn, sampling=GREEDY))
    assert after.n_cached >= before.n_prompt
    assert after.n_prompt > after.n_cached
    side.text(Generate(prompt="Something else", sampling=GREEDY))
    fresh, done = side.text(Generate(messages=turn, sampling=GREEDY))
    assert done.n_cached < before.n_prompt
    assert again == fresh  # what was kept says the same as what is computed


def test_logprobs_are_the_models(side: Side) -> None:
    events = side.all(Generate(prompt="hi", sampling=Sampling(seed=42, num_predict=2, logprobs=True, top_logprobs=3)))
    first = next(event for event in events if isinstance(event, Token)).scored[0]
    with llama.Model(models.packaged(), n_ctx=256, n_threads=1) as model:
        model.decode(model.tokenize("hi"))
        logits = model.logits().astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum())
        best = [model.text([int(i)]) for i in np.argsort(-logprobs)[:3]]
        assert first.logprob == pytest.approx(logprobs[model.tokenize(first.token)[0]], abs=1e-3)
    assert [one.token for one in first.top] == best
    assert first.top[0].logprob >= first.top[1].logprob >= first.top[2].logprob


def test_no_piece_ends_in_half_a_character(side: Side) -> None:
    events = side.all(Generate(prompt="🙂😀🎉🙂😀🎉🙂😀🎉", sampling=replace(GREEDY, num_predict=16)))
    pieces = [event.text for event in events if isinstance(event, Token)]
    assert pieces
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces[:-1])
    assert any(len(piece.encode()) > 3 for piece in pieces)


def test_a_stop_text_ends_the_answer_across_tokens(side: Side) -> None:
    prompt = "1, 2, 3, 4, 5, 6, 7,"
    whole, _ = side.text(Generate(prompt=prompt, sampling=GREEDY))
    stop = whole[3:6]
    text, done = side.text(Generate(prompt=prompt, sampling=replace(GREEDY, stop=(stop,))))
    assert text == whole[: whole.index(stop)]
    assert done.reason == "stop"


def test_a_schema_is_followed(side: Side) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    job = Generate(prompt="Bob is ", format=json.dumps(schema), sampling=Sampling(seed=3, num_predict=60))
    text, done = side.text(job)
    assert done.reason == "stop"
    assert set(json.loads(text)) == {"age"}


def test_a_window_that_is_full_is_shifted_or_ends_the_answer(side: Side) -> None:
    counting = " ".join(f"Line {i}: the number is {i * 37 % 101}." for i in range(22))
    job = Generate(prompt=counting, sampling=Sampling(seed=5, num_predict=40, stop=("\0",)))
    _, whole = side.text(job)
    assert 226 < whole.n_prompt < 255
    assert (whole.reason, whole.n_gen) == ("length", 40)
    _, ended = side.text(replace(job, shift=False))
    assert (ended.reason, ended.n_prompt + ended.n_gen) == ("length", 256)  # as the real one counts
    tail, _ = side.text(replace(job, sampling=replace(job.sampling, num_keep=-1)))
    assert tail  # nothing may be forgotten but what was said


def test_an_open_end_is_ten_windows() -> None:
    session = SimpleNamespace(num_ctx=128, model=SimpleNamespace(adds_bos=False, n_ctx=256, metadata={}))

    def most(num_predict: int) -> int:
        job = Generate(sampling=Sampling(num_predict=num_predict))
        return _Answer(session, None, job, 5, 0)._most  # type: ignore[arg-type]

    assert [most(n) for n in (-1, -2, 0, 7, 5000)] == [1280, 1280, 1280, 7, 1280]


def test_thirty_repeats_end_an_answer(side: Side) -> None:
    only_spaces = json.dumps({"type": "string", "pattern": "^ {2000}$"})
    text, done = side.text(Generate(prompt="x", format=only_spaces, sampling=Sampling(temperature=0)))
    assert done.reason == "repeats"
    assert len(text) < 2000
    assert done.n_gen <= 2 + 32  # the quotation mark, the first space, 31 like it


def test_who_leaves_stops_the_generation(side: Side) -> None:
    async def leave() -> None:
        async with aclosing(side.pool.run(side.smollm, ENDLESS, SMALL)) as events:
            async for event in events:
                if isinstance(event, Token):
                    break

    side.loop.run(leave())
    # An answer of 2560 tokens would not be over by far.
    text, _ = side.text(Generate(prompt="The capital of France is", sampling=replace(GREEDY, num_predict=1)))
    assert text


def test_a_crash_ends_one_request_only(side: Side) -> None:
    pid = side.pool.loaded()[0].pid

    async def crash() -> None:
        async with aclosing(side.pool.run(side.smollm, ENDLESS, SMALL)) as events:
            async for event in events:
                if isinstance(event, Token):
                    os.kill(pid, signal.SIGSEGV)

    with pytest.raises(Refused, match="error was encountered while running the model") as refused:
        side.loop.run(asyncio.wait_for(crash(), 120))
    assert refused.value.status == 500
    text, done = side.text(Generate(prompt="The capital of France is", sampling=GREEDY))
    assert text
    assert done.load_ns > 0
    assert side.pool.loaded()[0].pid != pid


def test_a_worker_killed_while_idle_costs_the_next_request_nothing(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request comes before the server has heard of the end: the first word to the worker tells it."""
    side.all(Load())
    pid = side.pool.loaded()[0].pid
    monkeypatch.setattr(Child, "alive", property(lambda self: True))
    os.kill(pid, signal.SIGKILL)
    text, done = side.text(Generate(prompt="The capital of France is", sampling=GREEDY))
    assert text
    assert done.load_ns > 0
    assert side.pool.loaded()[0].pid != pid


def test_a_refusal_leaves_the_worker_as_it_was(side: Side) -> None:
    side.all(Load())
    pid = side.pool.loaded()[0].pid
    for job in (
        Generate(prompt="x", format='{"type": "string", "pattern": "^[$"}'),
        Generate(prompt="one" + " one" * 400, truncate=False),
        Generate(prompt=""),
    ):
        with pytest.raises(Refused) as refused:
            side.all(job)
        assert refused.value.status == 400
    assert side.pool.loaded()[0].pid == pid


def test_a_full_queue_refuses_and_loses_nobody(side: Side) -> None:
    async def one() -> str:
        job = Generate(prompt="hi", sampling=replace(GREEDY, num_predict=2))
        try:
            async with aclosing(side.pool.run(side.smollm, job, SMALL)) as events:
                return "".join([event.text async for event in events if isinstance(event, Token)])
        except Busy as busy:
            return f"busy {busy.status}"

    async def many() -> list[str]:
        return await asyncio.gather(*(one() for _ in range(12)))

    answers = side.loop.run(asyncio.wait_for(many(), 240))
    assert answers.count("busy 503") == 12 - 1 - 4  # one at work, four waiting
    assert len(set(answers) - {"busy 503"}) == 1


def test_vectors_are_those_of_the_engine(side: Side) -> None:
    texts = ["hi there", "Le chat dort sur le lit."]
    expected = np.array(Embedded(n_threads=1).embed(texts))
    vectors = side.all(Embed(tuple(texts)), side.minilm)[-1]
    assert isinstance(vectors, Vectors)
    assert np.abs(np.array(vectors.vectors) - expected).max() < 1e-3  # it computes several texts in one batch
    real = (-0.10387717932462692, 0.01995791122317314, 0.01492749061435461)  # of ollama 0.32.15, for "hi there"
    assert vectors.vectors[0][:3] == pytest.approx(real, abs=1e-6)
    with llama.Model(models.minilm(), n_ctx=512, n_threads=1) as model:
        assert vectors.n_prompt == sum(len(model.tokenize(t, special=True, bos=True)) for t in texts)
    short = side.all(Embed(("hi there",), dimensions=3), side.minilm)[-1]
    assert isinstance(short, Vectors)
    cut = expected[0, :3] / np.linalg.norm(expected[0, :3])
    assert np.abs(np.array(short.vectors[0]) - cut).max() < 1e-3


def test_long_texts_are_cut_or_refused(side: Side) -> None:
    long = ("word " * 900,)
    vectors = side.all(Embed(long), side.minilm, Setting(num_thread=1))[-1]
    assert isinstance(vectors, Vectors)
    assert vectors.n_prompt == 512
    for job, setting, status, words in (
        (Embed(long, truncate=False), Setting(num_thread=1), 400, "the input length exceeds the context length"),
        (Embed(long, truncate=False, normalize=False), Setting(num_thread=1), 500, "exceeds the context length"),
        (Embed(long), Setting(num_ctx=2, num_thread=1), 400, "input after truncation exceeds"),
    ):
        with pytest.raises(Refused, match=words) as refused:
            side.all(job, side.minilm, setting)
        assert refused.value.status == status
    with pytest.raises(Refused, match="does not support embeddings") as refused:
        side.all(Embed(("hi",)))
    assert refused.value.status == 501


def test_models_go_when_their_time_is_over(side: Side) -> None:
    side.all(Load())
    side.all(Load(), side.minilm)
    loaded = {one.entry.name: one for one in side.pool.loaded()}
    assert set(loaded) == {"smollm2:135m", "all-minilm:latest"}
    assert loaded["smollm2:135m"].num_ctx == 256
    assert loaded["smollm2:135m"].size_bytes > 92 * 2**20  # the weights alone
    side.all(Load(), keep_alive_s=0)
    assert [one.entry.name for one in side.pool.loaded()] == ["all-minilm:latest"]
    assert not psutil.pid_exists(loaded["smollm2:135m"].pid)
    side.all(Load(), side.minilm, keep_alive_s=0.2)

    async def gone() -> None:
        while side.pool.loaded():
            await asyncio.sleep(0.05)

    side.loop.run(asyncio.wait_for(gone(), 60))
    assert not psutil.pid_exists(loaded["all-minilm:latest"].pid)
    side.loop.run(side.pool.unload(side.minilm))  # not loaded: no error


def test_a_file_that_is_gone_or_damaged_is_refused(side: Side, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(models.packaged().read_bytes()[:3_000_000])
    with pytest.raises(Refused) as refused:
        side.all(Load(), replace(side.smollm, name="broken", path=broken), keep_alive_s=0)
    assert refused.value.status == 500
    assert str(tmp_path) not in str(refused.value)
    with pytest.raises(Refused, match="not found") as refused:
        side.all(Load(), replace(side.smollm, name="gone", path=tmp_path / "gone.gguf"))
    assert refused.value.status == 404


def test_buffers_are_read_from_llama_cpps_log() -> None:
    log = (
        "load_tensors: loading model tensors\nload_tensors:   CPU_Mapped model buffer size =  9999.00 MiB\n"
        "load_tensors: loading model tensors\nload_tensors:   CPU_Mapped model buffer size =    92.50 MiB\n"
        "load_tensors:        CUDA0 model buffer size =     1.00 MiB\nsched_reserve:        CPU compute buffer size =  0.50 MiB"
    )
    assert buffers(log) == (94 * 2**20, 2**20)


def test_no_more_models_than_allowed_start_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    async def together() -> None:
        nonlocal most
        catalogue = Catalogue(search=False)
        entry = catalogue.find("smollm2:135m")
        copies = []
        for number in range(4):  # files of their own: so runners of their own
            path = tmp_path / f"{number}.gguf"
            path.write_bytes(b"no model")
            copies.append(replace(entry, path=path))
        begin = Child.start.__func__  # type: ignore[attr-defined]

        async def counted(path: Path, encodes: bool) -> Child:
            nonlocal most
            child: Child = await begin(Child, path, encodes)
            most = max(most, sum(runner.leaves_first is not None for runner in pool._runners.values()) + 1)
            return child

        async def load(entry: Entry) -> None:
            async with aclosing(pool.run(entry, Load(), SMALL)) as events:
                with contextlib.suppress(Refused):
                    async for _ in events:
                        pass

        async with Pool(catalogue, max_loaded=2) as pool:
            monkeypatch.setattr(Child, "start", counted)
            await asyncio.wait_for(asyncio.gather(*map(load, copies)), 240)

    asyncio.run(together())
    assert most == 2


def test_who_waits_when_the_pool_closes_is_told_so_and_starts_nothing() -> None:
    async def ended() -> list[BaseException | None]:
        catalogue = Catalogue(search=False)
        pool = Pool(catalogue)

        async def ask() -> None:
            async with aclosing(pool.run(catalogue.find("smollm2:135m"), ENDLESS, SMALL)) as events:
                async for event in events:
                    if isinstance(event, Token):
                        begun.set()

        begun = asyncio.Event()
        asked = [asyncio.create_task(ask()) for _ in range(3)]
        await asyncio.wait_for(begun.wait(), 240)
        await pool.close()
        return list(await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60))

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    failures = asyncio.run(ended())
    assert [getattr(failure, "status", None) for failure in failures] == [503] * 3
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
