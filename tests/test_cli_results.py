"""``workbook results``: every command by its name, and every mistake in one line."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from bench_samples import run, sample
from click.testing import Result
from typer.testing import CliRunner

from programs.bench import store
from programs.cli import app

ONE, TWO = "ab1" * 4, "ab2" * 4
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for run_id, factor in ((ONE, 1), (TWO, 2)):
        for record in run([factor * rate for rate in (100.0, 101, 99, 100, 100)], run_id=run_id):
            store.append(store.run_file(folder, "example", record.started_at, run_id), record)
    return folder


def call(folder: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["results", *words, "--folder", str(folder)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_marks_are_shown_and_taken_back(results: Path) -> None:
    assert "10" in call(results, "summary").stdout
    assert "is marked invalid: the laptop slept" in call(results, "mark", ONE, "--invalid", "the laptop slept").stdout
    assert "INVALID: the laptop slept" in call(results, "list").stdout
    assert "INVALID: the laptop slept" in call(results, "show", ONE).stdout
    table = call(results, "summary", "--by", "host").stdout.splitlines()
    assert [line.split()[table[0].split().index("n")] for line in table[1:]] == ["5", "5", "5"]
    assert "no repetition that counts" in call(results, "compare", ONE, TWO, code=1).output
    call(results, "mark", ONE, "--valid", "it was another one")
    assert "INVALID" not in call(results, "list").stdout
    assert len(next(results.rglob("*.marks")).read_text().splitlines()) == 2, "only ever appended to"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "zzz"), "no runs begin with 'zzz'"), (("show", "ab"), f"2 runs begin with 'ab': {ONE}, {TWO}"),
        (("show", "ab"), "Give more of the id"), (("mark", "zz", "--invalid", "x"), "workbook results list"), (("mark", "ab", "--invalid", "x"), "2 runs"),
        (("mark", ONE), "give a reason"), (("mark", ONE, "--invalid", "x", "--valid", "y"), "give a reason"),
        (("mark", ONE, "--invalid", "  "), "one line of text"), (("mark", ONE, "--invalid", "a\nb"), "one line of text"),
        (("mark", ONE, "--invalid", "x" * 2000), "one line of text"), (("compare", "x", "y"), "not both a run"),
        (("compare", ONE, TWO, "--where", "x"), "FIELD=VALUE"), (("compare", ONE, TWO, "--where", "x=1"), "no field 'x'"),
        (("summary", "--by", "x"), "no field 'x'"), (("summary", "--where", "=1"), "FIELD=VALUE"), (("merge", "/nowhere/x"), "there is no"),
        (("import", "/nowhere/x"), "is no file"), (("import", str(FIXTURES)), "is no file"), (("export", "x.txt"), "ends in .csv"),
        (("import", str(FIXTURES / "llama-bench" / "smollm2.json"), "--host", "a b"), "host="),
        (("import", str(FIXTURES / "llama-bench" / "smollm2.json"), "--host", "dropped"), "host="),
        (("export", "/nowhere/x.csv"), "no such folder"), (("export", "x.parquet"), "ends in .csv"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line(results: Path, words: tuple[str, ...], says: str) -> None:
    result = call(results, *words, code=1)
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["list", "check", "summary", "grades", "show x", "compare x y", "mark x --invalid y", "export x.csv"]
)
def test_a_file_where_the_folder_should_be(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("x")
    result = call(tmp_path / "file", *command.split(), code=1)
    assert len(result.stderr.strip().splitlines()) == 1
    assert "file is a file" in result.stderr


def test_names_of_others_do_not_move_the_cursor_or_turn_the_text(results: Path) -> None:
    turned = sample(run_id="a" * 12, model_name="safe\u202egpj.exe", prompt_id="x\u2028y")
    store.append(store.run_file(results, "example", turned.started_at, turned.run_id), turned)
    for words in (("list",), ("show", "aaa"), ("summary",)):
        said = call(results, *words).output
        assert "safe?gpj.exe" in said
        assert "x?y" in said
        assert said.replace("\n", "").isprintable()


def test_a_run_is_not_compared_with_itself(results: Path) -> None:
    said = call(results, "compare", ONE, ONE[:4], code=1).stderr
    assert said == f"BadOption: {ONE!r} and {ONE[:4]!r} are both {ONE}. Give another one to compare it with.\n"


def test_what_the_system_refuses_is_one_line(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(results / "x.jsonl"))

    monkeypatch.setattr("programs.bench.store.load", refused)
    assert call(results, "list", code=1).stderr == "PermissionError: x.jsonl: Permission denied.\n"


def test_compare_export_merge_and_import(results: Path, tmp_path: Path) -> None:
    assert "no verdict" in call(results, "compare", ONE, TWO).stdout
    other = tmp_path / "other"
    assert "added: 2 runs, 10 repetitions" in call(other, "merge", str(results)).stdout
    assert "there already: 10 repetitions" in call(other, "merge", str(results), str(results)).stdout.replace(
        "20", "10"
    )
    assert (
        "18 repetitions"
        in call(other, "import", str(FIXTURES / "llama-bench" / "smollm2.json"), "--host", "lab-1").stdout
    )
    assert "lab-1" in call(other, "summary").stdout
    target = tmp_path / "out.csv"
    assert "28 repetitions in" in call(other, "export", str(target)).stdout
    assert len(list(csv.DictReader(target.open(encoding="utf-8", newline="")))) == 28
    (results / "bad.jsonl").write_text("{}\n")
    result = call(other, "merge", str(results), code=1)
    assert "bad.jsonl:1: not a record" in result.stdout


def test_the_summary_says_how_many_lines_it_leaves_out(results: Path) -> None:
    assert "left out" not in call(results, "summary").stdout
    (results / "bad.jsonl").write_text("{}\nx\n")
    assert "2 lines are left out: workbook results check" in call(results, "summary").stdout
    assert call(results, "check", code=1).stdout.splitlines()[-1].endswith("2 problems.")


def test_a_report_of_an_empty_folder(tmp_path: Path) -> None:
    assert "No repetition fits." in call(tmp_path, "summary").stdout
    assert "No records yet" in call(tmp_path, "list").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a folder without a right to read is something else there")
def test_the_help_names_every_command() -> None:
    told = CliRunner().invoke(app, ["results", "--help"]).output
    for name in ("list", "show", "check", "summary", "compare", "grades", "merge", "import", "export", "mark"):
        assert f" {name} " in told
