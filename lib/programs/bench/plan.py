"""A plan of benchmarks: models x prompts x settings x thinking, from a YAML file in which a mistake is said by its line."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from programs.bench.fields import FrozenModel, Word, as_line, digest
from programs.judge import tasks
from programs.judge.tasks import Task
from workbook import paths
from workbook.errors import BadPlan

MOST_CELLS = 500
MOST_REPETITIONS = 20_000
MAX_BYTES = 64 * 2**10
ANY = "any"
"""As a model's name: what the engine itself would choose."""

# Settings with which a model is loaded, beside n_ctx, and those with which tokens are picked.
LOADING = ("n_threads", "n_batch", "n_ubatch", "n_gpu_layers", "type_k", "type_v", "flash_attn")
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")
_LOOP = re.compile(r"(pp|tg)([1-9][0-9]{0,5})")  # the names of llama-bench's tests
_WORDS = {
    "string_pattern_mismatch": "letters A to Z, digits, - _ and . only, a letter or digit first",
    "too_short": "at least one is needed",
    "model_type": "a name is needed here, or keys and values",
    "invalid_key": "a key must be a word",
}
"""What is wrong, where pydantic's own words are for programmers."""


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


def _text_is(key: str) -> BeforeValidator:
    """A text alone stands for the mapping that has only this key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _three(value: object) -> object:
    # YAML reads on and off as true and false.
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Thinking = Annotated[tuple[bool | None, ...], BeforeValidator(_listed), Field(min_length=1, max_length=3)]
CacheType = Literal["f16", "f32", "bf16", "q8_0", "q4_0"]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]


class PlanModel(FrozenModel):
    """A model by the engine's name for it; ``thinking`` replaces the plan's for this one."""

    name: Word
    thinking: Thinking | None = None


class PlanPrompt(FrozenModel):
    """A prompt by its id: a file of ``data/prompts``, a graded task, or ppN and tgN as in llama-bench.

    ``prefix``: begin each repetition differently, so that nothing is cached; null: yes, but for graded tasks.
    """

    id: Id
    prefix: bool | None = None


class PlanSettings(FrozenModel):
    """How to sample and how to load; null: the engine's own choice."""

    name: Word | None = None
    max_tokens: Annotated[int, Field(ge=1, le=131_072)] = 128
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.8
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] = 40
    top_p: Annotated[float, Field(ge=0, le=1)] = 0.95
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.05
    repeat_penalty: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    n_ctx: Annotated[int, Field(ge=8, le=2**20)] = 2048
    n_threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    n_batch: Annotated[int, Field(ge=1, le=65_536)] | None = None
    n_ubatch: Annotated[int, Field(ge=1, le=65_536)] | None = None
    n_gpu_layers: Annotated[int, Field(ge=-1, le=10_000)] | None = None
    type_k: CacheType | None = None
    type_v: CacheType | None = None
    flash_attn: Annotated[Literal["auto", "on", "off"], BeforeValidator(_three)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> PlanSettings:
        if self.max_tokens >= self.n_ctx:
            raise ValueError(f"max_tokens {self.max_tokens} leaves no room for a prompt in n_ctx {self.n_ctx}")
        return self


Models = Annotated[tuple[Annotated[PlanModel, _text_is("name")], ...], BeforeValidator(_listed)]
Prompts = Annotated[tuple[Annotated[PlanPrompt, _text_is("id")], ...], BeforeValidator(_listed)]


class Plan(FrozenModel):
    """A whole plan. ``repetitions`` follow one warm-up in each cell; ``seed`` is that of the warm-up."""

    name: Id
    about: Annotated[str, StringConstraints(max_length=2000)] = ""
    engine: Literal["embedded", "ollama", "openai"] | None = None
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 5
    seed: Annotated[int, Field(ge=0, le=2**31)] = 42
    timeout_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    models: Annotated[Models, Field(min_length=1, max_length=100)] = (PlanModel(name=ANY),)
    prompts: Annotated[Prompts, Field(min_length=1, max_length=200)]
    thinking: Thinking = (None,)
    settings: Annotated[tuple[PlanSettings, ...], BeforeValidator(_listed), Field(min_length=1, max_length=50)] = (
        PlanSettings(),
    )

    def cells(self) -> tuple[PlanCell, ...]:
        """What it asks for, each once, the cells of one model together. Raises BadPlan for an unknown prompt."""
        texts = {p.id: (None, None) if _LOOP.fullmatch(p.id) else find_prompt(p.id) for p in self.prompts}
        found: dict[str, PlanCell] = {}
        for model in self.models:
            for settings in self.settings:
                for prompt in self.prompts:
                    text, task = texts[prompt.id]
                    unique = prompt.prefix if prompt.prefix is not None else task is None
                    for thinking in (model.thinking or self.thinking) if text else (None,):
                        cell = PlanCell(model.name, prompt.id, settings, thinking, text, task, unique)
                        found.setdefault(cell.hash, cell)
        return tuple(found.values())

    def hash(self, engine: str) -> str:
        """Names what a run of it does: a change of its name, its description or its comments changes nothing."""
        about = {"cells": [cell.hash for cell in self.cells()], "engine": engine, "repetitions": self.repetitions}
        return digest(about | {"seed": self.seed, "timeout_s": self.timeout_s})


def usual(
    model: str | None = None, repetitions: int = 5, prompt_tokens: int = 512, gen_tokens: int = 128, **settings: Any
) -> Plan:
    """What is recorded without a plan: llama-bench's two tests and a chat, greedy, of ``model`` (None: any)."""
    about: dict[str, Any] = {"name": "default", "repetitions": repetitions, "models": model or ANY, "thinking": False}
    about["prompts"] = [f"pp{prompt_tokens}", f"tg{gen_tokens}", "chat-story"]
    n_ctx = max(2048, 2 * gen_tokens)
    about["settings"] = {"max_tokens": gen_tokens, "temperature": 0.0, "n_ctx": n_ctx, **settings}
    return Plan.model_validate(about)


def known_prompts() -> dict[str, Path | Task]:
    """All prompts by their ids: the files of ``data/prompts``, and the tasks that can be graded."""
    files = {path.stem: path for path in (paths.data() / "prompts").glob("*.txt")}
    return files | {task.id: task for task in tasks.tasks()}


def find_prompt(prompt_id: str) -> tuple[str, Task | None]:
    """The text of a prompt, and its task if its answer can be graded. Raises BadPlan."""
    known = known_prompts()
    found = known.get(prompt_id)
    if found is None:
        raise BadPlan(_no_prompt(prompt_id, known))
    if isinstance(found, Path):
        return found.read_text(encoding="utf-8").strip(), None
    return found.prompt.strip(), found


def _no_prompt(prompt_id: str, known: Iterable[str]) -> str:
    return f"there is no prompt {prompt_id!r}. {_near(prompt_id, known)}"


@dataclass(frozen=True)
class PlanCell:
    """One cell of a plan. ``text`` None: a ppN or tgN test. ``task``: its answer can be graded."""

    model: str
    prompt_id: str
    settings: PlanSettings
    thinking: bool | None = None
    text: str | None = None
    task: Task | None = field(default=None, compare=False)
    unique_prefix: bool = True
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        about = {"model": self.model, "prompt": self.prompt_id} | self.asked()
        if self.text is not None:
            about |= {"sha256": self.text_sha256, "prefix": self.unique_prefix}
        object.__setattr__(self, "hash", digest(about))

    @property
    def text_sha256(self) -> str | None:
        """Of the text, white space at its ends left out."""
        return None if self.text is None else hashlib.sha256(self.text.encode()).hexdigest()

    def asked(self) -> dict[str, Any]:
        """Its settings. A loop without text: how tokens are picked is no part of it."""
        if self.text is None:
            return {name: getattr(self.settings, name) for name in ("n_ctx", *LOADING)}
        return self.settings.model_dump(exclude={"name"}) | {"thinking": self.thinking}

    @property
    def loop(self) -> tuple[str, int] | None:
        """("pp" or "tg", tokens) for llama-bench's tests."""
        found = _LOOP.fullmatch(self.prompt_id) if self.text is None else None
        return (found[1], int(found[2])) if found else None

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the settings that the plan gives."""
        values = {name: getattr(self.settings, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        model = "" if self.model == ANY else f"{self.model}, "
        return f"{model}{self.prompt_id}" + {None: "", True: ", thinking", False: ", not thinking"}[self.thinking]


def load(path: Path) -> Plan:
    """The plan in the file ``path``. Raises BadPlan: file, line, column, what is wrong, the nearest known name."""
    node, value = _read(path)

    def refusal(place: tuple[Any, ...], why: str, key: bool = False) -> BadPlan:
        return BadPlan(f"{path.name}:{_position(node, place, key)}: {as_line(why)}")

    if not isinstance(value, dict):
        raise refusal((), f"a plan is a list of keys and values: {', '.join(Plan.model_fields)}.")
    try:
        plan = Plan.model_validate(value)
    except ValidationError as error:
        # An unknown key first: what is missing is often what it should have been.
        first = min(
            error.errors(include_url=False), key=lambda each: each["type"] not in ("extra_forbidden", "invalid_key")
        )
        raise refusal(first["loc"], _mistake(first), key=first["type"] == "extra_forbidden") from None
    known = known_prompts()
    for number, prompt in enumerate(plan.prompts):
        if not _LOOP.fullmatch(prompt.id) and prompt.id not in known:
            raise refusal(("prompts", number), _no_prompt(prompt.id, known))
    ways = sum(len(model.thinking or plan.thinking) for model in plan.models)
    count = ways * len(plan.prompts) * len(plan.settings)
    if count > MOST_CELLS or count * plan.repetitions > MOST_REPETITIONS:
        most = f"at most {MOST_CELLS} combinations and {MOST_REPETITIONS} repetitions"
        raise refusal((), f"{count} combinations of {plan.repetitions} repetitions: {most}. Make several plans of it.")
    return plan


class _Loader(yaml.SafeLoader):
    """YAML's plain values, without aliases (a short file could hold billions of them) and without keys given twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias: write the value out", problem_mark=mark)
        node = super().compose_node(parent, index)
        keys: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in keys:
                said = f"{key.value!r} is given twice. Keep one"
                raise yaml.MarkedYAMLError(problem=said, problem_mark=key.start_mark)
            keys.add(str(key.value))
        return node


def _read(path: Path) -> tuple[yaml.Node | None, Any]:
    """The file as YAML's nodes, which know where they stand, and as plain values."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadPlan(f"{path.name} is larger than {MAX_BYTES >> 10} KiB: no plan is. Make several of it.")
        loader = _Loader(path.read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
        return node, loader.construct_document(node) if node else None
    except OSError as error:
        raise BadPlan(f"{path.name} cannot be read ({error.strerror}). Give the path of a plan.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadPlan(f"{path.name}:{line}:1: this is not UTF-8. Save the file as UTF-8.") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        where, why = _line_column(getattr(error, "problem_mark", None)), getattr(error, "problem", None) or str(error)
        raise BadPlan(f"{path.name}:{where}: not YAML: {as_line(why, 200)}.") from None


def _position(node: yaml.Node | None, place: tuple[Any, ...], key: bool) -> str:
    """Line and column, from 1, of what ``place`` names, or of the nearest part above it; ``key``: of its key."""
    mark = node.start_mark if node else None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:  # one value, written without the list around it; or what is missing
                continue
            node, mark = pair[1], pair[0 if key and part == place[-1] else 1].start_mark
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
    return _line_column(mark)


def _line_column(mark: yaml.Mark | None) -> str:
    return f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"


def _mistake(found: Any) -> str:
    """What is wrong with one value, in a sentence."""
    place, kind, given = found["loc"], found["type"], found["input"]
    if kind == "extra_forbidden":
        inside: dict[Any, type[BaseModel]] = {"models": PlanModel, "prompts": PlanPrompt, "settings": PlanSettings}
        known = (inside.get(place[0], Plan) if len(place) > 1 else Plan).model_fields
        return f"unknown key {place[-1]!r}. {_near(str(place[-1]), known)}"
    if kind == "missing":
        return f"{place[-1]!r} is missing here."
    value = str(given) if kind == "string_type" else repr(given)
    shown = "" if isinstance(given, dict | list | tuple) else f" {value:.60}"
    why = _WORDS.get(kind) or str(found["msg"]).removeprefix("Value error, ").rstrip(".")
    if kind == "string_type" and given is not None:
        why += ": put it into quotes"
    named = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    return f"{named}{shown}: {why[0].lower()}{why[1:]}."


def _near(word: str, known: Iterable[str]) -> str:
    have = list(known)
    near = difflib.get_close_matches(word, have, n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(have)[:30])}."
