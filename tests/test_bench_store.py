"""The store: what was written is read again, whatever happened to the file since."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench_samples import sample

from programs.bench import store
from workbook.errors import BadOption


def write(path: Path, n: int = 3) -> bytes:
    for i in range(1, n + 1):
        store.append(path, sample(rep_index=i))
    return path.read_bytes()


def test_what_is_appended_is_loaded(tmp_path: Path) -> None:
    path = store.run_file(tmp_path, "host-1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "0123456789ab")
    assert path.name == "20260102T030405Z-0123456789ab.jsonl"
    assert not set(path.name) & set('<>:"/\\|?*'), "a name Windows takes"
    write(path)
    loaded = store.load(tmp_path)
    assert loaded.records == tuple(sample(rep_index=i) for i in (1, 2, 3))
    assert loaded.problems == ()


def test_the_folder_of_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine" / "a.jsonl")
    monkeypatch.setenv("WORKBOOK_RESULTS", str(tmp_path))
    assert len(store.load().records) == 3
    monkeypatch.setenv("WORKBOOK_RESULTS", str(tmp_path / "nowhere"))
    assert store.load() == store.Contents()


def test_any_cut_of_the_last_line_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    whole = write(path)
    second_ends = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for end in (second_ends, second_ends + 1, second_ends + 200, len(whole) - 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        loaded = store.load(tmp_path)
        complete = end >= len(whole) - 1  # without its newline a record is still whole
        assert len(loaded.records) == 2 + complete
        assert [(p.line, p.cut) for p in loaded.problems] == ([] if complete or end == second_ends else [(3, True)])


@pytest.mark.parametrize("cut", [1, 40])
def test_a_cut_file_is_continued_on_a_new_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(write(path)[:-cut])
    store.append(path, sample(rep_index=4))
    loaded = store.read(path)
    assert [r.rep_index for r in loaded.records] == ([1, 2, 3, 4] if cut == 1 else [1, 2, 4])
    assert [(p.line, p.cut) for p in loaded.problems] == ([] if cut == 1 else [(3, False)])


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[1]", b"null", b"\x00" * 300, b"\xff\xfe{", b"[" * 100_000, b'{"run_id": 1}', b"a" * 300_000],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "a.jsonl"
    first, second, third, end = write(path).split(b"\n")
    path.write_bytes(b"\n".join([first, damage, third, end]))
    loaded = store.load(tmp_path)
    assert [r.rep_index for r in loaded.records] == [1, 3]
    if damage:
        (problem,) = loaded.problems
        assert (problem.file, problem.line, problem.cut) == (path, 2, False)
        assert str(problem).startswith("a.jsonl:2: ")
        assert len(str(problem)) < 400
        assert str(problem).isprintable()
    assert second


def test_a_hostile_key_does_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(json.loads(sample().line()) | {"\x1b[2J" + "x" * 500: 1}) + "\n")
    (problem,) = store.read(path).problems
    assert str(problem).isprintable()
    assert len(str(problem)) < 400


def test_what_is_too_large_or_no_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "good.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "large.jsonl").write_bytes(b" " * 20_000)
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 10_000)
    loaded = store.load(tmp_path)
    assert len(loaded.records) == 3
    assert sorted(p.file.name for p in loaded.problems) == ["folder.jsonl", "large.jsonl"]


def test_a_repetition_copied_into_two_files_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl")
    write(tmp_path / "b.jsonl", 1)
    loaded = store.load(tmp_path)
    assert len(loaded.records) == 3
    assert [(p.file.name, p.line) for p in loaded.problems] == [("b.jsonl", 1)]


def test_frozen_lines_are_read() -> None:
    """The file never changes: what an earlier workbook recorded in this version of the format is read by a later one."""
    path = Path(__file__).parent / "fixtures" / "records" / "v2.jsonl"
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    loaded = store.read(path)
    assert (len(loaded.records), loaded.problems) == (len(written), ())
    assert {row["schema_version"] for row in written} == {2}
    for record, row in zip(loaded.records, written, strict=True):
        again = json.loads(record.line())
        kept = {name: value for name, value in row.items() if name not in ("schema_version", "config_hash")}
        assert {name: again[name] for name in kept} == kept


def test_what_was_moved_aside_or_is_hidden_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.jsonl")
    write(tmp_path / "dropped" / "one" / "b.jsonl")
    write(tmp_path / "one" / "dropped" / "c.jsonl", 1)
    write(tmp_path / ".hidden" / "d.jsonl")
    assert [path.name for path in store.files(tmp_path)[0]] == ["a.jsonl", "c.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_to_folders_are_named_and_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.jsonl")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "elsewhere")
    assert [str(problem) for problem in store.load(tmp_path / "mine").problems] == ["link: a link: not followed"]


def test_a_folder_that_is_a_file_or_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "open" / "a.jsonl")
    (tmp_path / "closed").mkdir()
    with pytest.raises(BadOption, match="is a file"):
        store.load(tmp_path / "open" / "a.jsonl")
    monkeypatch.setattr(os, "access", lambda path, right: path.name != "closed")  # root may read everything
    loaded = store.load(tmp_path)
    assert (len(loaded.records), [str(problem) for problem in loaded.problems]) == (
        3,
        ["closed: cannot be read (Permission denied)"],
    )
    with pytest.raises(BadOption, match="cannot be read"):
        store.load(tmp_path / "closed")


def test_runs_marked_invalid_stay_with_the_reason_and_the_last_mark_counts(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl")
    store.append(tmp_path / "b.jsonl", sample(run_id="f" * 12))
    store.mark("ff", "slept", folder=tmp_path)
    loaded = store.load(tmp_path)
    assert (len(loaded.records), loaded.invalid) == (4, {"f" * 12: "slept"})
    store.mark("ff", "it did not", invalid=False, folder=tmp_path)
    assert store.load(tmp_path).invalid == {}
    store.append_line(tmp_path / "b.marks", b'{"run_id": 1}')
    assert [problem.message.split(":")[0] for problem in store.load(tmp_path).problems] == ["not a mark"]


def test_a_new_file_appears_whole_and_overwrites_nothing(tmp_path: Path) -> None:
    assert store.create(tmp_path / "x" / "a", b"one")
    assert not store.create(tmp_path / "x" / "a", b"two")
    assert {path.name: path.read_bytes() for path in (tmp_path / "x").iterdir()} == {"a": b"one"}


def test_one_repetition_index_of_two_set_ups_is_two_repetitions(tmp_path: Path) -> None:
    for thinking in (True, False):
        store.append(tmp_path / "a.jsonl", sample(thinking=thinking))
    assert len(store.load(tmp_path).records) == 2
