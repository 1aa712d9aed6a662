"""llama-bench's own output, made by the real one: every repetition comes in, by name, and nothing is made up."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from programs.bench import llamabench, merge, store
from workbook.errors import BadOption

FIXTURES = Path(__file__).parent / "fixtures" / "llama-bench"


def rows(kind: str) -> list[dict[str, Any]]:
    text = (FIXTURES / f"smollm2.{kind}").read_text(encoding="utf-8")
    return json.loads(text) if kind == "json" else [json.loads(line) for line in text.splitlines()]


def test_a_word_made_to_keep_the_pattern_busy_is_cut(tmp_path: Path) -> None:
    found = rows("json")
    found[0]["model_type"] = "a " + "A" * 500_000  # hours, if it were read to its end
    path = tmp_path / "long.json"
    path.write_text(json.dumps(found[:1]))
    assert {r.quant for r in llamabench.records(path)} == {None}


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_every_repetition_comes_in_with_the_rate_that_llama_bench_gives_it(kind: str) -> None:
    found = llamabench.records(FIXTURES / f"smollm2.{kind}", "lab-1")
    expected = [(row, i, rate) for row in rows(kind) for i, rate in enumerate(row["samples_ts"], 1)]
    assert len(found) == len(expected) == 18
    for record, (row, i, rate) in zip(found, expected, strict=True):
        assert (record.method, record.is_warmup, record.rep_index, record.host) == ("llama-bench", False, i, "lab-1")
        assert (record.n_prompt, record.n_gen, record.total_ns) == (
            row["n_prompt"],
            row["n_gen"],
            row["samples_ns"][i - 1],
        )
        rates = [value for value in (record.pp_ts, record.tg_ts) if value is not None]
        assert rates == ([] if row["n_prompt"] and row["n_gen"] else [pytest.approx(rate, rel=1e-4)])
    assert [r.prompt_id for r in found[::3]] == ["pp16", "tg4", "pp8+tg2", "pp16 @ d8", "tg4 @ d8", "pp8+tg2 @ d8"]


def test_what_it_tells_of_the_model_and_the_machine_and_what_it_does_not() -> None:
    record = llamabench.records(FIXTURES / "smollm2.json")[0]
    told = {
        "engine": "llama.cpp", "engine_build": "b0 (sdist)", "model_name": "SmolLM2-135M-Instruct.Q4_1", "model_type": "llama",
        "quant": "Q4_1", "model_n_params": 134515008, "n_batch": 2048, "n_ubatch": 512, "n_threads": 1, "n_gpu_layers": -1,
        "type_k": "f16", "type_v": "f16", "flash_attn": "auto", "cpu_model": "Intel(R) Xeon(R) Processor",
    }  # fmt: skip
    assert {name: getattr(record, name) for name in told} == told
    unknown = ("n_ctx", "model_size_bytes", "file_sha256", "temperature", "seed", "host", "gpus", "os", "cores", "ttft_ns", "load_ns",
               "rss_peak_bytes", "other_load_pct", "prompt_sha256", "max_tokens")  # fmt: skip
    assert {name: getattr(record, name) for name in unknown} == dict.fromkeys(unknown)
    assert record.build_info is not None
    assert "poll 50" in record.build_info


def test_csv_has_means_alone_and_says_so() -> None:
    found = llamabench.records(FIXTURES / "smollm2.csv")
    told = list(csv.DictReader((FIXTURES / "smollm2.csv").open(encoding="utf-8", newline="")))
    assert [r.total_ns for r in found] == [int(row["avg_ns"]) for row in told]
    assert {r.warnings for r in found} == {("the mean of repetitions that the file does not tell",)}
    setups = [r.config_hash for r in llamabench.records(FIXTURES / "smollm2.json")[::3]]
    assert [r.config_hash for r in found] == setups, "the same set-ups, however they are written"


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    told = list(csv.DictReader((FIXTURES / "smollm2.csv").open(encoding="utf-8", newline="")))
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, [*reversed(told[0]), "something new"])
        writer.writeheader()
        writer.writerows({**row, "something new": "1"} for row in told)
    mixed, plain = llamabench.records(tmp_path / "a.csv"), llamabench.records(FIXTURES / "smollm2.csv")
    assert [(r.prompt_id, r.total_ns, r.config_hash) for r in mixed] == [
        (r.prompt_id, r.total_ns, r.config_hash) for r in plain
    ]


def changed(tmp_path: Path, **changes: Any) -> Path:
    row = {k: v for k, v in (rows("json")[0] | changes).items() if v is not ...}
    (tmp_path / "a.json").write_text(json.dumps([row]), encoding="utf-8")
    return tmp_path / "a.json"


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"flash_attn": True}, "flash_attn", "on"), ({"flash_attn": False}, "flash_attn", "off"), ({"flash_attn": 1}, "flash_attn", "on"),
        ({"flash_attn": ...}, "flash_attn", None), ({"model_type": "llama 8B Q4_K - Medium"}, "quant", "Q4_K_M"),
        ({"model_type": "qwen2 1.5B all F32"}, "quant", "F32"), ({"model_type": "llama ?B F16 (guessed)"}, "quant", "F16"),
        ({"model_type": "phi3 3B IQ4_XS - 4.25 bpw"}, "quant", "IQ4_XS"), ({"model_type": "gemma3 27B Q4_0"}, "model_type", "gemma3"),
        ({"model_type": "llama 8B Q3_K - Large"}, "quant", "Q3_K_L"), ({"model_type": "gpt-oss 20B MXFP4 MoE"}, "quant", "MXFP4"),
        ({"model_type": "something"}, "model_type", None), ({"model_type": "llama4 17Bx16E (Scout) Q2_K - Small"}, "quant", "Q2_K_S"), ({"model_type": ...}, "quant", None),
        ({"gpu_info": "Some GPU"}, "gpus", ("Some GPU",)), ({"build_number": ...}, "engine_build", None), ({"n_depth": ...}, "prompt_id", "pp16"),
        ({"model_filename": "C:\\m\\x-Q8_0.gguf"}, "model_name", "x-Q8_0"), ({"test_time": "2026-01-01T00:00:00+02:00"}, "status", "ok"),
    ],
)  # fmt: skip
def test_older_and_other_builds(tmp_path: Path, changes: dict[str, Any], field: str, value: object) -> None:
    assert getattr(llamabench.records(changed(tmp_path, **changes))[0], field) == value


@pytest.mark.parametrize(
    "changes",
    [
        {"samples_ns": []}, {"samples_ns": [-1]}, {"samples_ns": [0]}, {"samples_ns": "x"}, {"samples_ns": [1.5]}, {"samples_ns": [True]},
        {"n_prompt": 0}, {"n_prompt": "many"}, {"n_prompt": 2**70}, {"n_threads": -1}, {"test_time": "yesterday"}, {"test_time": ...},
        {"model_filename": ...}, {"model_filename": ""}, {"model_filename": "\x1b[2J"}, {"n_batch": [1]}, {"cpu_info": "\x1b[31m"},
        {"samples_ns": {"0": 1}}, {"n_gen": None, "n_prompt": None}, {"type_k": 5}, {"test_time": "0001-01-01T00:00:00+23:00"},
    ],
)  # fmt: skip
def test_rows_that_cannot_be_are_refused_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=r"a\.json, row 1: ") as refused:
        llamabench.records(changed(tmp_path, **changes))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"[1]", b"null", b"[" * 100_000, b"\xff\xfe", b"a,b\n1,2\n", b'{"samples_ns": [1]', b"[{}]", b'a,a\n1,2\n',
     b'avg_ns,n_prompt\n"1', b"\x00" * 100, b'[{"avg_ns": 1}, 2]'],
)  # fmt: skip
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadOption, match="-o json or -o jsonl"):
        llamabench.records(tmp_path / "a.json")


@pytest.mark.parametrize("kind", ["md", "sql"])
def test_rounded_tables_and_programs_are_refused(kind: str) -> None:
    with pytest.raises(BadOption, match="-o json or -o jsonl"):
        llamabench.records(FIXTURES / f"smollm2.{kind}")


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: None], ids=["folder", "nothing"])
def test_a_folder_or_nothing_where_a_file_should_be(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a")
    with pytest.raises(BadOption, match="is no file"):
        llamabench.records(tmp_path / "a")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llamabench, "MAX_FILE_BYTES", 100)
    with pytest.raises(BadOption, match="larger than"):
        llamabench.records(FIXTURES / "smollm2.json")


def test_the_same_file_is_known_again_and_a_longer_one_adds_what_is_new(tmp_path: Path) -> None:
    whole = (FIXTURES / "smollm2.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "lb.jsonl"
    told = []
    for count in (2, 2, 6):
        path.write_text("".join(whole[:count]), encoding="utf-8")
        done = merge.add(llamabench.records(path, "lab-1"), path, tmp_path / "here")
        told.append((done.runs, done.repetitions, done.known, done.refused))
    assert told == [(1, 6, 0, []), (0, 0, 6, []), (0, 12, 6, [])]
    loaded = store.load(tmp_path / "here")
    assert (len(loaded.records), loaded.problems) == (18, ())
    assert {path.parent.name for path in (tmp_path / "here").rglob("*.jsonl")} == {"lab-1"}


def test_the_same_test_twice_in_a_file_counts_on(tmp_path: Path) -> None:
    text = json.dumps(rows("json")[:1] * 2)
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert [r.rep_index for r in llamabench.records(tmp_path / "a.json")] == [1, 2, 3, 4, 5, 6]


def test_an_unknown_machine_has_a_folder_of_its_own(tmp_path: Path) -> None:
    merge.add(llamabench.records(FIXTURES / "smollm2.json"), FIXTURES / "smollm2.json", tmp_path)
    assert [path.parent.name for path in tmp_path.rglob("*.jsonl")] == [store.UNKNOWN_HOST]
