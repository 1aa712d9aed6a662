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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class Repetition(FrozenModel):
    """Which repetition of which run."""

    schema_version: Literal[2] = SCHEMA_VERSION
    run_id: RunId
    rep_index: Count
    is_warmup: bool
    started_at: AwareDatetime
    recorder_version: Word | None = None
    plan_hash: Hash | None = None
    cell_hash: Hash | None = None
    seed: Count | None = None
    prompt_prefix: Word | None = None
    cold: bool | None = None


class Setup(FrozenModel):
    """What was run, and how: two records of one ``config_hash`` differ in machine, time, seed and result only."""

    method: Method
    prompt_id: Word
    prompt_sha256: Sha256 | None = None
    engine: Word
    engine_version: Word | None = None
    engine_build: Word | None = None
    build_info: Line | None = None
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
    max_tokens: Positive | None = None
    thinking: bool | None = None
    unique_prefix: bool | None = None

    def hash(self) -> str:
        """16 hexadecimal digits that name this set-up."""
        return digest({name: getattr(self, name) for name in Setup.model_fields})


class Outcome(FrozenModel):
    """What one repetition gave."""

    status: Status = "ok"
    error: Line | None = None
    n_prompt: Count | None = None
    n_cached: Count | None = None
    n_gen: Count | None = None
    n_reasoning: Count | None = None
    finish_reason: Word | None = None
    token_count_source: Source | None = None
    n_gen_tokenizer: Count | None = None
    load_ns: Count | None = None
    ttft_ns: Count | None = None
    ttf_answer_ns: Count | None = None
    prompt_ns: Positive | None = None
    gen_ns: Positive | None = None
    stream_ns: Positive | None = None
    total_ns: Positive | None = None
    answer_sha256: Sha256 | None = None
    invalid: Line | None = None
    warnings: Annotated[tuple[Line, ...], Field(max_length=20)] = ()


class Resources(FrozenModel):
    """What the engine's processes and the machine used meanwhile."""

    server_pids: Annotated[tuple[Positive, ...], Field(max_length=1000)] | None = None
    rss_peak_bytes: Count | None = None
    rss_anon_peak_bytes: Count | None = None
    rss_file_peak_bytes: Count | None = None
    pss_end_bytes: Count | None = None
    uss_end_bytes: Count | None = None
    sys_available_min_bytes: Count | None = None
    swap_delta_bytes: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    vram_peak_bytes: Count | None = None
    cpu_pct_mean: Amount | None = None
    cpu_pct_max: Amount | None = None
    other_load_pct: Amount | None = None
    gpu_util_mean: Annotated[float, Field(ge=0, le=100)] | None = None
    cpu_freq_mean: Amount | None = None
    cpu_freq_min: Amount | None = None
    temp_max_c: Annotated[float, Field(ge=-100, le=300)] | None = None
    throttled: bool | None = None
    power_mean_w: Amount | None = None
    energy_j: Amount | None = None
    energy_source: Word | None = None
    energy_missing: Line | None = None
    on_battery: bool | None = None


class MachineFacts(FrozenModel):
    """The machine: enough to tell whether two records may be compared."""

    host: Alias | None = None
    cpu_model: Word | None = None
    isa_flags: Annotated[tuple[Word, ...], Field(max_length=1000)] | None = None
    sockets: Positive | None = None
    cores: Positive | None = None
    threads: Positive | None = None
    cpu_quota: Amount | None = None
    ram_total_bytes: Positive | None = None
    ram_limit_bytes: Positive | None = None
    memory_bandwidth_measured: Amount | None = None
    gpus: Annotated[tuple[Word, ...], Field(max_length=64)] | None = None
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
    grade_reasons: Annotated[tuple[Line, ...], Field(max_length=50)] | None = None
    mark: Word | None = None
    passed: bool | None = None
    checks: Annotated[dict[Word, bool], Field(max_length=100)] | None = None
    sandbox: Word | None = None
    grader_version: Word | None = None
    code_sha256: Sha256 | None = None


def as_line(text: str, most: int = 1000) -> str:
    """``text`` as a record may hold it: control characters become spaces."""
    return "".join(c if c.isprintable() else " " for c in text)[:most]


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


class Record(TaskResult, MachineFacts, Resources, Outcome, Setup, Repetition):
    """One repetition of one cell of one run."""

    predicted_memory_bytes: Positive | None = None
    predicted_tg_ts: Amount | None = None
    predictor_version: Word | None = None
    config_hash: Hash
    pp_ts: Amount | None = None
    tg_ts: Amount | None = None

    @model_validator(mode="after")
    def _possible(self) -> Record:
        """Refuse what cannot have been measured."""
        for part, whole in (("n_cached", "n_prompt"), ("n_reasoning", "n_gen"), ("ttft_ns", "ttf_answer_ns")):
            a, b = getattr(self, part), getattr(self, whole)
            if a is not None and b is not None and a > b:
                raise ValueError(f"{part} {a} is more than {whole} {b}")
        if (self.status == "ok") != (self.error is None):
            raise ValueError("status ok has no error, any other has one")
        if self.started_at.utcoffset() != timedelta(0):
            raise ValueError("started_at is not in UTC")
        for name, right in zip(("pp_ts", "tg_ts"), rates(self.method, self), strict=True):
            given = getattr(self, name)
            if not (given is right if given is None or right is None else math.isclose(given, right, rel_tol=1e-3)):
                raise ValueError(f"{name} {given} does not follow from its counts and times ({right})")
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
