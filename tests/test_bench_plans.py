"""Plans: what is wrong is said to the column, what is asked is run once, whatever stops it in between."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import types
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bench_samples import Scripted
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.bench import plan as plans
from programs.bench import recorder, session, store
from programs.bench.fields import Record
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
        ("[" * 40, "1:41", "not YAML"), ("[" * 20_000, "", "not YAML"),
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
    cells = loaded(tmp_path, text).cells()
    asked = [(c.model, c.prompt_id, c.thinking) for c in cells]
    assert asked.count(("one", "chat-story", None)) == 3
    assert asked.count(("two", "chat-story", True)) == asked.count(("two", "chat-story", False)) == 3
    assert asked.count(("one", "pp16", None)) == 2, "a temperature changes no loop without text; threads do"
    assert len({c.hash for c in cells}) == len(cells)
    assert [c.model for c in cells] == sorted(c.model for c in cells), "one model after the other"
    assert [c.loop for c in cells if c.loop] == [("pp", 16)] * 4
    flash = loaded(tmp_path, GOOD + "    flash_attn: on\n").settings[0].flash_attn
    assert flash == "on", "YAML reads it as true"


def test_a_plan_is_named_by_what_it_does(tmp_path: Path) -> None:
    def named(text: str, engine: str = "openai") -> str:
        return loaded(tmp_path, text).hash(engine)

    first = named(GOOD)
    assert named("# a comment\nabout: words\n" + GOOD.replace("good", "other")) == first
    for changed in ("repetitions: 3", "repetitions: 2\nseed: 7", "repetitions: 2\ntimeout_s: 9"):
        assert named(GOOD.replace("repetitions: 2", changed)) != first
    assert named(GOOD.replace("max_tokens: 8", "max_tokens: 9")) != first
    assert named(GOOD, "ollama") != first


def test_the_plans_that_come_with_the_workbook() -> None:
    """Their hashes are those of the committed records: a run of them goes on where one of today stopped."""
    known = {path.stem: plans.load(path) for path in (paths.data() / "plans").glob("*.yaml")}
    assert all(plan.name == stem for stem, plan in known.items())
    records = store.load(paths.data() / "results" / "plans").records
    hashes = {plan.hash(engine) for plan in known.values() for engine in ("embedded", "ollama")}
    assert {r.plan_hash for r in records} <= hashes
    assert {r.cell_hash for r in records} <= {c.hash for plan in known.values() for c in plan.cells()}
    report = known["snake-2025"].cells()
    assert {c.thinking for c in report if c.model == "deepseek-r1:1.5b"} == {True, False}
    assert {c.thinking for c in report if c.model == "mistral"} == {None}
    assert all(c.prompt_id == "snake-fr" and not c.unique_prefix for c in report), "the prompt as it stands"


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
    missing: dict[str, str] = field(default_factory=dict)
    engines: list[Scripted] = field(default_factory=list)
    engine_type: type[Scripted] = Scripted
    model: str = ""

    def __post_init__(self) -> None:
        self.cells = self.plan.cells()
        self.named = self.plan.hash("openai")

    def opens(self, _: str, model: str) -> Scripted:
        self.engines.append(self.engine_type(self.script, pace_s=0.0, model=self.model or model))
        return self.engines[-1]

    def session(self, consent: bool = False) -> session.PlanSession:
        kept = recorder.Recorder(self.folder, "here", self.named, consent=consent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "connected", lambda engine, model: Scripted(model=model))
            found = session.PlanSession(self.plan, "openai", kept)
        found.missing |= self.missing
        return found

    def go(self, consent: bool = False) -> list[Record]:
        """Do what is left of the plan; the records made."""
        found = self.session(consent)
        before, self.notes = len(found.recorder.records), found.recorder.notes
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "connected", self.opens)
            for _ in found.steps():
                pass
            return found.recorder.records[before:]

    def all(self) -> list[tuple[str | None, int]]:
        return [(r.cell_hash, r.rep_index) for r in store.load(self.folder).records]

    def whole(self) -> list[tuple[str | None, int]]:
        return [(c.hash, rep) for c in self.cells for rep in range(self.plan.repetitions + 1)]


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
    asked = itertools.count()

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
    here.missing["one"] = "'one' is not installed. \x1b[2J"
    records = here.go()
    skipped = [r for r in records if r.status == "skipped"]
    assert [(r.model_name, r.cell_hash) for r in skipped] == [("one", here.cells[0].hash)]
    assert "not installed" in (skipped[0].error or "")
    assert here.go() == [], "the reason stands there already"
    assert any("still skipped" in note for note in here.notes)
    here.missing = {}
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


def test_another_machines_run_under_the_same_alias_is_not_gone_on_with(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.script = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        here.go()
    facts = here.session().recorder.facts.model_copy(update={"cpu_model": "another processor"})
    monkeypatch.setattr(recorder, "machine_facts", lambda _: facts)
    with pytest.raises(RunChanged, match=r"another processor.*--new"):
        here.session()
    recorder.Recorder(here.folder, "here", here.named, new=True)


def test_an_ollama_that_does_not_tell_what_it_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is not known to be unloaded, and no cached token is taken for computed."""
    server = Scripted()
    server.name = "ollama"
    server.url = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    assert session.unload(server) is False
    assert server.unloaded == 1


