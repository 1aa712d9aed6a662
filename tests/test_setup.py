"""The set-up: what it refuses before it starts, what it knows of an earlier one, and what it says of the second step."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbook.engines import native

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "environment.py"
spec = importlib.util.spec_from_file_location("environment", SCRIPT)
environment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(environment)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The set-up, in a tree of its own."""
    for name in ("requirements.lock", "requirements-test.lock", "models.lock", "pyproject.toml"):
        shutil.copy(SCRIPT.parents[1] / name, tmp_path)
    (tmp_path / "build").mkdir()
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    monkeypatch.setattr(environment, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(environment, "LOG", str(tmp_path / "build" / "setup.log"))
    environment.uv_environment.cache_clear()
    for name in ("WORKBOOK_WHEELS", "LIGHT", "CXX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def venv(copy, monkeypatch):
    """An environment with a uv that runs the program that the test writes, quicker than a real one."""
    folder = copy / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    folder.mkdir(parents=True)
    Path(environment.in_venv("python")).symlink_to(sys.executable)
    monkeypatch.setattr(environment, "make_venv", lambda python: None)
    return copy / ".venv"


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_can_read_the_script_and_be_told():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("answer", ["(3, 10)", "(3, 14)", ""])
def test_a_python_that_does_not_fit_is_refused(tmp_path, answer):
    named = program(tmp_path / "python", f"echo '{answer}'")
    done = subprocess.run([sys.executable, SCRIPT, "--python", named], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("Not set up: Python 3.11 to 3.13 is needed")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_python_that_fits_is_taken_whatever_it_warns_of(tmp_path):
    named = program(tmp_path / "python", "echo '(3, 13)'; echo 'a warning' >&2")
    assert environment.choose_python(named) == named


def test_a_full_disk_is_said_before_anything_is_written(copy, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    with pytest.raises(environment.Stop, match=r"0\.1 GB are free"):
        environment.everything_else(sys.executable, test=False)
    assert not (copy / ".venv").exists()


def test_a_finished_first_step_is_known_and_a_changed_lock_forgets_it(copy, venv, monkeypatch):
    asked = []
    monkeypatch.setattr(environment, "uv", lambda label, *_: asked.append(label))
    (copy / "workbook").mkdir()
    (copy / "workbook" / "models.py").write_text("packaged = minilm = lambda: None")
    monkeypatch.setenv("PYTHONPATH", str(copy))
    for test in (False, False, True, False):
        environment.everything_else(sys.executable, test)
    assert len(asked) == 4, "packages and the workbook, once for the pages and once with the tools"
    with (copy / "models.lock").open("a") as file:
        file.write("\n")
    environment.everything_else(sys.executable, test=False)
    assert len(asked) == 6
    for damaged in ("", "{", "[]", '{"fingerprint": 1}'):
        (venv / "workbook.json").write_text(damaged)
        asked.clear()
        environment.everything_else(sys.executable, test=False)
        assert len(asked) == 2


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a shell script")
def test_what_a_kill_left_half_unpacked_is_not_taken_for_installed(copy, venv):
    """uv passes over a package whose record is there: measured, in 3 of 9 kills. It writes INSTALLER last."""
    site = venv / "lib" / "python3" / "site-packages"
    for name, whole in (("numpy-2.0", True), ("scipy-1.0", False), ("llama_cpp_python-0.3.36", False)):
        (site / f"{name}.dist-info").mkdir(parents=True)
        if whole:
            (site / f"{name}.dist-info" / "INSTALLER").touch()
    assert not environment.has_llama()
    program(venv / "bin" / "uv", "echo 'error: stopped'; exit 1")
    with pytest.raises(environment.Stop, match=r"stopped.*setup\.log"):
        environment.everything_else(sys.executable, test=False)
    assert [path.name for path in site.iterdir()] == ["numpy-2.0.dist-info"]


def test_a_broken_or_moved_venv_is_made_again(copy, monkeypatch, tmp_path_factory):
    """With the real venv, pip and uv: the one test of them."""
    environment.make_venv(sys.executable)
    made = (copy / ".venv" / "pyvenv.cfg").stat().st_ino
    environment.make_venv(sys.executable)
    assert (copy / ".venv" / "pyvenv.cfg").stat().st_ino == made, "a sound one stays"
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    copy.rename(moved)
    real, asked = subprocess.run, []

    def run(command, **how):
        asked.append(command[1:3])
        return real(["false"], **how) if "venv" in command else real(command, **how)

    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setattr(environment, "ROOT", str(moved))
    monkeypatch.setattr(environment, "VENV", str(moved / ".venv"))
    with pytest.raises(environment.Stop, match="cannot make environments"):
        environment.make_venv(sys.executable)
    assert asked[-1] == ["-m", "venv"]
    assert not (moved / ".venv").exists(), "cleared, to be made again"


def test_two_set_ups_at_once_wait_for_each_other(copy, capsys):
    with environment.alone():
        other = f"import fcntl, sys; fcntl.flock(open({environment.LOG + '.lock'!r}), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        if os.name != "nt":
            assert subprocess.run([sys.executable, "-c", other], stderr=subprocess.DEVNULL).returncode
        environment.in_background(sys.executable)
        assert "still being compiled" in capsys.readouterr().out
    with environment.alone():
        assert "waiting" not in capsys.readouterr().out


def test_the_lock_is_read_row_by_row(copy):
    text = (copy / "requirements.lock").read_text()
    rows = environment.lock("requirements.lock")
    assert set(rows) == {name.lower() for name in re.findall(r"^([A-Za-z0-9][\w.-]*)==", text, re.M)}
    assert environment.LLAMA in rows
    assert "".join(rows.values()).count("--hash") == text.count("--hash")


def test_uv_is_told_what_pip_is_configured_with(copy, venv, monkeypatch):
    Path(environment.in_venv("python")).unlink()
    said = [
        ":env:.index-url='https://two.example/simple'",
        "global.index-url='https://one.example/simple'",
        "global.extra-index-url='https://three.example/simple https://four.example/simple'",
        "install.trusted-host='one.example'",
        f"global.find-links='{copy} /no/such/folder'",
        "global.timeout='60'",
    ]
    program(Path(environment.in_venv("python")), "cat <<'E'\n" + "\n".join(said) + "\nE")
    for name in environment.UV_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    env = environment.uv_environment()
    assert env["UV_DEFAULT_INDEX"] == "https://two.example/simple", "the environment before the file, as for pip"
    assert env["UV_INDEX"] == "https://three.example/simple https://four.example/simple"
    assert (env["UV_INSECURE_HOST"], env["UV_FIND_LINKS"]) == ("one.example", str(copy))
    assert "SOURCE_DATE_EPOCH" not in env
    environment.uv_environment.cache_clear()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert environment.uv_environment()["UV_DEFAULT_INDEX"] == "https://uv.example/simple", "what uv was told itself"


NETWORK = ["error: Request failed after 3 retries in 6.5s", "cause: Failed to fetch: https://x.example/six/"]
HASH = ["error: Failed to download `six==1.17.0`", "cause: Hash mismatch for `six==1.17.0`", "Expected:", "sha256:0"]
DISK = ["error: Failed to write to the client cache", "cause: failed to write: No space left on device (os error 28)"]
BUILD = ["error: Failed to build `llama-cpp-python==0.3.36`", "cause: The build backend returned an error",
         "[stderr]", "CMake Error at CMakeLists.txt", "x.cpp:3: error: no such type", "ninja: build stopped"]  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "words"),
    [(NETWORK, r"index could not.*x\.example.*network"), (HASH, "Hash mismatch for.*Do not install"),
     (DISK, "disk is full"), (BUILD, r"build `llama.*x\.cpp:3: error: no such type.*setup\.log"), ([], "setup.log")],
)  # fmt: skip
def test_why_uv_failed_is_one_line(failure, words):
    assert re.fullmatch(f".*{words}.*", environment.explain(failure)), "a dot is no line feed"


# --- the second step, and what the pages say of it


@pytest.fixture
def missing(copy, venv, monkeypatch):
    """What `workbook` says in this environment."""
    monkeypatch.setattr(sys, "prefix", str(venv))
    return native.why_missing


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a shell script")
@pytest.mark.parametrize(
    ("uv", "words"),
    [("echo 'DEBUG [47/120] c++ x.cpp'; echo 'error: Failed to build'; echo 'x.cpp: error: no such type'; exit 1",
      "no such type"), (None, "there is no C\\+\\+ compiler")],
)  # fmt: skip
def test_a_compilation_that_fails_is_one_line_and_the_pages_say_why(copy, venv, missing, monkeypatch, uv, words):
    monkeypatch.setattr(environment, "can_have_llama", lambda: uv is not None)
    program(venv / "bin" / "uv", uv or "exit 3")
    with pytest.raises(environment.WithoutLlama, match=words) as caught:
        environment.llama()
    assert "\n" not in str(caught.value)
    assert re.fullmatch(f"llama-cpp-python could not be installed: .*{words}.* make lab", missing())


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a shell script")
def test_while_it_compiles_the_pages_say_how_far_it_is(copy, venv, missing):
    said = copy / "said.json"
    steps = f"echo 'DEBUG [47/120] c++ x.cpp'; sleep 0.5; cp {venv / environment.STATE} {said}"
    program(venv / "bin" / "uv", steps)
    environment.llama()
    state = json.loads(said.read_text())
    assert "a light set-up has no llama-cpp-python" in missing(), "the state goes with its end"
    environment.note(environment.STATE, **state)
    assert "step 47 of 120, started 0 min ago. Run this cell again" in missing()
    environment.note(environment.STATE, **{**state, "started": 0})  # before this process had its number
    assert "was stopped. To start it again: make lab" in missing()


@pytest.mark.skipif(os.name == "nt", reason="make is not Windows' way")
def test_make_says_which_python_is_missing():
    done = subprocess.run(
        ["make", "doctor", "PYTHON=no-such-python"], cwd=SCRIPT.parents[1], capture_output=True, text=True, timeout=60
    )
    assert done.returncode
    assert "there is no no-such-python" in done.stderr
