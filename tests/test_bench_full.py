"""A disk that is full, a folder that may not be written: one line, and nothing lost."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_samples import Scripted, sample
from typer.testing import CliRunner

from programs import cli
from programs.bench import session, store

PLAN = "name: tried\nrepetitions: 2\nmodels: [one]\nprompts: [chat-story]\nsettings: {max_tokens: 4}\n"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process becomes larger: like a full disk, a write is cut short and the next one fails."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)


def test_half_a_line_is_taken_back_and_the_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    store.append(path, sample(rep_index=1))
    before = path.read_bytes()
    with files_of_at_most(len(before) + 100), pytest.raises(OSError, match="too large"):
        store.append(path, sample(rep_index=2))
    assert path.read_bytes() == before
    store.append(path, sample(rep_index=2))
    assert [r.rep_index for r in store.read(path).records] == [1, 2]
    assert store.read(path).problems == ()


@pytest.fixture
def plan(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session, "connected", lambda engine, model: Scripted(pace_s=0.0, model=model))
    path = tmp_path / "tried.yaml"
    path.write_text(PLAN)
    return path


def bench(plan: Path, results: Path) -> tuple[int, str]:
    words = ["bench", str(plan), "--results", str(results), "--host", "here", "--engine", "openai"]
    done = CliRunner().invoke(cli.app, words)
    return done.exit_code, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_ends_a_plan_in_one_line_and_it_goes_on_later(plan: Path, tmp_path: Path) -> None:
    one = len(sample().line())
    with files_of_at_most(2 * one):
        code, said = bench(plan, tmp_path / "results")
    assert code == 1
    assert said.startswith("NotKept: ")
    assert len(said.splitlines()) == 1
    assert "cannot be written (File too large)" in said
    loaded = store.load(tmp_path / "results")
    assert loaded.problems == ()
    assert 0 < len(loaded.records) < 3
    assert bench(plan, tmp_path / "results") == (0, "")
    again = store.load(tmp_path / "results").records
    assert [r.rep_index for r in again] == [0, 1, 2]
    assert again[: len(loaded.records)] == loaded.records


def test_a_folder_that_cannot_be_written_is_known_before_anything_is_asked(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    code, said = bench(plan, tmp_path / "results")
    assert (code, len(said.splitlines())) == (1, 1)
    assert said.startswith("NotKept: here cannot be written (")
    assert "--results" in said
