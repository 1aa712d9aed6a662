"""The record of one repetition: one line of JSON. What was not measured is null, never 0.

Fields go by llama-bench's names where it has one. ``_ns`` is nanoseconds, ``_ts`` tokens per second, percentages of
processor time count one core as 100. ``data/README.md`` says what each field holds.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from workbook.engines import Source

SCHEMA_VERSION: Final = 2

Method = Literal["llama-bench", "server-timings", "client-stream"]
"""llama-bench: the bare ``llama_decode`` loop; server-timings: the engine's own clock; client-stream: ours."""

Status = Literal["ok", "timeout", "oom", "http_error", "truncated", "harness_error", "skipped"]
"""truncated: the answer was cut. harness_error: the recorder's own fault. skipped: never begun; ``error`` says why."""

Flash = Literal["auto", "on", "off"]
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$"  # records of others are shown in terminals
Word = Annotated[str, StringConstraints(pattern=_PRINTABLE, max_length=100)]
Line = Annotated[str, StringConstraints(pattern=_PRINTABLE, max_length=1000)]
Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Amount = Annotated[float, Field(ge=0, le=1e15)]


class FrozenModel(BaseModel):
    """A part of a record: frozen, no unknown field, no infinite number, no silent conversion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False,
        protected_namespaces=(), use_attribute_docstrings=True,
    )  # fmt: skip


class Repetition(FrozenModel):
    """Which repetition of which run."""

    schema_version: Literal[2] = SCHEMA_VERSION
    run_id: RunId
    rep_index: Count
    """0 is the warm-up."""
    is_warmup: bool
    started_at: AwareDatetime
    """UTC."""
    recorder_version: Word | None = None
    """Of this workbook's package."""
    plan_hash: Hash | None = None
    """Names the plan that the run follows; a run of the same plan goes on where one of this hash stopped."""
    cell_hash: Hash | None = None
    """Names what the plan asks of this cell; ``config_hash`` names what the engine then was."""
    seed: Count | None = None
    """Of this repetition: another one in each, because the same seed draws the same answer again."""
    prompt_prefix: Word | None = None
    """What stood before the prompt so that no cached beginning fits it."""
    cold: bool | None = None
    """Whether the model was loaded for this repetition; only cold ones tell ``load_ns``."""


class Setup(FrozenModel):
    """What was run, and how: two records of one ``config_hash`` differ in machine, time, seed and result only."""

    method: Method
    prompt_id: Word
    """The cell: pp512 and tg128 as llama-bench names them, else the prompt's id in data/prompts."""
    prompt_sha256: Sha256 | None = None
    """Of the prompt without its unique prefix; null for random tokens."""
    engine: Word
    engine_version: Word | None = None
    """Of the package or program."""
    engine_build: Word | None = None
    """Of the llama.cpp in it, as that calls itself."""
    build_info: Line | None = None
    """The engine's build and the instruction sets it uses."""
    model_name: Word
    file_sha256: Sha256 | None = None
    ollama_digest: Sha256 | None = None
    model_type: Word | None = None
    quant: Word | None = None
    model_size_bytes: Positive | None = None
    model_n_params: Positive | None = None
    n_ctx: Positive | None = None
    n_batch: Positive | None = None
    n_ubatch: Positive | None = None
    n_threads: Positive | None = None
    n_gpu_layers: Annotated[int, Field(ge=-1, le=100_000)] | None = None
    type_k: Word | None = None
    type_v: Word | None = None
    flash_attn: Flash | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_k: Count | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    repeat_last_n: Count | None = None
    """How many tokens the penalty looks back."""
    max_tokens: Positive | None = None
    thinking: bool | None = None
    """null: not asked for either way, the model's own habit."""
    unique_prefix: bool | None = None
    """Whether each repetition's prompt began differently; false: as it stands, and partly cached from the second on."""

    def hash(self) -> str:
        """16 hexadecimal digits that name this set-up."""
        return digest({name: getattr(self, name) for name in Setup.model_fields})


