"""The recorder on real servers: a plan whose models are missing or pulled, interrupted and gone on with; clocks that agree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from registry import Registry, make_certificate, serving_models
from servers import NAME, Server, llama_serving, ollama_serving, tell

from programs.bench import store
from programs.bench.fields import Record

WEIGHTS = 98e6


class Reader:
    """A user at a machine with that server: a folder of records, and one plan after another."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.env = {**environment, "WORKBOOK_THREADS": "1", "WORKBOOK_CACHE": str(folder / "cache")}

    def begin(self, plan: str, *options: str, terminal: int | None = None) -> subprocess.Popen[str]:
        """``workbook bench`` on the plan, in a group of its own; on a terminal if one is given."""
        path = self.folder / "plan.yaml"
        path.write_text(plan)
        command = [sys.executable, "-c", "from programs.cli import app; app()", "bench", str(path), *options]
        out = subprocess.PIPE if terminal is None else terminal
        return subprocess.Popen(
            [*command, "--results", str(self.folder / "results"), "--host", "here"],
            env=self.env, stdin=terminal, stdout=out, stderr=subprocess.STDOUT if terminal is None else terminal,
            text=True, start_new_session=True,
        )  # fmt: skip

    def bench(self, plan: str, *options: str, code: int = 0) -> str:
        """What it says, to its end."""
        return ended(self.begin(plan, *options), code)

    def records(self, status: str = "") -> list[Record]:
        loaded = store.load(self.folder / "results")
        assert not [problem for problem in loaded.problems if not problem.cut]
        return [r for r in loaded.records if status in ("", r.status)]

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + 120
        while len(store.load(self.folder / "results").records) < count:
            assert time.monotonic() < until, "nothing is recorded"
            time.sleep(0.05)


