"""The record: what goes in comes out, and what cannot have been measured is refused."""

from __future__ import annotations

import json

import pytest
from bench_samples import sample
from pydantic import ValidationError

from programs.bench import store
from programs.bench.fields import Outcome, Record, rates
from workbook import leaks, paths


def test_round_trip_keeps_every_field() -> None:
    record = sample()
    again = Record.model_validate_json(record.line())
    assert again == record
    assert again.line() == record.line()
    assert "\n" not in record.line()


def test_unknown_is_null_and_never_zero() -> None:
    known = {name for name, value in json.loads(sample().line()).items() if value == 0 and value is not False}
    assert known == {"temperature"}
    empty = json.loads(sample(n_cached=None, n_gen=None, rss_peak_bytes=None).line())
    assert [empty[name] for name in ("n_cached", "n_gen", "rss_peak_bytes", "pp_ts", "tg_ts")] == [None] * 5


def test_the_field_list_is_the_published_one() -> None:
    published = """schema_version run_id rep_index is_warmup config_hash started_at status error method engine
        engine_version build_info model_name file_sha256 model_type quant model_size_bytes model_n_params n_ctx n_batch
        n_ubatch n_threads n_gpu_layers type_k type_v flash_attn seed temperature top_k top_p min_p
        repeat_penalty max_tokens thinking prompt_id prompt_sha256 n_prompt n_cached n_gen n_reasoning finish_reason token_count_source load_ns ttft_ns
        ttf_answer_ns prompt_ns gen_ns total_ns pp_ts tg_ts server_pids cpu_pct_mean cpu_pct_max gpu_util_mean
        cpu_freq_mean temp_max_c throttled power_mean_w energy_j energy_source cpu_model isa_flags sockets cores
        memory_bandwidth_measured driver os kernel virtualised on_battery other_load_pct task_id task_version grade
        passed checks sandbox grader_version code_sha256 predicted_memory_bytes predicted_tg_ts predictor_version"""
    assert set(published.split()) <= set(Record.model_fields)


def test_rates_worked_by_hand() -> None:
    # 120 tokens of which 20 cached, in half a second: 200/s. 11 tokens are 10 steps, in a tenth: 100/s.
    assert (sample().pp_ts, sample().tg_ts) == pytest.approx((200.0, 100.0))
    loop = Outcome(n_prompt=0, n_cached=0, n_gen=128, gen_ns=10**9)
    assert rates("llama-bench", loop) == (None, pytest.approx(128.0))
    assert rates("client-stream", loop) == (None, pytest.approx(127.0))
    assert rates("server-timings", Outcome(n_gen=1, gen_ns=5)) == (None, None)
    assert rates("server-timings", Outcome(n_prompt=9, prompt_ns=5)) == (None, None), "cached count unknown"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_ns", -1), ("load_ns", -1), ("prompt_ns", 0), ("n_cached", 121), ("n_reasoning", 12),
        ("ttf_answer_ns", 1), ("cpu_pct_mean", float("inf")), ("cpu_pct_max", float("nan")), ("temperature", -0.1),
        ("top_p", 1.01), ("engine", "x" * 101), ("model_name", ""), ("model_name", "a\x1b[2J"), ("error", "x" * 1001),
        ("status", "fine"), ("status", "timeout"), ("method", "guess"), ("flash_attn", True), ("quant", 4),
        ("file_sha256", "abc"), ("host", "../../etc"), ("host", "a b"), ("run_id", "XYZ"), ("n_threads", 2.5),
        ("n_threads", "2"), ("rep_index", -1), ("gpu_util_mean", 101.0), ("isa_flags", ("x",) * 1001),
        ("n_prompt", 2**60), ("n_gpu_layers", -2),
    ],
)  # fmt: skip
def test_impossible_values_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        sample(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("tg_ts", 200.0, "tg_ts"), ("pp_ts", None, "pp_ts"), ("n_threads", 8, "config_hash"),
        ("schema_version", 3, "schema_version"), ("surprise", 1, "surprise"), ("started_at", "2026-01-02T03:04:05", "started"),
        ("started_at", "2026-01-02T03:04:05+01:00", "UTC"), ("n_gen", "11", "n_gen"), ("error", "none", "status ok"),
    ],
)  # fmt: skip
def test_a_line_edited_by_hand_is_refused(field: str, value: object, says: str) -> None:
    line = json.dumps(json.loads(sample().line()) | {field: value})
    with pytest.raises(ValidationError, match=says):
        Record.model_validate_json(line)


def test_numbers_that_json_has_not_are_refused() -> None:
    with pytest.raises(ValidationError):
        Record.model_validate_json(sample().line().replace('"cpu_pct_mean":190.0', '"cpu_pct_mean":Infinity'))


def test_the_hash_names_the_setup_alone() -> None:
    assert sample(rep_index=2, gen_ns=5, host="other", seed=7, cold=True).config_hash == sample().config_hash
    assert sample(n_threads=1).config_hash != sample().config_hash


def test_the_committed_set_is_whole_and_names_no_machine() -> None:
    loaded = store.load(paths.data() / "results" / "example")
    assert loaded.problems == ()
    assert len({r.run_id for r in loaded.records}) == 3
    assert {r.host for r in loaded.records} == {"example-2-cores"}
    assert {(r.status, r.is_warmup == (r.rep_index == 0)) for r in loaded.records} == {("ok", True)}
    plans = store.load(paths.data() / "results" / "plans")
    assert plans.problems == ()
    assert {r.host for r in plans.records} == {"example-2-cores"}
    assert {r.engine for r in plans.records} == {"llama.cpp", "embedded", "ollama"}
    text = "".join(p.read_text(encoding="utf-8") for p in (paths.data() / "results").rglob("*.jsonl"))
    assert list(leaks.find(text, leaks.everywhere() + leaks.this_machine())) == []


@pytest.mark.parametrize("line", ["", "[]", "1", "null", '{"schema_version":1}', "{" * 5000, "[" * 100_000])
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        Record.model_validate_json(line)
