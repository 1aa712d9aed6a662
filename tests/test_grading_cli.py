"""``workbook grade``: one answer, one program, a run's answers; a yes before anything runs; one line for a mistake."""

import pytest
from typer.testing import CliRunner

from programs import cli
from programs.judge import box

STRONG = next((one.name for one in box.tiers() if one.available and not one.weak), None)
contained = pytest.mark.skipif(STRONG is None, reason="no tier of the sandbox is strong enough here")
ADD = "def add(a, b):\n    return a + b\n"


def run(*words):
    return CliRunner().invoke(cli.app, ["grade", *map(str, words)])


@pytest.fixture
def answers(tmp_path, cache, monkeypatch):
    monkeypatch.delenv("WORKBOOK_SANDBOX", raising=False)
    folder = tmp_path / "run.answers"
    folder.mkdir()
    (folder / "sum-two-0123456789abcdef-r1.md").write_text("The sum is 5.")
    (folder / "sum-two-0123456789abcdef-r2.md").write_text("6")
    return folder


def test_an_answer_of_text_needs_no_yes(answers):
    done = run(answers / "sum-two-0123456789abcdef-r1.md")
    assert done.exit_code == 0
    assert "grade    passed" in done.output
    assert "nothing was run" in done.output


def test_a_run_is_graded_line_by_line(answers):
    done = run(answers.parent)
    assert [line.split()[:2] for line in done.output.splitlines()] == [
        ["passed", "sum-two-0123456789abcdef-r1.md"],
        ["failed", "sum-two-0123456789abcdef-r2.md"],
    ]


def test_no_program_runs_without_a_yes(answers):
    program = answers / "add.py"
    program.write_text("open('ran', 'w')\n" + ADD)
    done = run(program, "--task", "fn-add")
    assert done.exit_code == 1
    assert "--yes" in done.output
    assert "grade" not in done.stdout


@contained
def test_a_program_is_graded_after_a_yes(answers):
    program = answers / "add.py"
    program.write_text(ADD)
    done = run(program, "--task", "fn-add", "--yes")
    assert done.exit_code == 0
    assert "grade    passed" in done.output
    assert f"sandbox  {STRONG}" in done.output
    program.write_text(ADD.replace("+", "-"))
    assert "grade    failed" in run(program, "--task", "fn-add", "--yes").output


def test_escape_codes_of_an_answer_stay_out_of_the_terminal(answers):
    file = answers / "oui-ou-non.md"
    file.write_text("\x1b[2J\x1b[31mnon")
    assert "\x1b" not in run(file).output


@pytest.mark.parametrize("words", [["gone.md"], ["."], ["sum.md", "--task", "no-such"]])
def test_a_mistake_is_one_line(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sum.md").write_text("5") if words[0] == "sum.md" else None
    done = run(*words)
    assert done.exit_code == 1
    assert len(done.output.strip().splitlines()) == 1
