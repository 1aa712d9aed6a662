"""Plans: what is wrong is said to the column, what is asked is run once, whatever stops it in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bench_samples import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from programs.bench import conduct, estimate, live, opening, planned, plans, prompts, recorder, store
from programs.bench.fields import Record
from programs.bench.here import machine_facts
from programs.bench.opening import Found
from workbook import paths
from workbook.errors import BadPlan, EngineTimeout, RunChanged, ServerNotFound, StreamBroken

TESTS = Path(__file__).parent
GOOD = """
name: good
repetitions: 2
models: [one, {name: two, thinking: [true, false]}]
prompts: [chat-story]
settings:
  - max_tokens: 8
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "plan.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def loaded(folder: Path, text: str = GOOD) -> plans.Plan:
    return plans.load(written(folder, text))


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("name: été\nprompts: [pp8]\n", "1:7", "name 'été': letters A to Z, digits, - _ and . only"),
        ("name: 2025-07-04\nprompts: [pp8]\n", "1:7", "name 2025-07-04: input should be a valid string: put it into"),
        ("name: a\nprompts: []\n", "2:10", "prompts: at least one is needed"),
        ("name: a\nprompts: [pp8]\nmodels: [3]\n", "3:10", "models.1 3: a name is needed here, or keys and values"),
        ("name: a\nprompts: [null]\n", "2:11", "prompts.1 None: a name is needed here"),
        ("name: a\nprompt: [pp8]\n", "2:1", "unknown key 'prompt'. Did you mean prompts"),
        ("name: a\nprompts: [pp8]\nsettings:\n  - max_token: 9\n", "4:5", "unknown key 'max_token'. Did you mean max_tokens"),
        ("name: a\nprompts: [pp8]\nmodels:\n  - {named: b}\n", "4:6", "unknown key 'named'. Did you mean name"),
        ("name: a\nprompts: [pp8]\nrepetitions: 0\n", "3:14", "repetitions 0: input should be greater"),
        ("name: a\nprompts: [pp8]\nrepetitions: five\n", "3:14", "repetitions 'five': input should be a valid integer"),
        ("name: a\nprompts: [pp8]\nrepetitions: true\n", "3:14", "repetitions True"),
        ("name: a\nprompts: [chat-stroy]\n", "2:11", "no prompt 'chat-stroy'. Did you mean chat-story"),
        ("name: a\nprompts: [pp0]\n", "2:11", "no prompt 'pp0'"),
        ("name: a\nprompts: []\n", "2:10", "prompts: "),
        ("name: a\n", "1:1", "'prompts' is missing"),
        ("name: ../a\nprompts: [pp8]\n", "1:7", "name '../a'"),
        ("name: a\nprompts: [pp8]\nname: b\n", "3:1", "'name' is given twice"),
        ("name: a\nprompts: [pp8]\nsettings: {top_p: 1.5}\n", "3:19", "top_p 1.5"),
        ("name: a\nprompts: [pp8]\nsettings: {top_p: .nan}\n", "3:19", "top_p nan"),
        ("name: a\nprompts: [pp8]\nsettings: {max_tokens: 512, n_ctx: 512}\n", "3:11", "leaves no room"),
        ("name: a\nprompts: [pp8]\nsettings: {flash_attn: maybe}\n", "3:24", "flash_attn 'maybe'"),
        ("name: a\nprompts: [pp8]\nthinking: [sometimes]\n", "3:12", "thinking.1 'sometimes'"),
        ("name: a\nprompts: [pp8]\nengine: olama\n", "3:9", "engine 'olama'"),
        ("name: a\nprompts: &x [pp8]\nmodels: *x\n", "3:9", "an alias"),
        ("name: a\nprompts: [pp8\n", "3:1", "not YAML"),
        ("name: a\n\tprompts: [pp8]\n", "2:1", "not YAML"),
        ("name: !!python/object/apply:os.system [ls]\nprompts: [pp8]\n", "1:7", "not YAML"),
        ("1: a\n", "1:1", "a key must be a word"),
        ("- a\n", "1:1", "a plan is a list of keys"),
        ("", "1:1", "a plan is a list of keys"),
        ("[" * 40, "1:13", "too deep"),
        ("name: a\nprompts: [pp8]\nmodels: [" + ", ".join(f"m{i}" for i in range(101)) + "]\n", "3:9", "models: "),
        ("name: a\nrepetitions: 1000\nmodels: [" + ", ".join(f"m{i}" for i in range(99)) + "]\nprompts: [pp8]\n", "1:1", "99 combinations"),
        ("name: a\x00\n", "", "not YAML"),
        (b"name: \xff\n", "1:1", "not UTF-8"),
        ("name: " + "9" * 5000 + "\nprompts: [pp8]\n", "", "plan.yaml"),
        ("name: a\nabout: " + "x" * 70_000, "", "larger than 64 KiB"),
        ("name: a\nprompts: [pp8]\nmodels: [\"a\\e[2J\"]\n", "3:10", "models.1.name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line_and_column(
    tmp_path: Path, text: str | bytes, where: str, says: str
) -> None:
    with pytest.raises(BadPlan) as refused:
        plans.load(written(tmp_path, text))
    said = str(refused.value)
    assert said.startswith(f"plan.yaml:{where}:" if where else "plan.yaml")
    assert says in said
    assert said.isprintable()
    assert len(said) < 600
    assert str(tmp_path) not in said


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadPlan, match=r"none\.yaml cannot be read"):
        plans.load(tmp_path / "none.yaml")
    with pytest.raises(BadPlan, match="cannot be read"):
        plans.load(tmp_path)


