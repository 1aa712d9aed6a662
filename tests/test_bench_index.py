"""The index, the summary and the exports: what the strict reader reads, counted the same, whatever the files go through."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import duckdb
import numpy as np
import pytest
from bench_samples import run, sample

from programs.bench import columns, index, lines, marks, stats, store, summaries
from programs.bench.fields import Record
from workbook import paths
from workbook.errors import BadOption

RUNS = {"a" * 12: ("one", "m:1b", [100.0, 104, 90, 97, 101]), "b" * 12: ("one", "m:1b", [103.0, 99]),
        "c" * 12: ("two", "m:1b", [50.0, 55, 60]), "d" * 12: ("two", "n:7b", [10.0])}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WORKBOOK_CACHE", str(folder))
    return folder


def filled(folder: Path) -> Path:
    for run_id, (host, model, rates) in RUNS.items():
        path = folder / host / f"{run_id}.jsonl"
        store.append(path, sample(run_id=run_id, host=host, model_name=model, rep_index=0, is_warmup=True))
        for record in run(rates, run_id=run_id, host=host, model_name=model):
            store.append(path, record)
    return folder


Medians = dict[tuple[object, ...], tuple[int, float, float, float]]


def medians(folder: Path, *more: str) -> Medians:
    rows = summaries.summary(index.open_index(folder), ("host", "model_name", *more, "method"))
    return {
        row.group[:-1] if not more else row.group: (row.n, row.median, row.q1, row.q3)
        for row in rows
        if row.metric is stats.TG
    }


def strictly(folder: Path) -> Medians:
    """The oracle: every line by the strict reader, the quartiles by numpy."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for r in store.load(folder).valid:
        groups.setdefault((r.host, r.model_name, r.prompt_id, r.method), []).append(r)
    found = {key: stats.values(group, stats.TG) for key, group in groups.items()}
    return {k: (len(v), *(float(q) for q in np.percentile(v, [50, 25, 75]))) for k, v in found.items() if v}


def same(folder: Path) -> None:
    ours, theirs = medians(folder, "prompt_id"), strictly(folder)
    assert theirs, "nothing to compare"
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        assert row == pytest.approx(theirs[key])
    known = index.open_index(folder)
    loaded = store.load(folder)
    again = [p for p in loaded.problems if p.message.startswith("this repetition")]
    in_files = [p for p in known.problems if p.message.startswith("this repetition")]
    assert len(again) == known.repeated + len(in_files)
    assert sorted(map(str, set(loaded.problems) - set(again))) == sorted(map(str, set(known.problems) - set(in_files)))


def test_the_summary_is_what_the_strict_reader_and_numpy_say(tmp_path: Path) -> None:
    same(filled(tmp_path))
    assert medians(tmp_path)["one", "m:1b"][:2] == (7, pytest.approx(100.0))


def test_the_committed_set(tmp_path: Path) -> None:
    same(paths.data() / "results" / "example")


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert summaries.summary(index.open_index(folder)) == []
        assert index.open_index(folder).run_files() == {}
    assert summaries.table([]) == "No repetition fits."


@pytest.mark.parametrize("damage", [b"{}", b"\xff\xfe", b"[" * 100_000, b'{"run_id":1}', b"a" * 300_000, b"\x00" * 50])
def test_damaged_lines_count_as_the_strict_reader_counts_them(tmp_path: Path, damage: bytes) -> None:
    path = filled(tmp_path) / "one" / f"{'a' * 12}.jsonl"
    whole = path.read_bytes().split(b"\n")
    whole[3] = damage
    path.write_bytes(b"\n".join(whole)[:-30])
    same(tmp_path)
    assert medians(tmp_path)["one", "m:1b"][0] == 5


def test_a_figure_altered_by_hand_does_not_count(tmp_path: Path) -> None:
    path = filled(tmp_path) / "two" / f"{'d' * 12}.jsonl"
    path.write_text(path.read_text().replace('"tg_ts":10.0', '"tg_ts":99.0'), encoding="utf-8")
    same(tmp_path)
    assert ("two", "n:7b") not in medians(tmp_path)