class Outcome(FrozenModel):
    """What one repetition gave."""

    status: Status = "ok"
    error: Line | None = None
    n_prompt: Count | None = None
    """All tokens of the prompt; ``n_cached`` of them were not computed again."""
    n_cached: Count | None = None
    n_gen: Count | None = None
    n_reasoning: Count | None = None
    finish_reason: Word | None = None
    token_count_source: Source | None = None
    n_gen_tokenizer: Count | None = None
    """The answer counted again by the model's own tokenizer, where its file is here."""
    load_ns: Count | None = None
    """To load the model; null where it was loaded already."""
    ttft_ns: Count | None = None
    """From the call to the first content or reasoning that is not empty, on the client's clock."""
    ttf_answer_ns: Count | None = None
    """From the call to the first content that is not empty: after the reasoning."""
    prompt_ns: Positive | None = None
    gen_ns: Positive | None = None
    """llama-bench: all n_gen decodes. Else from the first generated token to the last."""
    stream_ns: Positive | None = None
    """From the first piece to the last on the client's clock: what ``gen_ns`` should be about."""
    total_ns: Positive | None = None
    answer_sha256: Sha256 | None = None
    """Of the answer's file beside the records, where it was kept."""
    invalid: Line | None = None
    """Why the recorder itself takes this repetition for no measurement; the record stays."""
    warnings: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    """What makes this repetition doubtful: other load, heat, battery, swap, counts that disagree."""


class Resources(FrozenModel):
    """What the engine's processes and the machine used meanwhile."""

    server_pids: Annotated[tuple[Positive, ...], Field(max_length=1000)] | None = None
    rss_peak_bytes: Count | None = None
    """Resident memory of all processes added up: the engine's own and the pages of the model file it has mapped."""
    rss_anon_peak_bytes: Count | None = None
    """The engine's own part of it (cache, buffers, repacked weights): it stays needed. Linux only."""
    rss_file_peak_bytes: Count | None = None
    """The part mapped from files, the weights above all: it may be dropped and read again. Linux only."""
    pss_end_bytes: Count | None = None
    """At the end, pages that several processes share counted once: the fair sum. Linux only."""
    uss_end_bytes: Count | None = None
    """At the end, pages of no other process: what would be free if the engine ended. Linux only."""
    sys_available_min_bytes: Count | None = None
    swap_delta_bytes: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    vram_peak_bytes: Count | None = None
    cpu_pct_mean: Amount | None = None
    cpu_pct_max: Amount | None = None
    other_load_pct: Amount | None = None
    """Mean load by anything else than the engine and the recorder."""
    gpu_util_mean: Annotated[float, Field(ge=0, le=100)] | None = None
    """Percent of the time that the busiest GPU worked."""
    cpu_freq_mean: Amount | None = None
    """MHz."""
    cpu_freq_min: Amount | None = None
    temp_max_c: Annotated[float, Field(ge=-100, le=300)] | None = None
    throttled: bool | None = None
    """Whether the processor slowed itself for heat meanwhile, by Linux's counters."""
    power_mean_w: Amount | None = None
    energy_j: Amount | None = None
    energy_source: Word | None = None
    energy_missing: Line | None = None
    """Why a source of energy figures could not be read."""
    on_battery: bool | None = None


class MachineFacts(FrozenModel):
    """The machine: enough to tell whether two records may be compared."""

    host: Alias | None = None
    """An alias; the machine's own name only if its owner gave it as alias."""
    cpu_model: Word | None = None
    isa_flags: Annotated[tuple[Word, ...], Field(max_length=1000)] | None = None
    sockets: Positive | None = None
    cores: Positive | None = None
    threads: Positive | None = None
    cpu_quota: Amount | None = None
    """How many CPUs' worth of time a container may use."""
    ram_total_bytes: Positive | None = None
    ram_limit_bytes: Positive | None = None
    """What a container may use of it."""
    memory_bandwidth_measured: Amount | None = None
    """Bytes per second."""
    gpus: Annotated[tuple[Word, ...], Field(max_length=64)] | None = None
    """Names; an empty list means that there is none."""
    vram_total_bytes: Annotated[tuple[Positive, ...], Field(max_length=64)] | None = None
    driver: Word | None = None
    os: Word | None = None
    kernel: Word | None = None
    virtualised: bool | None = None


