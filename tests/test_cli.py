"""The command: quick to answer, one line for a mistake, the right call behind each subcommand."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from programs import cli
from programs.site import build as site
from programs.site import check, refresh, run
from workbook import models, pages, paths
from workbook.errors import NoModel
from workbook.stores import LocalModel, SkippedFile

HEAVY = {"llama_cpp", "numpy", "pandas", "matplotlib", "pydantic", "nbformat", "nbclient", "jupyter_client", "IPython",
         "ollama", "openai", "httpx", "psutil", "yaml", "gguf", "sphinx", "ipywidgets", "papermill", "rich"}  # fmt: skip
ABSENT = {"fcntl", "pwd", "grp", "resource", "termios"}  # on Windows


@pytest.fixture(autouse=True)
def _lock_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))


def call(*words):
    return CliRunner().invoke(cli.app, list(words))


def test_help_imports_nothing_heavy_and_nothing_that_windows_lacks():
    code = (f"import sys\nfor name in {ABSENT}:\n    sys.modules[name] = None\nfrom programs.cli import app\n"
            "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
            "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
            "import workbook.pages, workbook.leaks, programs.site.build")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("doctor", "run", "refresh", "bench", "results", "site", "lab", "voila", "serve", "models", "grade"):
        assert f"\n  {name} " in done.stdout
    assert {name for name in HEAVY if f"'{name}'" in done.stderr} == set()


def test_a_mistake_is_one_line_and_exit_1():
    result = call("run", "88")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("BadPage: There is no page '88'. Pages: 00")
    assert result.stderr.count("\n") == 1
    assert call("nothing").exit_code == 2
    assert call("results", "show", "\x1b[31m").stderr.startswith("BadOption: ")
    assert "\x1b" not in call("results", "show", "\x1b[31m").stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (NoModel("none. Install one."), 1, "NoModel: none. Install one.\n"),
        (PermissionError(13, "Permission denied", str(paths.data())), 1, "PermissionError: data: Permission denied.\n"),
        (KeyboardInterrupt(), 130, "Stopped. What was finished is kept.\n"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_how_commands_end(monkeypatch, error, code, says):
    def stop():
        raise error

    monkeypatch.setattr(site, "build", stop)
    monkeypatch.setattr(cli.shared.os, "dup2", lambda *_: None)
    monkeypatch.setattr(cli.shared.sys.stdout.__class__, "fileno", lambda self: 1, raising=False)
    result = call("site")
    assert (result.exit_code, result.stderr) == (code, says)


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(site, "build", lambda: 1 / 0)
    assert isinstance(call("site").exception, ZeroDivisionError)


def test_models_are_listed(monkeypatch, tmp_path):
    found = [
        LocalModel("small", tmp_path, "packaged", 98_362_432, "llama", "Q4_1", 1),
        LocalModel("odd", tmp_path, "x", 1, "y", None, 1),
    ]
    monkeypatch.setattr(models, "local_ggufs", lambda: found)
    monkeypatch.setattr(models, "skipped_ggufs", lambda: [SkippedFile("bad", "x", "it is cut")])
    lines = call("models").stdout.splitlines()
    assert lines == ["   0.10 GB  Q4_1      small", "   0.00 GB  ?         odd", "  left out  bad: it is cut"]
    monkeypatch.setattr(models, "local_ggufs", list)
    assert "No model file found." in call("models").stdout


def test_run_and_refresh_take_the_pages_that_are_named(monkeypatch):
    seen = []
    monkeypatch.setattr(run, "engine_line", lambda say: "what answers")
    for module, name in ((run, "run"), (refresh, "refresh"), (check, "check")):

        def note(wanted, *rest, name=name):
            seen.append([name, *(page.number for page in wanted), *rest[2:]])

        monkeypatch.setattr(module, name, note)
    every = [page.number for page in pages.pages()]
    for words in (["run"], ["run", "00"], ["refresh", "00"], ["refresh", "--check"]):
        assert call(*words).exit_code == 0
    assert seen == [
        ["run", *every, "what answers"],
        ["run", "00", "what answers"],
        ["refresh", "00"],
        ["check", *every],
    ]


@pytest.mark.parametrize("code", [0, 1])
def test_doctor_says_by_its_exit_code(monkeypatch, code):
    from workbook import doctor

    monkeypatch.setattr(doctor, "main", lambda: code)
    assert call("doctor").exit_code == code
