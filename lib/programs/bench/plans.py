"""A plan of benchmarks: models x prompts x settings x thinking, from a YAML file that is checked to the column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from programs.bench import prompts, yamlfile
from programs.bench.fields import Word
from workbook.errors import BadPlan

MOST_CELLS = 500
MOST_REPETITIONS = 20_000
BARE = re.compile(r"(pp|tg)([1-9][0-9]{0,5})")
"""The names of llama-bench's tests."""

_WORDS = {
    "string_pattern_mismatch": "letters A to Z, digits, - _ and . only, a letter or digit first",
    "string_too_long": "this is too long",
    "too_short": "at least one is needed",
    "too_long": "these are too many",
    "model_type": "a name is needed here, or keys and values",
    "model_attributes_type": "a name is needed here, or keys and values",
}
"""What is wrong, where pydantic's own words are for programmers."""

ANY = "any"
"""As a model's name: what the engine itself would choose."""


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _identified(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


def _three(value: object) -> object:
    # YAML reads on and off as true and false.
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


Thinking = Annotated[tuple[bool | None, ...], BeforeValidator(_listed), Field(min_length=1, max_length=3)]


class Model(_Strict):
    """A model by the engine's name for it; ``thinking`` replaces the plan's for this one."""

    name: Word
    thinking: Thinking | None = None


class Prompt(_Strict):
    """A prompt by its id: a file of ``data/prompts``, a graded task, or ppN and tgN as in llama-bench.

    ``prefix``: begin each repetition differently, so that nothing is cached; null: yes, but for graded tasks.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]
    prefix: bool | None = None


class Settings(_Strict):
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
    type_k: Literal["f16", "f32", "bf16", "q8_0", "q4_0"] | None = None
    type_v: Literal["f16", "f32", "bf16", "q8_0", "q4_0"] | None = None
    flash_attn: Annotated[Literal["auto", "on", "off"], BeforeValidator(_three)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        if self.max_tokens >= self.n_ctx:
            raise ValueError(f"max_tokens {self.max_tokens} leaves no room for a prompt in n_ctx {self.n_ctx}")
        return self


class Plan(_Strict):
    """A whole plan. ``repetitions`` follow one warm-up in each cell; ``seed`` is that of the warm-up."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]
    about: Annotated[str, StringConstraints(max_length=2000)] = ""
    engine: Literal["embedded", "ollama", "openai"] | None = None
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 5
    seed: Annotated[int, Field(ge=0, le=2**31)] = 42
    timeout_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    models: Annotated[
        tuple[Annotated[Model, BeforeValidator(_named)], ...],
        BeforeValidator(_listed),
        Field(min_length=1, max_length=100),
    ] = (Model(name=ANY),)
    prompts: Annotated[
        tuple[Annotated[Prompt, BeforeValidator(_identified)], ...],
        BeforeValidator(_listed),
        Field(min_length=1, max_length=200),
    ]
    thinking: Thinking = (None,)
    settings: Annotated[tuple[Settings, ...], BeforeValidator(_listed), Field(min_length=1, max_length=50)] = (
        Settings(),
    )


def load(path: Path) -> Plan:
    """The plan in the file ``path``. Raises BadPlan: file, line, column, what is wrong, the nearest known name."""
    read = yamlfile.read(path)
    if not isinstance(read.value, dict):
        raise read.refusal((), f"a plan is a list of keys and values: {', '.join(Plan.model_fields)}.")
    try:
        plan = Plan.model_validate(read.value)
    except ValidationError as error:
        raise _first(read, error) from None
    known = prompts.known()
    for number, prompt in enumerate(plan.prompts):
        if not BARE.fullmatch(prompt.id) and prompt.id not in known:
            raise read.refusal(
                ("prompts", number, "id"), f"there is no prompt {prompt.id!r}. {_near(prompt.id, known)}"
            )
    count = len(plan.models) * len(plan.prompts) * len(plan.settings)
    count = sum(len(model.thinking or plan.thinking) for model in plan.models) * count // len(plan.models)
    if count > MOST_CELLS or count * plan.repetitions > MOST_REPETITIONS:
        raise read.refusal(
            (),
            f"{count} combinations of {plan.repetitions} repetitions: at most {MOST_CELLS} combinations and "
            f"{MOST_REPETITIONS} repetitions. Make several plans of it.",
        )
    return plan


def _first(read: yamlfile.Read, error: ValidationError) -> BadPlan:
    """The first thing wrong, in one line, where it stands."""
    # An unknown key first: what is missing is often what it should have been.
    found = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    place, kind = found["loc"], found["type"]
    if len(place) > 1 and place[1] == 0 and place[:2] not in read.marks:
        place = (place[0], *place[2:])  # one value, written without the list around it
    if kind == "extra_forbidden":
        return read.refusal(place, f"unknown key {place[-1]!r}. {_near(str(place[-1]), _keys(place))}", key=True)
    if kind == "missing":
        return read.refusal(place, f"{place[-1]!r} is missing here.")
    given = found["input"]
    shown = (
        "" if isinstance(given, dict | list | tuple) else f" {given if isinstance(given, date) else repr(given)!s:.60}"
    )
    why = _WORDS.get(kind) or str(found["msg"]).removeprefix("Value error, ").rstrip(".")
    if kind == "string_type" and given is not None:
        why += ": put it into quotes"
    named = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    return read.refusal(place, f"{named}{shown}: {why[0].lower()}{why[1:]}.")


def _keys(place: tuple[Any, ...]) -> Iterable[str]:
    inside: dict[str, type[BaseModel]] = {"models": Model, "prompts": Prompt, "settings": Settings}
    return (inside.get(str(place[0]), Plan) if len(place) > 1 else Plan).model_fields


def _near(word: str, known: Iterable[str]) -> str:
    have = list(known)
    near = difflib.get_close_matches(word, have, n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(have)[:30])}."
