"""Merging what others made: recognised, never overwriting, refused with both places where it contradicts."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench_samples import sample

from programs.bench import merge, store
from workbook.errors import BadOption

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = "0123456789ab"


def away(tmp_path: Path, reps: int = 3, host: str = "lab-1", run_id: str = RUN, **changes: object) -> Path:
    """A run on another machine, and its file."""
    path = store.run_file(tmp_path / "away", host, AT, run_id)
    for rep in range(1, reps + 1):
        store.append(path, sample(rep_index=rep, host=host, run_id=run_id, **changes))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_and_a_file_come_in_and_are_known_again(tmp_path: Path) -> None:
    path, here = away(tmp_path), tmp_path / "here"
    done = merge.merge([tmp_path / "away"], here)
    assert (done.runs, done.repetitions, done.known, done.refused) == (1, 3, 0, [])
    assert store.load(here) == store.load(tmp_path / "away")
    assert (here / "lab-1" / path.name).is_file()
    before = tree(here)
    again = merge.merge([path, tmp_path / "away", here], here)
    assert (again.runs, again.repetitions, again.known, again.refused) == (0, 0, 9, [])
    assert tree(here) == before


def test_a_run_that_went_on_gets_a_file_beside_and_the_old_one_stays(tmp_path: Path) -> None:
    here = tmp_path / "here"
    merge.merge([away(tmp_path, 2)], here)
    before = tree(here)
    store.append(away(tmp_path, 0), sample(rep_index=3, host="lab-1"))
    done = merge.merge([tmp_path / "away"], here)
    assert (done.runs, done.repetitions, done.known) == (0, 1, 2)
    assert before.items() < tree(here).items()
    loaded = store.load(here)
    assert ([r.rep_index for r in loaded.records], loaded.problems) == ([1, 2, 3], ())


def test_a_repetition_that_differs_is_refused_with_both_places_and_nothing_of_its_file_is_taken(tmp_path: Path) -> None:
    here = tmp_path / "here"
    merge.merge([away(tmp_path, 2)], here)
    before = tree(here)
    forged = away(tmp_path / "2", 0)
    for rep, took in ((7, 100_000_000), (2, 50_000_000)):
        store.append(forged, sample(rep_index=rep, host="lab-1", gen_ns=took))
    done = merge.merge([tmp_path / "2"], here)
    assert (done.repetitions, tree(here)) == (0, before)
    (problem,) = done.refused
    assert f"{forged.name}:2 and " in str(problem)
    assert f"{forged.name}:2 differ" in str(problem).split(" and ")[1]


@pytest.mark.parametrize("changes", [{"host": "other"}, {"cpu_model": "Other CPU"}])
def test_the_same_run_of_another_machine_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    here = tmp_path / "here"
    merge.merge([away(tmp_path, 2, cpu_model="One CPU")], here)
    other = tmp_path / "2" / "x.jsonl"
    store.append(other, sample(**{"rep_index": 9, "host": "lab-1", "cpu_model": "One CPU"} | changes))
    done = merge.merge([other], here)
    assert done.repetitions == 0
    assert f"another {next(iter(changes))}" in str(done.refused[0])


def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    path = away(tmp_path, 1)
    store.append_line(path, sample(rep_index=1, host="lab-1", gen_ns=7).line().encode())
    done = merge.merge([path], tmp_path / "here")
    assert done.repetitions == 0
    assert "differ" in str(done.refused[0])
    assert not list((tmp_path / "here").rglob("*.jsonl"))


def test_damaged_lines_are_named_and_the_others_come(tmp_path: Path) -> None:
    path = away(tmp_path, 2)
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([first, b'{"run_id":"\x1b[2J"}', second, b""]))
    done = merge.merge([path], tmp_path / "here")
    assert (done.repetitions, [problem.line for problem in done.refused]) == (2, [2])
    assert str(done).replace("\n", " ").isprintable()


def test_a_record_with_an_altered_figure_is_no_record(tmp_path: Path) -> None:
    path = away(tmp_path, 1)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tg_ts": 200.0}) + "\n", encoding="utf-8")
    done = merge.merge([path], tmp_path / "here")
    assert done.repetitions == 0
    assert "does not follow" in str(done)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = away(tmp_path / "secret")
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "a.jsonl").symlink_to(secret)
    (evil / "folder").symlink_to(secret.parent)
    (evil / "loop").symlink_to(evil)
    done = merge.merge([evil], tmp_path / "here")
    assert done.repetitions == 0
    assert sorted(str(p).rpartition(": a link")[0].rpartition("/")[2] for p in done.refused) == [
        "a.jsonl",
        "folder",
        "loop",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such names nor pipes")
@pytest.mark.parametrize("name", ["-rf.jsonl", "a b.jsonl", "\x1b[2J.jsonl", "..jsonl", "é.jsonl", "a\n.jsonl"])
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    path = away(tmp_path, 1)
    path.rename(path.with_name(name))
    done = merge.merge([tmp_path / "away"], tmp_path / "here")
    assert done.repetitions == 0
    assert len(done.refused) == (1 if not name.startswith(".") else len(done.refused))
    assert str(done).replace("\n", " ").isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    os.mkfifo(tmp_path / "away" / "a.jsonl")
    (tmp_path / "away" / "b.jsonl").mkdir()
    done = merge.merge([tmp_path / "away"], tmp_path / "here")
    assert done.repetitions == 0
    assert len(done.refused) == 2


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = away(tmp_path)
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 1000)
    done = merge.merge([path], tmp_path / "here")
    assert done.repetitions == 0
    assert "MiB: not read" in str(done)


@pytest.mark.parametrize("host", ["dropped", "Dropped", "con", "NUL", "com1", "unknown-host"])
def test_a_host_whose_name_no_folder_may_have_is_refused(tmp_path: Path, host: str) -> None:
    path = tmp_path / "away" / "a.jsonl"
    store.append(path, sample(host=host))
    done = merge.merge([path], tmp_path / "here")
    assert done.repetitions == 0
    assert host in str(done.refused[0])


def test_names_come_from_the_records_and_not_from_the_file(tmp_path: Path) -> None:
    path = away(tmp_path, 1, host="lab-1")
    odd = path.rename(path.with_name("whatever.jsonl"))
    merge.merge([odd], tmp_path / "here")
    assert list(tree(tmp_path / "here")) == [f"lab-1/20260102T030405Z-{RUN}.jsonl"]


def test_nothing_is_overwritten_even_what_was_not_known(tmp_path: Path) -> None:
    here = tmp_path / "here"
    target = store.run_file(here, "lab-1", AT, RUN)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"notes of mine\n")
    done = merge.merge([away(tmp_path, 1)], here)
    assert done.repetitions == 1
    assert target.read_bytes() == b"notes of mine\n"
    assert len(store.load(here).records) == 1


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="there is no"):
        merge.merge([tmp_path / "nowhere"], tmp_path / "here")


def test_a_file_where_the_results_should_be(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("x", encoding="utf-8")
    with pytest.raises(BadOption, match="is a file"):
        merge.merge([away(tmp_path)], tmp_path / "here")


def test_a_halt_between_files_leaves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away(tmp_path, 2, run_id="a" * 12)
    away(tmp_path, 2, run_id="b" * 12)
    right = store.create

    def fails(path: Path, content: bytes) -> bool:
        if "bbbb" in path.name:
            raise OSError(28, "No space left on device")
        return right(path, content)

    monkeypatch.setattr(store, "create", fails)
    with pytest.raises(BadOption, match=r"No space left.*Merge again"):
        merge.merge([tmp_path / "away"], tmp_path / "here")
    assert [len(content.splitlines()) for content in tree(tmp_path / "here").values()] == [2]
    monkeypatch.undo()
    assert merge.merge([tmp_path / "away"], tmp_path / "here").repetitions == 2


ANSWER = "```python\nprint('é')\n```\n".encode()


def with_answer(tmp_path: Path, content: bytes = ANSWER, name: str = "snake-0123456789abcdef-r1.md") -> Path:
    path = tmp_path / "away" / "lab-1" / "a.jsonl"
    store.append(path, sample(host="lab-1", answer_sha256=hashlib.sha256(content).hexdigest()))
    path.with_suffix(".answers").mkdir(exist_ok=True)
    (path.with_suffix(".answers") / name).write_bytes(content)
    return path


def test_answers_come_along_with_their_records(tmp_path: Path) -> None:
    path, here = with_answer(tmp_path), tmp_path / "here"
    done = merge.merge([path], here)
    assert (done.answers, done.refused) == (1, [])
    kept = here / "lab-1" / f"20260102T030405Z-{RUN}.answers" / "snake-0123456789abcdef-r1.md"
    assert kept.read_bytes() == ANSWER
    again = merge.merge([path], here)
    assert (again.answers, again.known_answers) == (0, 1)


def test_an_answer_that_is_here_is_never_overwritten(tmp_path: Path) -> None:
    path, here = with_answer(tmp_path), tmp_path / "here"
    merge.merge([path], here)
    kept = next(here.rglob("*.md"))
    kept.write_bytes(b"mine")
    done = merge.merge([path], here)
    assert "differs from" in str(done)
    assert kept.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"other", "x-r1.md", "no record of this run names it"), (ANSWER, "x.exe", "odd name"), (ANSWER, "a b.md", "odd name"),
        (ANSWER, "-x.md", "odd name"), (b"\xff\xfe", "x.md", "no text"), (b"x" * (merge.MAX_ANSWER_BYTES + 1), "x.md", "larger than"),
    ],
)  # fmt: skip
def test_answers_that_stay_outside(tmp_path: Path, content: bytes, name: str, says: str) -> None:
    path = with_answer(tmp_path)
    (path.with_suffix(".answers") / name).write_bytes(content)
    done = merge.merge([path], tmp_path / "here")
    assert done.answers == 1
    assert [says in str(problem) for problem in done.refused] == [True]
    assert len(list((tmp_path / "here").rglob("*.answers/*"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_answers_that_are_links_stay_outside(tmp_path: Path) -> None:
    path = with_answer(tmp_path)
    secret = tmp_path / "secret.md"
    secret.write_bytes(ANSWER)
    (path.with_suffix(".answers") / "link.md").symlink_to(secret)
    assert "a link" in str(merge.merge([path], tmp_path / "here"))
    folder = path.with_suffix(".answers")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    done = merge.merge([path], tmp_path / "there")
    assert (done.answers, "a link: not followed" in str(done)) == (0, True)


def test_answers_of_a_refused_run_stay_outside(tmp_path: Path) -> None:
    here = tmp_path / "here"
    merge.merge([away(tmp_path / "1", 1, gen_ns=7)], here)
    done = merge.merge([with_answer(tmp_path)], here)
    assert (done.answers, len(done.refused)) == (0, 1)


def test_marks_come_along_once(tmp_path: Path) -> None:
    path, here = away(tmp_path), tmp_path / "here"
    store.mark(RUN, "the laptop slept", folder=tmp_path / "away")
    store.append_line(path.with_suffix(".marks"), b'{"not": "a mark"}')
    other = store.Mark(run_id="f" * 12, marked_at=AT, invalid=True, reason="of another run")
    store.append_line(path.with_suffix(".marks"), other.model_dump_json().encode())
    for expected in (1, 0):
        done = merge.merge([path], here)
        assert done.marks == expected
        assert ["not a mark" in str(problem) for problem in done.refused] == [True]
    assert store.load(here).invalid == {RUN: "the laptop slept"}