def ended(child: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = child.communicate(timeout=240)
    assert child.returncode == code, said
    assert "Traceback" not in said
    return said


def one_plan(models: str, tokens: int = 4, repetitions: int = 1) -> str:
    return (
        f"name: one\nrepetitions: {repetitions}\nmodels: [{models}]\nprompts: [chat-story]\n"
        f"settings: {{max_tokens: {tokens}, n_ctx: 256, n_threads: 1}}\n"
    )


@pytest.fixture(scope="module")
def named(ollama: Server) -> Iterator[Server]:
    """The session's Ollama, with one file under two names more."""
    for name in ("first:1", "second:1"):
        tell(ollama, "cp", NAME, name)
    yield ollama
    tell(ollama, "rm", "first:1", "second:1")


NAMES = """
name: names
repetitions: 2
models: [first:1, second:1, never-was:1]
prompts: [pp16, chat-story]
settings: {max_tokens: 12, n_threads: 1}
"""


def test_several_names_interrupted_killed_and_gone_on_with(tmp_path: Path, named: Server) -> None:
    reader = Reader(tmp_path, {**named.environment, "WORKBOOK_ENGINE": "ollama"})
    said = reader.bench(NAMES, "--dry-run")
    assert "first:1, chat-story, up to 12 tokens: 3 of 3 to do" in said
    assert not (tmp_path / "results").exists()
    stopped = reader.begin(NAMES, "--no-pull")
    reader.wait_for(4)
    os.killpg(stopped.pid, signal.SIGINT)
    ended(stopped, 130)
    before = reader.records()
    killed = reader.begin(NAMES, "--no-pull")
    reader.wait_for(len(before) + 1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    reader.bench(NAMES, "--no-pull")
    every = reader.records()
    assert every[: len(before)] == before
    done = sorted((r.model_name, r.prompt_id, r.rep_index) for r in every if r.status != "skipped")
    assert done == sorted((m, p, i) for m in ("first:1", "second:1") for p in ("pp16", "chat-story") for i in range(3))
    assert {r.status for r in every if r.model_name != "never-was:1"} == {"ok"}
    assert len({r.run_id for r in every}) == 1
    assert all("never-was:1" in (r.error or "") for r in every if r.status == "skipped")

    chats = [r for r in every if r.prompt_id == "chat-story" and r.status == "ok"]
    assert len({r.ollama_digest for r in chats}) == 1, "one file under two names"
    assert len({r.seed for r in chats}) == 3
    cold, warm = ([r for r in chats if r.is_warmup is first] for first in (True, False))
    assert [(r.cold, r.n_cached) for r in cold] == [(True, 0)] * 2, "just loaded: nothing cached"
    assert {(r.n_cached, r.pp_ts) for r in warm} == {(None, None)}, "cached tokens never count as computed"
    assert min(r.load_ns or 0 for r in cold) > max(r.load_ns or 0 for r in warm)
    assert {r.n_gen for r in chats} == {12}
    assert all(len(r.server_pids or ()) >= 2 for r in warm), "the server and its runner"
    # Ollama's own figure is n/t of a time that n - 1 steps took; the record's is that of the stream.
    times = [(r.n_gen, r.gen_ns, r.stream_ns, r.tg_ts) for r in warm]
    ours = [tg / ((n - 1) / stream * 1e9) for n, gen, stream, tg in times if n and gen and stream and tg]
    theirs = [(n / gen) / ((n - 1) / stream) for n, gen, stream, tg in times if n and gen and stream]
    assert abs(median(ours) - 1) < 0.08
    assert median(theirs) > median(ours) * 1.05, "n/t is the other definition"


def test_an_openai_compatible_server(tmp_path: Path, llama_server_there: None) -> None:
    with llama_serving(tmp_path, "sesame") as server:
        keys = {"OPENAI_BASE_URL": server.url + "/v1", "OPENAI_API_KEY": "sesame"}
        reader = Reader(tmp_path, {**os.environ, "WORKBOOK_ENGINE": "openai", **keys})
        reader.bench(
            "name: any\nrepetitions: 1\nprompts: [pp16, chat-story]\nthinking: [null, false]\nsettings: {max_tokens: 8}\n"
        )
    chats = [r for r in reader.records() if r.prompt_id == "chat-story"]
    assert [(r.thinking, r.rep_index) for r in chats] == [(None, 0), (None, 1), (False, 0), (False, 1)]
    assert {(r.status, r.method, r.n_gen, r.n_ctx) for r in chats} == {("ok", "client-stream", 8, None)}
    assert all(r.gen_ns == r.stream_ns and r.prompt_ns is None and r.pp_ts is None for r in chats)
    assert [r.status for r in reader.records() if r.prompt_id == "pp16"] == ["skipped"], "its file is not known here"
    assert "sesame" not in "".join(p.read_text() for p in (tmp_path / "results").rglob("*.jsonl"))


@pytest.fixture(scope="module")
def pulling(ollama: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Registry]]:
    """An Ollama without models that trusts a registry of our own."""
    openssl, folder = shutil.which("openssl"), tmp_path_factory.mktemp("pulling")
    if openssl is None or not sys.platform.startswith("linux"):
        pytest.skip("Ollama pulls over HTTPS: this needs openssl, and a system where Go reads SSL_CERT_FILE (Linux)")
    certificate = folder / "registry.pem"
    make_certificate(openssl, certificate)
    trusting = {"SSL_CERT_FILE": str(certificate.with_suffix(".crt"))}
    with (
        serving_models(ollama, certificate) as registry,
        ollama_serving(folder / "ollama", with_models=False, **trusting) as empty,
    ):
        yield empty, registry


@pytest.fixture
def reader(pulling: tuple[Server, Registry], tmp_path: Path) -> Iterator[Reader]:
    """A user at that Ollama; what was pulled goes again."""
    server, registry = pulling
    registry.asked.clear()
    registry.ranges.clear()
    registry.halfway.clear()
    yield Reader(tmp_path, {**server.environment, "WORKBOOK_ENGINE": "ollama", "TERM": "xterm", "COLUMNS": "100"})
    listed = [line.split()[0] for line in tell(server, "list").splitlines()[1:]]
    if listed:
        tell(server, "rm", *listed)
    shutil.rmtree(Path(server.environment["OLLAMA_MODELS"]) / "blobs", ignore_errors=True)
    (Path(server.environment["OLLAMA_MODELS"]) / "blobs").mkdir()


def model(registry: Registry, name: str = "smollm2") -> str:
    return f"{registry.address}/library/{name}:135m"


def done(reader: Reader) -> list[int]:
    return [r.rep_index for r in reader.records("ok")]


def test_nothing_is_pulled_without_consent_and_all_that_is_there_with_it(
    reader: Reader, pulling: tuple[Server, Registry]
) -> None:
    _, registry = pulling
    both = one_plan(f"{model(registry, 'nobody')}, {model(registry)}")
    reader.bench(both)  # no answer, in a pipe, is no consent
    assert registry.asked == []
    assert len(reader.records("skipped")) == 2
    said = reader.bench(both, "--pull")
    assert "its registry has no model of that name" in said
    assert done(reader) == [0, 1]
    (digest,) = {r.ollama_digest for r in reader.records("ok")}
    assert digest, "the record names what came by its digest"
    answers = [path.name for path in (reader.folder / "results").rglob("*.md")]
    assert not [name for name in answers if set(name) & set(':/\\<>|?*"')], "names that Windows takes"
    fetched = len(registry.ranges)
    reader.bench(both, "--pull")
    assert len(registry.ranges) == fetched, "what is there is not fetched again"
    assert done(reader) == [0, 1]


def test_a_connection_that_breaks_off_is_taken_up_again_and_damage_is_one_line(
    reader: Reader, pulling: tuple[Server, Registry]
) -> None:
    _, registry = pulling
    plan = one_plan(model(registry))
    registry.cuts, registry.damaged = 1, True
    said = reader.bench(plan, "--pull")
    assert "damaged" in said
    assert len(reader.records("skipped")) == 1
    first, second = registry.ranges
    assert (first, WEIGHTS / 3 < second < WEIGHTS) == (0, True), "from where it broke off"
    registry.damaged = False
    reader.bench(plan, "--pull")
    assert done(reader) == [0, 1]


def test_on_a_terminal_it_asks_and_ctrl_c_in_the_download_goes_on_from_there(
    reader: Reader, pulling: tuple[Server, Registry]
) -> None:
    _, registry = pulling
    plan = one_plan(model(registry))
    registry.flows.clear()
    ours, theirs = os.openpty()
    child = reader.begin(plan, terminal=theirs)
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    assert registry.asked == []
    os.write(ours, b"y\n")
    assert registry.halfway.wait(60)
    os.killpg(child.pid, signal.SIGINT)
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # what Linux gives when the other end is closed
        pass
    os.close(ours)
    assert child.wait(60) == 130, said
    assert b"Traceback" not in said
    assert not (reader.folder / "results").exists()
    registry.flows.set()
    reader.bench(plan, "--pull")
    first, second = registry.ranges
    assert (first, second > WEIGHTS / 3) == (0, True), "not from the beginning"
    assert done(reader) == [0, 1]
