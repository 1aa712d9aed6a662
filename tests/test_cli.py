"""The command: quick to answer, one line for a mistake, the right call behind each subcommand."""

import json
import os
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from programs import bench, cli
from programs.bench import session
from programs.site import build as site
from programs.site import lab, refresh, run
from workbook import alone, models, pages, paths
from workbook.errors import BadPage, NoModel
from workbook.stores import LocalModel, SkippedFile

HEAVY = {"llama_cpp", "numpy", "pandas", "matplotlib", "pydantic", "nbformat", "nbclient", "jupyter_client", "IPython",
         "ollama", "openai", "httpx", "psutil", "yaml", "gguf", "sphinx", "ipywidgets", "papermill", "rich"}  # fmt: skip


@pytest.fixture(autouse=True)
def _lock_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))


def call(*words):
    return CliRunner().invoke(cli.app, list(words))


@pytest.mark.parametrize("code", ["import workbook", "import programs.cli", "import workbook.errors, workbook.paths"])
def test_imports_are_light(code):
    started = time.perf_counter()
    asked = f"{code}, sys, json; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    print(f"{code}: {time.perf_counter() - started:.2f} s with the start of Python")
    assert set(json.loads(done.stdout)) & HEAVY == set()


def test_help_imports_nothing_heavy():
    code = ("import sys\nfrom programs.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
            "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    for name in ("doctor", "run", "refresh", "bench", "results", "site", "lab", "models"):
        assert f"\n  {name} " in done.stdout
    assert {name for name in HEAVY if f"'{name}'" in done.stderr} == set()


def test_nothing_that_windows_lacks():
    done = subprocess.run(
        [sys.executable, "-c", "import sys\nfor name in ('fcntl', 'pwd', 'grp', 'resource', 'termios'):\n"
         "    sys.modules[name] = None\nimport programs.cli, workbook.pages, workbook.leaks, programs.site.build, programs.site.lab"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_mistake_is_one_line_and_exit_1():
    result = call("run", "99")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("BadPage: There is no page '99'. Pages: 00")
    assert result.stderr.count("\n") == 1
    assert call("nothing").exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (NoModel("none. Install one."), 1, "NoModel: none. Install one.\n"),
        (KeyboardInterrupt(), 130, "Stopped. What was finished is kept.\n"),
    ],
)
def test_how_commands_end(monkeypatch, error, code, says):
    def stop(*_):
        raise error

    monkeypatch.setattr(session, "record", stop)
    result = call("bench")
    assert (result.exit_code, result.stderr) == (code, says)


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(site, "build", lambda: 1 / 0)
    assert isinstance(call("site").exception, ZeroDivisionError)


def test_bench_passes_its_options_on(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(session, "record", lambda *options: seen.extend(options))
    words = [
        "--engine",
        "ollama",
        "--model",
        "phi3",
        "--repetitions",
        "7",
        "--prompt-tokens",
        "16",
        "--gen-tokens",
        "8",
        "--host",
        "box",
        "--pull",
    ]
    assert call("bench", *words, "--results", str(tmp_path)).exit_code == 0
    plan, *rest = seen
    assert (plan.models[0].name, plan.repetitions, [p.id for p in plan.prompts]) == (
        "phi3",
        7,
        ["pp16", "tg8", "chat-story"],
    )
    assert rest[:-1] == ["ollama", "box", tmp_path, False, True, False, True], "without a plan it always begins anew"
    assert call("bench", "--repetitions", "0").exit_code == 2


def test_results_of_the_example(monkeypatch):
    example = paths.data() / "results" / "example"
    listed = call("results", "list", "--folder", str(example))
    assert listed.exit_code == 0
    run_id = bench.store.load(example).records[0].run_id
    assert run_id in listed.stdout
    shown = call("results", "show", run_id[:6], "--folder", str(example))
    assert "pp512" in shown.stdout
    assert call("results", "check", "--folder", str(example)).exit_code == 0
    assert call("results", "show", "zzz", "--folder", str(example)).exit_code == 1


def test_results_that_are_damaged(tmp_path):
    (tmp_path / "x.jsonl").write_text("{not json\n", encoding="utf-8")
    result = call("results", "check", "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert "x.jsonl:1" in result.stdout
    assert "No records yet" in call("results", "list", "--folder", str(tmp_path / "empty")).stdout


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
    monkeypatch.setattr(
        run, "run", lambda wanted, say, engine: seen.append([page.number for page in wanted] + [engine])
    )
    monkeypatch.setattr(refresh, "refresh", lambda wanted, say: seen.append(["refresh", *(p.number for p in wanted)]))
    monkeypatch.setattr(refresh, "check", lambda wanted, say: seen.append(["check", *(p.number for p in wanted)]))
    every = [page.number for page in pages.pages()]
    for words in (["run"], ["run", "00"], ["refresh", "00"], ["refresh", "--check"]):
        assert call(*words).exit_code == 0
    assert seen == [[*every, "what answers"], ["00", "what answers"], ["refresh", "00"], ["check", *every]]


def test_doctor_says_by_its_exit_code(monkeypatch):
    from workbook import doctor

    monkeypatch.setattr(doctor, "main", lambda: 1)
    assert call("doctor").exit_code == 1
    monkeypatch.setattr(doctor, "main", lambda: 0)
    assert call("doctor").exit_code == 0


def test_lab_opens_the_first_page(monkeypatch):
    words = lab.command(browser=True)
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in words
    assert "--no-browser" not in words
    assert "--no-browser" in lab.command(browser=False)
    assert ("--allow-root" in words) == (hasattr(os, "geteuid") and os.geteuid() == 0)
    monkeypatch.setattr(lab, "FIRST", "nothing.ipynb")
    with pytest.raises(BadPage, match="whole checkout"):
        lab.command(browser=True)


def test_lab_without_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not lab.can_open_browser()


def test_lab_prints_its_address_and_ends(tmp_path):
    """The real JupyterLab, on a free port, until its address is there."""
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path),
           "JUPYTER_DATA_DIR": str(tmp_path), "JUPYTERLAB_SETTINGS_DIR": str(tmp_path)}  # fmt: skip
    server = subprocess.Popen(
        [*lab.command(browser=False), "--ServerApp.port=0"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said = ""
        for line in server.stdout:
            said += line
            if "token=" in line:
                break
        assert "http://127.0.0.1:" in said or "http://localhost:" in said, said
        assert "00_start_here.ipynb" in said
    finally:
        server.kill()
        server.wait(timeout=20)


def test_a_second_benchmark_is_refused_while_the_first_is_at_work():
    with alone.alone(paths.cache() / "bench.lock", "benchmark"):
        result = call("bench")
    assert result.exit_code == 1
    assert result.stderr.startswith("NotAlone: another benchmark is at work")