WORDS = st.sampled_from(["name", "prompts", "models", "settings", "a", "pp8", "chat-story", "[", "]", "{", "}", ":", " ", "\n",
                         "- ", "*a", "&a", "!!set", "1e999", "0x", "null", "'", "\t", "é", "2001-01-01", "---\n"])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=30).map(lambda words: "".join(words).encode())))
def test_no_file_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    with suppress(BadPlan):
        plans.load(written(tmp_path_factory.getbasetemp(), raw))


def test_the_cells_of_a_plan(tmp_path: Path) -> None:
    text = (
        GOOD.replace("[chat-story]", "[chat-story, pp16]")
        + "  - {max_tokens: 8, temperature: 0.1}\n  - {n_threads: 3}\n"
    )
    cells = planned.cells(loaded(tmp_path, text))
    asked = [(c.model, c.prompt_id, c.thinking) for c in cells]
    assert asked.count(("one", "chat-story", None)) == 3
    assert asked.count(("two", "chat-story", True)) == asked.count(("two", "chat-story", False)) == 3
    assert asked.count(("one", "pp16", None)) == 2, "a temperature changes no loop without text; threads do"
    assert len({c.hash for c in cells}) == len(cells)
    assert [c.model for c in cells] == sorted(c.model for c in cells), "one model after the other"
    assert [c.bare for c in cells if c.bare] == [("pp", 16)] * 4
    flash = loaded(tmp_path, GOOD + "    flash_attn: on\n").settings[0].flash_attn
    assert flash == "on", "YAML reads it as true"


def test_a_plan_is_named_by_what_it_does(tmp_path: Path) -> None:
    def named(text: str, engine: str = "openai") -> str:
        plan = loaded(tmp_path, text)
        return planned.plan_hash(plan, planned.cells(plan), engine)

    first = named(GOOD)
    assert named("# a comment\nabout: words\n" + GOOD.replace("good", "other")) == first
    for changed in ("repetitions: 3", "repetitions: 2\nseed: 7", "repetitions: 2\ntimeout_s: 9"):
        assert named(GOOD.replace("repetitions: 2", changed)) != first
    assert named(GOOD.replace("max_tokens: 8", "max_tokens: 9")) != first
    assert named(GOOD, "ollama") != first