def test_files_that_grow_change_go_and_come(tmp_path: Path) -> None:
    filled(tmp_path)
    same(tmp_path)
    store.append(
        tmp_path / "one" / f"{'b' * 12}.jsonl", sample(run_id="b" * 12, host="one", model_name="m:1b", rep_index=9)
    )
    same(tmp_path)
    (tmp_path / "two" / f"{'c' * 12}.jsonl").unlink()
    same(tmp_path)
    path = tmp_path / "one" / f"{'a' * 12}.jsonl"
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    same(tmp_path)
    assert medians(tmp_path)["one", "m:1b"][0] == 3


def test_a_line_is_read_strictly_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    index.open_index(tmp_path)
    monkeypatch.setattr(store, "numbered", lambda path: pytest.fail(f"{path} is read again"))
    assert len(medians(tmp_path)) == 3


def test_repetitions_in_two_files_count_once(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "x.jsonl").write_bytes((tmp_path / "one" / f"{'a' * 12}.jsonl").read_bytes())
    with (tmp_path / "two" / f"{'c' * 12}.jsonl").open("a") as out:
        out.write(sample(run_id="c" * 12, rep_index=1, host="two", model_name="m:1b", gen_ns=1).line() + "\n")
    same(tmp_path)
    assert index.open_index(tmp_path).repeated == 6


def test_many_small_parts_become_fewer(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MOST_SMALL", 3)
    filled(tmp_path)
    for rep in range(10, 18):
        store.append(tmp_path / "new" / f"{rep}.jsonl", sample(rep_index=rep))
        index.open_index(tmp_path)
    assert len(list(cache.rglob("*.json"))) <= 4
    same(tmp_path)


def test_a_part_ends_where_it_is_full(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "PART_RECORDS", 4)
    same(filled(tmp_path))
    assert len(list(cache.rglob("*.json"))) == 3  # 6 records; 3 and 4; 2


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"files": 1}', b'{"files": [[1]], "count": 1}', b"\xff"])
def test_a_damaged_part_is_made_again(tmp_path: Path, cache: Path, content: bytes) -> None:
    filled(tmp_path)
    index.open_index(tmp_path)
    next(cache.rglob("*.json")).write_bytes(content)
    same(tmp_path)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "file"))
    same(filled(tmp_path / "results"))


def test_runs_marked_invalid_and_invalid_repetitions_are_left_out(tmp_path: Path) -> None:
    filled(tmp_path)
    marks.add(tmp_path / "one" / "x.jsonl", "b" * 12, "the laptop slept")
    lines.append(
        tmp_path / "one" / "y.jsonl",
        sample(run_id="e" * 12, host="one", model_name="m:1b", invalid="slept").line().encode(),
    )
    lines.append(
        tmp_path / "one" / "y.jsonl",
        sample(run_id="e" * 12, host="one", model_name="m:1b", rep_index=2, cold=True).line().encode(),
    )
    same(tmp_path)
    assert medians(tmp_path)["one", "m:1b"][0] == 5
    marks.add(tmp_path / "one" / "x.jsonl", "b" * 12, "it did not", invalid=False)
    assert medians(tmp_path)["one", "m:1b"][0] == 7


def test_groups_conditions_and_what_is_pooled(tmp_path: Path) -> None:
    filled(tmp_path)
    known = index.open_index(tmp_path)
    (row,) = [r for r in summaries.summary(known, ("host",), {"host": "two"}) if r.metric is stats.TG]
    assert (row.group, row.n, row.runs, row.setups) == (("two", "server-timings"), 4, 2, 2)
    assert "2 set-ups pooled" in summaries.table([row], ("host",))
    assert summaries.summary(known, ("host",), {"host": "'; DROP TABLE x; --"}) == []
    for wrong in (("surprise",), ('host" FROM x; --',)):
        with pytest.raises(BadOption, match="no field"):
            summaries.summary(known, wrong)
    with pytest.raises(BadOption, match="no field"):
        summaries.summary(known, ("host",), {"surprise": "1"})


