"""A plan whose models are missing, on the real Ollama: pulled over HTTPS from a registry of our own, on consent only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry import Registry, make_certificate, serving_models
from servers import Server, ollama_serving

from programs.bench import store
from programs.bench.fields import Record

WEIGHTS = 98e6


class Reader:
    """A user at a machine of their own: an Ollama without models, which trusts the registry, and one plan."""

    def __init__(self, folder: Path, ollama: Server, registry: Registry) -> None:
        self.folder, self.registry = folder, registry
        self.model, self.nobody = (f"{registry.address}/library/{n}:135m" for n in ("smollm2", "nobody"))
        self.env = {
            **ollama.environment, "WORKBOOK_ENGINE": "ollama", "WORKBOOK_THREADS": "1", "TERM": "xterm",
            "COLUMNS": "100", "WORKBOOK_CACHE": str(folder / "cache"),
        }  # fmt: skip

    def begin(self, *options: str, terminal: int | None = None, models: str = "") -> subprocess.Popen[str]:
        """``workbook bench`` on the plan, in a group of its own; on a terminal if one is given."""
        plan = self.folder / "plan.yaml"
        plan.write_text(
            f"name: pulled\nrepetitions: 1\nmodels: [{models or self.model}]\nprompts: [chat-story]\n"
            "settings: {max_tokens: 4, n_ctx: 256}\n"
        )
        command = [sys.executable, "-c", "from programs.cli import app; app()", "bench", str(plan), *options]
        out = subprocess.PIPE if terminal is None else terminal
        return subprocess.Popen(
            [*command, "--results", str(self.folder / "results"), "--host", "here"],
            env=self.env, stdin=terminal, stdout=out, stderr=subprocess.STDOUT if terminal is None else terminal,
            text=True, start_new_session=True,
        )  # fmt: skip

    def bench(self, *options: str, models: str = "") -> str:
        """What it says, to its good end."""
        child = self.begin(*options, models=models)
        said, _ = child.communicate(timeout=240)
        assert child.returncode == 0, said
        assert "Traceback" not in said
        return said

    def records(self) -> tuple[Record, ...]:
        loaded = store.load(self.folder / "results")
        assert not loaded.problems
        return loaded.records

    def skipped(self) -> list[str]:
        return [r.error or "" for r in self.records() if r.status == "skipped"]

    def done(self) -> list[tuple[str, int]]:
        """Model and repetition of all that ran."""
        assert {r.status for r in self.records()} <= {"ok", "skipped"}
        return [(r.model_name, r.rep_index) for r in self.records() if r.status == "ok"]

    @property
    def whole(self) -> list[tuple[str, int]]:
        return [(self.model, 0), (self.model, 1)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None or not sys.platform.startswith("linux"):
        pytest.skip("Ollama pulls over HTTPS: this needs openssl, and a system where Go reads SSL_CERT_FILE (Linux)")
    path = tmp_path_factory.mktemp("tls") / "registry.pem"
    make_certificate(openssl, path)
    return path


@pytest.fixture
def reader(certificate: Path, ollama: Server, tmp_path: Path) -> Iterator[Reader]:
    trusting = {"SSL_CERT_FILE": str(certificate.with_suffix(".crt")), "LLAMA_ARG_THREADS": "1"}
    with (
        serving_models(ollama, certificate) as registry,
        ollama_serving(tmp_path / "ollama", with_models=False, **trusting) as empty,
    ):
        yield Reader(tmp_path, empty, registry)


def test_pulled_then_run_and_one_that_the_registry_has_not(reader: Reader) -> None:
    both = f"{reader.nobody}, {reader.model}"
    said = reader.bench("--pull", models=both)
    why = "not pulled: its registry has no model of that name (Ollama says: pull model manifest: file does not exist)"
    assert f"! {reader.nobody}: {why}\n" in said
    assert f"{reader.model}: 100% of 98." in said
    assert f"{reader.model}: pulled, 98." in said
    assert f"{reader.nobody}, chat-story, up to 4 tokens: the model is missing: skipped" in said
    assert reader.done() == reader.whole
    assert reader.skipped() == [f"{reader.nobody!r} is not installed; {why}"]
    (one,) = {r.ollama_digest for r in reader.records() if r.status == "ok"}
    assert one, "the record names what came by its digest"
    assert {r.n_gen for r in reader.records() if r.status == "ok"} == {4}
    answers = [path.name for path in (reader.folder / "results").rglob("*.md")]
    assert len(answers) == 2
    assert not [name for name in answers if set(name) & set(':/\\<>|?*"')], "names that Windows takes"
    weights = len(reader.registry.ranges)
    again = reader.bench("--pull", models=both)
    assert f"Nothing is left to do but for what is missing: {reader.nobody}." in again
    assert len(reader.records()) == 3
    assert len(reader.registry.ranges) == weights, "what is there is not fetched again"


def test_without_consent_nothing_is_asked_of_the_registry(reader: Reader) -> None:
    for options in (("--no-pull",), ()):  # no answer, in a pipe, is no consent
        assert "pulls" not in reader.bench(*options)
    assert reader.registry.asked == []
    (why,) = reader.skipped()
    assert why.startswith(f"{reader.model!r} is not installed.")
    assert why.endswith("(not pulled: that was not agreed to; --pull agrees)")


def test_a_connection_that_breaks_off_is_taken_up_again(reader: Reader) -> None:
    reader.registry.cuts = 2
    assert f"{reader.model}: pulled" in reader.bench("--pull")
    first, second, third = reader.registry.ranges
    assert first == 0
    assert WEIGHTS / 3 < second < third < WEIGHTS, "from where it broke off"
    assert reader.done() == reader.whole


@pytest.mark.parametrize(("fault", "says", "weights"), [
    ("damaged", "what came is damaged and was thrown away. Run the same command again", 2),
    ("refuses", "not pulled: its registry lacks a part of it", 1),
])  # fmt: skip
def test_a_download_that_fails_is_one_line_and_the_same_command_succeeds_later(
    reader: Reader, fault: str, says: str, weights: int
) -> None:
    setattr(reader.registry, fault, True)
    said = reader.bench("--pull")
    (line,) = [line for line in said.splitlines() if line.startswith("! ")]
    assert says in line
    (why,) = reader.skipped()
    assert says in why
    setattr(reader.registry, fault, False)
    assert f"{reader.model}: pulled" in reader.bench("--pull")
    assert reader.done() == reader.whole
    assert len(reader.registry.ranges) == weights, "what was whole is kept"
    assert len(reader.skipped()) == 1, "the record of the failure stays"


def test_ctrl_c_in_a_download_then_on_from_there(reader: Reader) -> None:
    reader.registry.flows.clear()
    child = reader.begin("--pull")
    assert reader.registry.halfway.wait(60)
    time.sleep(1)  # until Ollama has said so
    os.killpg(child.pid, signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert f"{reader.model}: stopped at 49." in said
    assert said.endswith("Stopped. What was finished is kept.\n")
    assert not (reader.folder / "results").exists()
    reader.registry.flows.set()
    assert f"{reader.model}: pulled" in reader.bench("--pull")
    first, second = reader.registry.ranges
    assert first == 0
    assert second > WEIGHTS / 3, "not from the beginning"
    assert reader.done() == reader.whole


@pytest.mark.parametrize("answer", ["n", "y", "ctrl-c"])
def test_on_a_terminal_it_asks(reader: Reader, answer: str) -> None:
    ours, theirs = os.openpty()
    child = reader.begin(terminal=theirs)
    os.close(theirs)
    said = b""
    try:
        while b"Let it download them now? [y/N]:" not in said:
            said += os.read(ours, 4096)
        assert reader.registry.asked == []
        if answer == "ctrl-c":
            os.killpg(child.pid, signal.SIGINT)
        else:
            os.write(ours, f"{answer}\n".encode())
        while True:
            said += os.read(ours, 4096)
    except OSError:  # what Linux gives when the other end is closed
        pass
    finally:
        os.close(ours)
    text = said.decode()
    assert child.wait(60) == (130 if answer == "ctrl-c" else 0), text
    assert "Traceback" not in text
    assert bool(reader.registry.asked) == (answer == "y")
    if answer == "y":
        assert "pulling" in text, "the bar names the part"
        assert "MB" in text
        assert reader.done() == reader.whole
    elif answer == "n":
        (why,) = reader.skipped()
        assert "not agreed to" in why
    else:
        assert text.rstrip().endswith("Stopped. What was finished is kept.")
        assert not (reader.folder / "results").exists()