@pytest.mark.parametrize("path", sorted((paths.data() / "plans").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_plans_that_come_with_the_workbook(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "snake-fr" not in prompts.known():
        monkeypatch.setattr(prompts, "_tasks", lambda: {"snake-fr": SNAKE})
    plan = plans.load(path)
    cells = planned.cells(plan)
    assert plan.name == path.stem
    if path.stem == "snake-2025":
        report = {"gemma3n:e4b", "gemma3:4b", "deepseek-r1:1.5b", "mistral", "deepseek-coder:6.7b", "phi3:mini"}
        assert {cell.model for cell in cells} == report
        assert {c.thinking for c in cells if c.model == "deepseek-r1:1.5b"} == {True, False}
        assert {c.thinking for c in cells if c.model == "mistral"} == {None}
    if path.stem.startswith("snake"):
        assert all(c.prompt_id == "snake-fr" and not c.unique_prefix for c in cells), "the prompt as it stands"


@dataclass
class FakeTask:
    id: str
    prompt: str = "Tu peux me générer le jeu snake en python"
    needs_code: bool = True


SNAKE = FakeTask("snake-fr")


@dataclass
class Here:
    """A plan, and an engine behind it that follows a script."""

    folder: Path
    plan: plans.Plan
    script: dict[int, BaseException] = field(default_factory=dict)
    have: dict[str, Found] = field(default_factory=dict)
    engines: list[Scripted] = field(default_factory=list)
    engine_type: type[Scripted] = Scripted

    def __post_init__(self) -> None:
        self.cells = planned.cells(self.plan)
        self.named = planned.plan_hash(self.plan, self.cells, "openai")
        self.have = {c.model: Found(c.model) for c in self.cells} | self.have
        self.asked = 0

    def run(self) -> planned.Run:
        return planned.find_run(self.folder, "here", self.named) or planned.new_run(self.folder, "here")

    def opens(self, _: str, model: str) -> Scripted:
        shared = {k - self.asked: v for k, v in self.script.items()}
        self.engines.append(self.engine_type(shared, pace_s=0.0, model=model))
        return self.engines[-1]

    def go(self, consent: bool = False) -> list[Record]:
        """Do what is left of the plan; the records made, also when it ends with an error."""
        run = self.run()
        kept = recorder.Recorder(run.path, run.run_id, FACTS, self.named)
        try:
            for _ in conduct.conduct(self.plan, self.cells, run, kept, "openai", self.have, consent, self.opens):
                pass
        finally:
            self.notes = kept.notes
            self.asked = 0
            kept.gpu.close()
        return kept.records

    def all(self) -> list[tuple[str | None, int]]:
        return [(r.cell_hash, r.rep_index) for r in store.load(self.folder).records]

    def whole(self) -> list[tuple[str | None, int]]:
        return [(c.hash, rep) for c in self.cells for rep in range(self.plan.repetitions + 1)]


FACTS = machine_facts("here")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "results", loaded(tmp_path))


def test_a_whole_run(here: Here) -> None:
    records = here.go()
    assert here.all() == here.whole()
    assert [r.seed for r in records[:3]] == [42, 43, 44]
    assert {r.seed for r in records} == {o.seed for e in here.engines for o in e.options_asked}
    assert len({r.prompt_prefix for r in records[:3]}) == 3
    assert [r.thinking for r in records] == [None] * 3 + [True] * 3 + [False] * 3
    assert {o.think for o in here.engines[0].options_asked} == {None}, "neither way: the model's own habit"
    assert {r.config_hash for r in records[:3]} == {records[0].config_hash}, "another seed is no other set-up"
    assert {r.plan_hash for r in records} == {here.named}
    assert {r.cold for r in records if r.is_warmup} == {None}, "whether a server elsewhere unloaded is unknown"
    assert here.go() == [], "nothing is left"


@pytest.mark.parametrize("at", range(9))
def test_stopped_anywhere_it_goes_on_without_repeating_or_losing(here: Here, at: int) -> None:
    asked = itertools_count()

    class Stops(Scripted):
        def _events(self, *args: Any) -> Any:
            if next(asked) == at:
                raise KeyboardInterrupt
            return super()._events(*args)

    here.engine_type = Stops
    with pytest.raises(KeyboardInterrupt):
        here.go()
    assert here.all() == here.whole()[:at]
    here.engine_type = Scripted
    again = here.go()
    assert sorted(here.all(), key=here.whole().index) == here.whole()
    assert len(list(here.folder.rglob("*.jsonl"))) == 1
    assert len({r.run_id for r in store.load(here.folder).records}) == 1
    warmed = at % 3 != 0
    requests = sum(len(e.asked) for e in here.engines) - at
    assert requests == len(again) + warmed, "one unrecorded warm-up where the cell had its own already"


def itertools_count() -> Iterator[int]:
    import itertools

    return itertools.count()


def test_an_engine_that_goes_away_stops_the_run_and_nothing_is_written_for_it(here: Here) -> None:
    here.script = {1: ServerNotFound("gone")}
    with pytest.raises(ServerNotFound):
        here.go()
    assert len(here.all()) == 1
    here.script = {}
    here.go()
    assert sorted(here.all(), key=here.whole().index) == here.whole()


def test_failures_are_kept_and_a_cell_that_only_fails_is_given_up_for_good(here: Here) -> None:
    here.script = {0: EngineTimeout("slow"), 1: StreamBroken("gone")}
    records = here.go()
    first = [r.status for r in records if r.cell_hash == here.cells[0].hash]
    assert first == ["timeout", "truncated"]
    assert any("given up" in note for note in here.notes)
    here.script = {}
    assert here.go() == []


def test_a_missing_model_is_skipped_with_its_reason_once(here: Here) -> None:
    here.have["one"] = Found(None, "'one' is not installed. \x1b[2J", missing=True)
    records = here.go()
    skipped = [r for r in records if r.status == "skipped"]
    assert [(r.model_name, r.cell_hash) for r in skipped] == [("one", here.cells[0].hash)]
    assert "not installed" in (skipped[0].error or "")
    assert here.go() == [], "the reason stands there already"
    assert any("still skipped" in note for note in here.notes)
    here.have["one"] = Found("one")
    assert [r.rep_index for r in here.go()] == [0, 1, 2], "installed since: it is run"
    assert not store.load(here.folder).problems


def test_another_set_up_is_not_mixed_into_a_cell(here: Here) -> None:
    here.script = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        here.go()

    class Newer(Scripted):
        def info(self) -> Any:
            from dataclasses import replace

            return replace(super().info(), engine_version="9.9")

    here.engine_type, here.script = Newer, {}
    with pytest.raises(RunChanged, match=r"engine_version changed since .*--new"):
        here.go()
    assert len(here.all()) == 2


def test_another_machines_run_under_the_same_alias_is_not_gone_on_with(here: Here) -> None:
    here.script = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        here.go()
    other = FACTS.model_copy(update={"cpu_model": "another processor"})
    with pytest.raises(RunChanged, match=r"another processor.*--new"):
        conduct.same_machine(here.run(), other)
    conduct.same_machine(here.run(), FACTS)
    conduct.same_machine(planned.new_run(here.folder, "here"), other)


def test_an_ollama_that_does_not_tell_what_it_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is not known to be unloaded, and no cached token is taken for computed."""
    server = Scripted()
    server.name = "ollama"
    server.url = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    assert opening.unload(server) is False
    assert server.unloaded == 1


def test_two_cells_that_come_out_as_one_set_up_are_run_once(tmp_path: Path) -> None:
    here = Here(tmp_path, loaded(tmp_path, GOOD.replace("[one, {name: two, thinking: [true, false]}]", "[any, one]")))
    here.opens = lambda _, __: Scripted(pace_s=0.0, model="one")  # type: ignore[method-assign]
    records = here.go()
    assert [r.status for r in records] == ["ok"] * 3 + ["skipped"]
    assert "same set-up" in (records[-1].error or "")
    assert not store.load(tmp_path).problems


def test_what_an_engine_cannot_be_told_is_not_pretended(tmp_path: Path) -> None:
    here = Here(tmp_path, loaded(tmp_path, GOOD + "    flash_attn: off\n    n_threads: 2\n"))
    records = here.go()
    assert {r.status for r in records} == {"skipped"}
    assert {r.error for r in records} == {
        "openai takes no n_threads, flash_attn with a request: set it for the server instead"
    }


def test_llama_bench_cells_need_the_file_of_exactly_that_model(tmp_path: Path) -> None:
    text = GOOD.replace("chat-story", "pp16").replace("[one, {name: two, thinking: [true, false]}]", "[SmolLM2]")
    records = Here(tmp_path, loaded(tmp_path, text)).go()
    assert [r.status for r in records] == ["skipped"]
    assert "no file of SmolLM2 is on this machine" in (records[0].error or "")


@pytest.fixture
def grading(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool, bool]]:
    """A grader that notes what it is given: the task snake-fr runs code, the task sum does not."""
    calls: list[tuple[str, str, bool, bool]] = []

    def grade(task_id: str, answer: str, *, consent: bool, truncated: bool = False) -> Any:
        calls.append((task_id, answer, consent, truncated))
        if task_id == "bad":
            raise RuntimeError("the grader broke")
        return types.SimpleNamespace(
            task_id=task_id, task_version=1, level="L3", outcome="graded", passed=False, checks={"parses": True},
            reasons=("frames do not\nrespond",), mark="reserve", sandbox="bwrap", grader_version="1", code_sha256="0" * 64,
        )  # fmt: skip

    known = {"snake-fr": SNAKE, "sum": FakeTask("sum", "1 + 1?", False), "bad": FakeTask("bad", "?", False)}
    monkeypatch.setattr(prompts, "_tasks", lambda: known)
    module = types.SimpleNamespace(grade=grade)
    monkeypatch.setattr(prompts.importlib, "import_module", lambda _: module)
    return calls


TASKS = GOOD.replace("[chat-story]", "[snake-fr, sum, bad, chat-story]").replace(
    "{name: two, thinking: [true, false]}", "two"
)


def test_tasks_are_graded_with_consent_and_their_answers_kept(tmp_path: Path, grading: list[Any]) -> None:
    here = Here(tmp_path / "r", loaded(tmp_path, TASKS))
    records = here.go(consent=True)
    snakes = [r for r in records if r.prompt_id == "snake-fr"]
    assert {(r.grade, r.passed, r.mark, r.sandbox, r.task_version) for r in snakes} == {
        ("L3", False, "reserve", "bwrap", "1")
    }
    assert snakes[0].grade_reasons == ("frames do not respond",)
    assert {r.unique_prefix for r in snakes} == {False}, "a task's prompt is sent as it stands"
    first = here.engines[0].asked[0]
    assert first == [{"role": "user", "content": SNAKE.prompt}]
    assert {(t, a) for t, a, _, _ in grading} == {(t, "one two three") for t in ("snake-fr", "sum", "bad")}
    broken = [r for r in records if r.prompt_id == "bad"]
    assert {(r.status, r.grade_outcome) for r in broken} == {("ok", "harness_error")}
    assert "the grader broke" in broken[0].warnings[0]
    assert {r.task_id for r in records if r.prompt_id == "chat-story"} == {None}
    folder = here.run().path.with_suffix(".answers")
    names = {f"{r.prompt_id}-{r.config_hash}-r{r.rep_index}.md" for r in records}
    assert {p.name for p in folder.iterdir()} == names
    import hashlib

    for r in records:
        kept = (folder / f"{r.prompt_id}-{r.config_hash}-r{r.rep_index}.md").read_bytes()
        assert hashlib.sha256(kept).hexdigest() == r.answer_sha256
    assert kept.decode() == "<think>\nhm\n</think>\n\none two three"


def test_without_consent_no_generated_code_is_run(tmp_path: Path, grading: list[Any]) -> None:
    records = Here(tmp_path / "r", loaded(tmp_path, TASKS)).go()
    assert {task for task, _, consent, _ in grading} == {"sum", "bad"}
    assert not any(consent for _, _, consent, _ in grading)
    snake = next(r for r in records if r.prompt_id == "snake-fr")
    assert (snake.task_id, snake.passed, snake.grade) == ("snake-fr", None, None)
    assert any("--yes" in warning for warning in snake.warnings)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks; a kill on Windows is in test_bench_protocol.py")
@pytest.mark.parametrize("broken", [[], ["broken"]])
def test_killed_at_random_instants(tmp_path: Path, broken: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "kill_runs.py"), str(tmp_path), "20", "7", *broken],
        capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["said"] > 0
    assert (found["lost"] == 0) == (not broken), "the harness sees a store that keeps too late"
    if not broken:
        assert (found["twice"], found["unreadable"]) == (0, 0)


def test_the_estimate(here: Here) -> None:
    cell = here.cells[0]
    assert estimate.estimate(cell, "one", [], {}) == estimate.Estimate("unknown")
    speed = estimate.Speed("probe", tg_ts=4.0, pp_ts=100.0, load_s=3.0, ttft_s=1.0)
    guess = estimate.estimate(cell, "one", [], {"one": speed})
    assert guess == estimate.Estimate("probe", 1.0 + 8 / 4, 3.0)
    assert guess.of(3) == 12.0
    records = here.go()
    known = estimate.estimate(cell, "one", records, {})
    mine = sorted((r.total_ns or 0) / 1e9 for r in records[:3])
    assert (known.basis, known.rep_s) == ("records", mine[1])
    assert estimate.estimate(cell, "another", records, {}).basis == "unknown"
    other = planned.cells(here.plan.model_copy(update={"settings": (plans.Settings(max_tokens=80),)}))[0]
    by_rate = estimate.estimate(other, "one", records, {})
    assert by_rate.basis == "records"
    assert (by_rate.rep_s or 0) > (known.rep_s or 0), "ten times the tokens"
    cells = [(c, speed_of) for c in here.cells for speed_of in [estimate.Estimate("probe", 2.0, 1.0)]]
    fresh = planned.new_run(here.folder, "fresh")
    assert estimate.total(cells, fresh, 2, here.have) == 3 * (1 + 3 * 2)
    assert estimate.total([(cell, estimate.Estimate("unknown"))], fresh, 2, here.have) is None
    assert [estimate.spoken(s) for s in (None, 12.4, 600, 7200)] == ["unknown", "12 s", "10 min", "2.0 h"]


def test_a_probe_tells_the_rates() -> None:
    found = estimate.probe(Scripted(pace_s=0.02))
    assert found.basis == "probe"
    assert found.tg_ts is not None
    assert found.tg_ts < 3 / 0.06 * 1.01, "three steps of 20 ms or more"
    assert found.pp_ts is not None


def test_what_the_screen_shows(here: Here) -> None:
    here.have["two"] = Found(None, "not there")
    run = here.run()
    cells = [(c, estimate.Estimate("probe", 2.0, 1.0)) for c in here.cells]
    board = live.Board(cells, run, 2, here.have)
    said: list[str] = []
    live.announce(board, said.append)
    assert said[0] == "  one, chat-story, up to 8 tokens: 3 of 3 to do, 7 s (by a probe)"
    assert said[1].endswith("the model is missing: skipped. not there"), "why, and what else is installed"
    assert said[-1] == "Estimated time: 7 s"
    records = here.go()
    steps = [conduct.Step(here.cells[0]), *(conduct.Step(here.cells[0], r) for r in records[:3])]
    steps += [conduct.Step(here.cells[1], records[3])]
    plain: list[str] = []
    with live.shown(board, "title", plain.append, Console(force_terminal=False)) as show:
        for step in steps:
            show(step)
    assert plain[0].startswith("one, chat-story: warm-up, ")
    assert any(line.startswith("one, chat-story: 2/2, ") and line.endswith("left 0 s") for line in plain)
    assert plain[-1] == "two, chat-story, thinking: skipped: not there"
    board = live.Board(cells, run, 2, here.have)
    console = Console(force_terminal=True, record=True, width=120, file=open(os.devnull, "w"))  # noqa: SIM115
    with live.shown(board, "title", plain.append, console) as show:
        for step in steps:
            show(step)
    text = console.export_text()
    assert "3/3" in text
    assert "skipped: not there" in text
    assert "left: 0 s" in text


def test_the_engine_of_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_ENGINE", "embedded")
    assert opening.engine_name(None) == "embedded"
    assert opening.engine_name("OLLAMA") == "ollama"
    monkeypatch.delenv("WORKBOOK_ENGINE")
    for answers, name in ((True, "ollama"), (False, "embedded")):
        monkeypatch.setattr(opening.ollama_engine, "answers", lambda _, given=answers: given)
        assert opening.engine_name(None) == name