class TaskResult(FrozenModel):
    """The grade of a generated program, where the repetition was such a task."""

    task_id: Word | None = None
    task_version: Word | None = None
    grade: Word | None = None
    grade_outcome: Word | None = None
    """graded, ungraded, truncated or harness_error; null: not tried."""
    grade_reasons: Annotated[tuple[Line, ...], Field(max_length=50)] | None = None
    mark: Word | None = None
    """good, reserve or bad, as the report of 2025 marked."""
    passed: bool | None = None
    checks: Annotated[dict[Word, bool], Field(max_length=100)] | None = None
    sandbox: Word | None = None
    grader_version: Word | None = None
    code_sha256: Sha256 | None = None


class Prediction(FrozenModel):
    """What was predicted before the measurement."""

    predicted_memory_bytes: Positive | None = None
    predicted_tg_ts: Amount | None = None
    predictor_version: Word | None = None


def digest(fields: dict[str, Any]) -> str:
    """16 hexadecimal digits that name these fields."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def rates(method: Method, outcome: Outcome) -> tuple[float | None, float | None]:
    """Prompt and generation rate (pp_ts, tg_ts) in tokens per second; None where a figure is missing.

    The first token of an answer comes with the prompt, so n_gen tokens take n_gen - 1 steps.
    llama-bench has no prompt before its tg loop: there n_gen decodes are n_gen steps.
    """
    o, pp, tg = outcome, None, None
    if o.n_prompt is not None and o.n_cached is not None and o.prompt_ns and o.n_prompt > o.n_cached:
        pp = (o.n_prompt - o.n_cached) / o.prompt_ns * 1e9
    if o.n_gen is not None and o.gen_ns:
        steps = o.n_gen if method == "llama-bench" else o.n_gen - 1
        tg = steps / o.gen_ns * 1e9 if steps > 0 else None
    return pp, tg


class Record(Prediction, TaskResult, MachineFacts, Resources, Outcome, Setup, Repetition):
    """One repetition of one cell of one run."""

    config_hash: Hash
    pp_ts: Amount | None = None
    tg_ts: Amount | None = None

    @model_validator(mode="after")
    def _possible(self) -> Record:
        """Refuse what cannot have been measured."""
        refuse_impossible(self, self.method)
        if self.config_hash != self.hash():
            raise ValueError("config_hash is not that of this set-up")
        return self

    @classmethod
    def of(cls, repetition: Repetition, setup: Setup, outcome: Outcome, *parts: FrozenModel) -> Record:
        """The record of these parts, with what follows from them."""
        known = {name: value for part in (repetition, setup, outcome, *parts) for name, value in part}
        pp_ts, tg_ts = rates(setup.method, outcome)
        return cls(**known, config_hash=setup.hash(), pp_ts=pp_ts, tg_ts=tg_ts)

    def line(self) -> str:
        """The record as one line of JSON, without its end of line."""
        return self.model_dump_json()


class Varying(Resources, Outcome, Repetition):
    """The fields of a record that differ from line to line of a file."""

    pp_ts: Amount | None = None
    tg_ts: Amount | None = None


class Lasting(Prediction, TaskResult, MachineFacts):
    """The fields of a record that are mostly the same in all lines of a file, without its set-up."""

    config_hash: Hash


def refuse_impossible(of: Record | Varying, method: Method) -> None:
    """Pass if these figures can have been measured by ``method``. Raises ValueError."""
    for part, whole in (("n_cached", "n_prompt"), ("n_reasoning", "n_gen"), ("ttft_ns", "ttf_answer_ns")):
        a, b = getattr(of, part), getattr(of, whole)
        if a is not None and b is not None and a > b:
            raise ValueError(f"{part} {a} is more than {whole} {b}")
    if (of.status == "ok") != (of.error is None):
        raise ValueError("status ok has no error, any other has one")
    if of.started_at.utcoffset() != timedelta(0):
        raise ValueError("started_at is not in UTC")
    for name, right in zip(("pp_ts", "tg_ts"), rates(method, of), strict=True):
        given = getattr(of, name)
        if not (given is right if given is None or right is None else math.isclose(given, right, rel_tol=1e-3)):
            raise ValueError(f"{name} {given} does not follow from its counts and times ({right})")