def test_methods_are_never_pooled(tmp_path: Path) -> None:
    for rep, method in enumerate(("server-timings", "client-stream"), 1):
        store.append(tmp_path / "a.jsonl", sample(rep_index=rep, method=method))
    assert len([r for r in summaries.summary(index.open_index(tmp_path), ("host",)) if r.metric is stats.TG]) == 2


def test_every_field_has_a_column_of_its_type() -> None:
    found = columns.fields()
    assert list(found) == list(Record.model_fields)
    expected = {"run_id": "VARCHAR", "rep_index": "BIGINT", "is_warmup": "BOOLEAN", "isa_flags": "VARCHAR[]", "tg_ts": "DOUBLE",
                "server_pids": "BIGINT[]", "checks": "VARCHAR", "status": "VARCHAR", "thinking": "BOOLEAN"}  # fmt: skip
    assert expected.items() <= found.items()


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)")


def test_csv_is_read_back_and_holds_no_formula(tmp_path: Path) -> None:
    records = [sample(rep_index=i, model_name=word, gpus=(word,), error=None) for i, word in enumerate(FORMULAS, 1)]
    records.append(sample(rep_index=9, model_name='a "quoted", é', swap_delta_bytes=-5, build_info="-a,b;c"))
    for record in records:
        store.append(tmp_path / "r" / "a.jsonl", record)
    marks.add(tmp_path / "r" / "a.jsonl", sample().run_id, "=HYPERLINK(1)")
    target = tmp_path / "out.csv"
    assert summaries.export(index.open_index(tmp_path / "r"), target) == 5
    rows = {int(row["rep_index"]): row for row in csv.DictReader(target.open(encoding="utf-8", newline=""))}
    assert list(rows[1]) == list(Record.model_fields)
    for rep, word in enumerate(FORMULAS, 1):
        assert (rows[rep]["model_name"], rows[rep]["gpus"], rows[rep]["invalid"]) == (
            "'" + word,
            "'" + word,
            "'=HYPERLINK(1)",
        )
    last = rows[9]
    assert (last["model_name"], last["swap_delta_bytes"], last["isa_flags"]) == ('a "quoted", é', "-5", "avx avx2")
    assert (last["started_at"], last["is_warmup"], last["n_reasoning"]) == ("2026-01-02T03:04:05.000000Z", "false", "")
    assert float(last["tg_ts"]) == records[-1].tg_ts
    cells = [cell for row in rows.values() for name, cell in row.items() if name != "swap_delta_bytes"]
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []


def test_parquet_is_read_back_by_type(tmp_path: Path) -> None:
    filled(tmp_path / "r")
    target = tmp_path / "o'ut.parquet"
    count = summaries.export(index.open_index(tmp_path / "r"), target, {"host": "two"})
    quoted = columns.quoted(target)
    rows = duckdb.sql(
        f"SELECT tg_ts, isa_flags, started_at FROM '{quoted}' WHERE NOT is_warmup ORDER BY tg_ts"
    ).fetchall()
    assert count == 6
    assert [row[0] for row in rows] == pytest.approx([10, 50, 55, 60])
    assert (rows[0][1], rows[0][2].year) == (["avx", "avx2"], 2026)


def test_an_export_overwrites_nothing_and_leaves_no_half(tmp_path: Path) -> None:
    known = index.open_index(filled(tmp_path / "r"))
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(BadOption, match="not overwritten"):
        summaries.export(known, target)
    assert target.read_text() == "mine"
    for wrong in ("out.xlsx", "out"):
        with pytest.raises(BadOption, match="ends in"):
            summaries.export(known, tmp_path / wrong)
    with pytest.raises(BadOption, match="cannot be written"):
        summaries.export(known, target / "below.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "r"]


def test_a_folder_that_is_a_file_or_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadOption, match="is a file"):
        index.open_index(tmp_path / "file")
    with pytest.raises(BadOption, match="is a file"):
        store.load(tmp_path / "file")

    def refused(top: Path, onerror: object = None, **_: object) -> list[object]:
        onerror(PermissionError(13, "Permission denied", str(top)))  # type: ignore[operator]
        return []

    monkeypatch.setattr(os, "walk", refused)
    with pytest.raises(BadOption, match="Permission denied"):
        store.load(filled(tmp_path / "r"))
