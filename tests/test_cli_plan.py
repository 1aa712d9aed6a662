"""``workbook bench PLAN.yaml``: what it says, what it asks, how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_samples import Scripted
from typer.testing import CliRunner, Result

from programs import cli
from programs.bench import session, store
from workbook import alone, paths
from workbook.errors import ModelNotFound, ServerNotFound

PLAN = "name: tried\nrepetitions: 1\nmodels: [one, two]\nprompts: [chat-story]\nsettings: {max_tokens: 4}\n"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The models that a pretended engine has."""
    models = {"one", "two"}
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))

    def connected(engine: str, model: str) -> Scripted:
        if engine == "openai" and not models:
            raise ServerNotFound("nothing answers")
        if model not in models:
            raise ModelNotFound(f"{model!r} is not installed.")
        return Scripted(pace_s=0.0, model=model)

    monkeypatch.setattr(session, "connected", connected)
    return models


def call(tmp_path: Path, *words: str, plan: str = PLAN, engine: str = "openai") -> Result:
    path = tmp_path / "tried.yaml"
    path.write_text(plan)
    options = ["--results", str(tmp_path / "results"), "--host", "here", "--engine", engine]
    return CliRunner().invoke(cli.app, ["bench", str(path), *options, *words])


def test_a_dry_run_says_all_and_does_nothing(tmp_path: Path, there: set[str]) -> None:
    result = call(tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "one, chat-story, up to 4 tokens: 2 of 2 to do, unknown" in result.stdout
    assert "Estimated time: unknown" in result.stdout
    assert not (tmp_path / "results").exists()


def test_a_run_then_nothing_left_then_anew(tmp_path: Path, there: set[str]) -> None:
    first = call(tmp_path)
    assert first.exit_code == 0, first.output
    assert "4 records in" in first.stdout
    again = call(tmp_path)
    assert "Nothing is left to do" in again.stdout
    assert len(store.load(tmp_path / "results").records) == 4
    assert "by earlier records" in call(tmp_path, "--new", "--dry-run").stdout
    assert call(tmp_path, "--new").exit_code == 0
    assert len({r.run_id for r in store.load(tmp_path / "results").records}) == 2
    changed = call(tmp_path, plan=PLAN.replace("repetitions: 1", "repetitions: 2"))
    assert "6 records in" in changed.stdout, "a changed plan is a new run"


def test_a_mistake_in_the_plan_is_one_line(tmp_path: Path, there: set[str]) -> None:
    result = call(tmp_path, plan=PLAN.replace("prompts", "promptz"))
    assert result.exit_code == 1
    assert result.stderr.startswith("BadPlan: tried.yaml:4:1: unknown key 'promptz'. Did you mean prompts")
    assert len(result.stderr.splitlines()) == 1
    there.clear()
    gone = call(tmp_path)
    assert (gone.exit_code, gone.stderr) == (1, "ServerNotFound: nothing answers\n")


@pytest.mark.parametrize(("words", "asked", "answer", "pulled"), [
    (["--pull"], False, None, True), (["--no-pull"], False, None, False), ([], True, True, True),
    ([], True, False, False), ([], False, None, False),
])  # fmt: skip
def test_missing_models_are_pulled_on_consent_only(
    tmp_path: Path, there: set[str], monkeypatch: pytest.MonkeyPatch,
    words: list[str], asked: bool, answer: bool | None, pulled: bool,
) -> None:  # fmt: skip
    there.remove("two")
    questions: list[str] = []
    fetched: list[str] = []

    def pull(model: str, show: object) -> None:
        fetched.append(model)
        there.add(model)

    def confirm(question: str) -> Any:
        questions.append(question)
        return answer

    monkeypatch.setattr(session, "pull", pull)
    monkeypatch.setattr(session.typer, "confirm", confirm)
    monkeypatch.setattr(session, "on_a_terminal", lambda: asked)
    result = call(tmp_path, *words, engine="ollama")
    assert result.exit_code == 0, result.output
    assert fetched == (["two"] if pulled else [])
    assert len(questions) == asked
    skipped = [r for r in store.load(tmp_path / "results").records if r.status == "skipped"]
    assert len(skipped) == (not pulled)


def test_a_pull_that_fails_is_a_skipped_cell_with_the_reason(
    tmp_path: Path, there: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there.remove("two")
    monkeypatch.setattr(session, "pull", lambda model, show: "not pulled: no network")
    assert call(tmp_path, "--pull", engine="ollama").exit_code == 0
    (skipped,) = [r for r in store.load(tmp_path / "results").records if r.status == "skipped"]
    assert skipped.error == "'two' is not installed; not pulled: no network"


def test_ctrl_c_shows_what_is_kept(tmp_path: Path, there: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(engine: str, model: str) -> Scripted:
        return Scripted({1: KeyboardInterrupt()}, pace_s=0.0, model=model)

    monkeypatch.setattr(session, "connected", stops)
    result = call(tmp_path, "--new", plan=PLAN.replace("[one, two]", "one"))
    assert result.exit_code == 130
    assert "1 records in" in result.stdout
    assert "What was finished is kept" in result.stderr


def test_two_benchmarks_at_once_are_refused(tmp_path: Path, there: set[str]) -> None:
    with alone.alone(paths.cache() / "bench.lock", "benchmark"):
        result = call(tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("NotAlone: another benchmark is at work")


def test_without_a_plan_the_options_make_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(session, "record", lambda *options: seen.extend(options))
    words = [
        "--engine",
        "ollama",
        "--model",
        "phi3",
        "--repetitions",
        "7",
        "--prompt-tokens",
        "16",
        "--gen-tokens",
        "8",
        "--host",
        "box",
        "--pull",
    ]
    assert CliRunner().invoke(cli.app, ["bench", *words, "--results", str(tmp_path)]).exit_code == 0
    plan, *rest = seen
    asked = [prompt.id for prompt in plan.prompts]
    assert (plan.models[0].name, plan.repetitions, asked) == ("phi3", 7, ["pp16", "tg8", "chat-story"])
    assert rest[:-1] == ["ollama", "box", tmp_path, False, True, False, True], "it always begins anew"
    assert CliRunner().invoke(cli.app, ["bench", "--repetitions", "0"]).exit_code == 2