def test_two_cells_that_come_out_as_one_set_up_are_run_once(tmp_path: Path) -> None:
    here = Here(tmp_path, loaded(tmp_path, GOOD.replace("[one, {name: two, thinking: [true, false]}]", "[any, one]")))
    here.model = "one"
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
            task_id=task_id, task_version="1", level="L3", outcome="graded", passed=False, checks={"parses": True},
            reasons=("frames do not\nrespond",), mark="reserve", sandbox="bwrap", grader_version="1", code_sha256="0" * 64,
        )  # fmt: skip

    known = (SNAKE, FakeTask("sum", "1 + 1?", False), FakeTask("bad", "?", False))
    monkeypatch.setattr(plans.tasks, "tasks", lambda: known)
    monkeypatch.setattr(recorder.judge, "grade", grade)
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
    folder = here.session().recorder.path.with_suffix(".answers")
    names = {f"{r.prompt_id}-{r.config_hash}-r{r.rep_index}.md" for r in records}
    assert {p.name for p in folder.iterdir()} == names
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks; a kill on Windows is in test_bench_measure.py")
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


def test_what_is_said_before_and_meanwhile(here: Here) -> None:
    here.missing["two"] = "not there"
    before: list[str] = []
    here.session().announce([], before.append)
    assert before[1] == "  one, chat-story, up to 8 tokens: 3 of 3 to do, unknown: not measured here yet"
    assert before[2].endswith("the model is missing: skipped. not there"), "why, and what else is installed"
    assert before[-1] == "Estimated time: unknown"
    earlier = [r.model_copy(update={"total_ns": 2 * 10**9}) for r in here.go()[:3]]
    cells = {cell.hash: cell for cell in here.cells}
    said = [line for r in earlier for line in session.told(cells[str(r.cell_hash)], r, 2)]
    assert said[0].startswith("one, chat-story: warm-up, ")
    assert any(line.startswith("one, chat-story: 2/2, ") for line in said)
    here.folder = here.folder / "anew"
    later: list[str] = []
    here.session().announce(earlier, later.append)
    assert later[1] == "  one, chat-story, up to 8 tokens: 3 of 3 to do, 6 s (by earlier records)"
    assert later[-1] == "Estimated time: 6 s"
    assert [session.spoken(s) for s in (None, 12.4, 600, 7200)] == ["unknown", "12 s", "10 min", "2.0 h"]


def test_the_engine_of_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_ENGINE", "embedded")
    assert session.engine_name(None, True) == "embedded"
    assert session.engine_name("OLLAMA", True) == "ollama"
    monkeypatch.delenv("WORKBOOK_ENGINE")
    monkeypatch.setattr(session, "connect", lambda quiet: Scripted())
    assert session.engine_name(None, False) == "openai", "what connect() takes"
    for answers, name in ((True, "ollama"), (False, "embedded")):
        monkeypatch.setattr(session.ollama_engine, "answers", lambda _, given=answers: given)
        assert session.engine_name(None, True) == name
