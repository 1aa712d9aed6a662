"""The set-up: what it refuses before it starts, and what it knows of an earlier one."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "environment.py"
spec = importlib.util.spec_from_file_location("environment", SCRIPT)
environment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(environment)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The set-up, in a tree of its own."""
    for name in ("requirements.lock", "requirements-test.lock", "models.lock", "pyproject.toml"):
        shutil.copy(SCRIPT.parents[1] / name, tmp_path)
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    monkeypatch.setattr(environment, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(environment, "STAMP", str(tmp_path / ".venv" / "workbook.json"))
    monkeypatch.setattr(environment, "UNPACKING", str(tmp_path / ".venv" / "unpacking"))
    monkeypatch.setattr(environment, "LOG", str(tmp_path / "setup.log"))
    monkeypatch.delenv("WORKBOOK_WHEELS", raising=False)
    return tmp_path


@pytest.fixture
def venv(copy):
    """What a set-up leaves of an environment, quicker than a real one."""
    folder = copy / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    folder.mkdir(parents=True)
    Path(environment.in_venv("python")).touch()
    site = copy / ".venv" / "lib" / "python3" / "site-packages"
    for name in ("llama_cpp", "llama_cpp_python-0.3.36.dist-info", "numpy"):
        (site / name).mkdir(parents=True)
    return copy / ".venv"


def fake_python(folder, answer):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho {answer}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_can_read_the_script_and_be_told():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("answer", ["3 10", "3 14", ""])
def test_a_python_that_does_not_fit_is_refused(tmp_path, answer):
    named = fake_python(tmp_path, answer)
    done = subprocess.run([sys.executable, SCRIPT, "--python", named], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("Not set up: Python 3.11 to 3.13 is needed")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("answer", ["3 11", "3 13"])
def test_a_python_that_fits_is_taken(tmp_path, answer):
    named = fake_python(tmp_path, answer)
    assert environment.choose_python(named) == named


def test_without_a_compiler_it_says_so_and_names_the_ways_on(copy, monkeypatch):
    monkeypatch.setenv("PATH", str(copy))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(environment.Stop, match="compiler") as caught:
        environment.check_before(sys.executable, light=False, parts=set())
    assert "LIGHT=1" in str(caught.value)
    assert "WORKBOOK_WHEELS" in str(caught.value)
    environment.check_before(sys.executable, light=True, parts=set())
    environment.check_before(sys.executable, light=False, parts={"embedded"})
    monkeypatch.setenv("WORKBOOK_WHEELS", str(copy))
    environment.check_before(sys.executable, light=False, parts=set())


def test_a_light_set_up_stays_one_where_there_is_no_compiler(copy, venv, monkeypatch, capsys):
    environment.note(environment.fingerprint(sys.executable), {"base", "models", "project"})
    monkeypatch.setattr(environment, "llama_is_there", lambda rows: False)
    monkeypatch.setenv("PATH", str(copy))
    monkeypatch.delenv("CXX", raising=False)
    assert environment.install(sys.executable, light=False, test=False) is False
    assert "light set-up stays" in capsys.readouterr().out


def test_a_full_disk_is_said_before_anything_is_written(copy, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    with pytest.raises(environment.Stop, match=r"0\.1 GB are free"):
        environment.install(sys.executable, light=True, test=False)
    assert not (copy / ".venv").exists()


def test_a_finished_set_up_is_known_and_a_changed_lock_forgets_it(copy, venv):
    now = environment.fingerprint(sys.executable)
    environment.note(now, {"base", "models"})
    assert environment.parts_done(now) == {"base", "models"}
    with (copy / "models.lock").open("a") as file:
        file.write("\n")
    assert environment.parts_done(environment.fingerprint(sys.executable)) == set()
    for stamp in ("", "{", "[]", '{"parts": ["base"]}', '{"fingerprint": "x", "parts": ["base"]}'):
        Path(environment.STAMP).write_text(stamp)
        assert environment.parts_done(environment.fingerprint(sys.executable)) == set()


def test_a_broken_or_moved_venv_is_made_again(copy, monkeypatch, tmp_path_factory):
    """With the real venv and pip: the one test of them."""
    environment.make_venv(sys.executable)
    environment.note(environment.fingerprint(sys.executable), {"base"})
    assert environment.is_sound(sys.executable)
    with pytest.raises(environment.Stop, match="has no llama-cpp-python"):
        environment.prebuilt("0.3.36", str(tmp_path_factory.mktemp("empty")))
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    copy.rename(moved)
    for name, path in (("ROOT", moved), ("VENV", moved / ".venv"), ("STAMP", moved / ".venv" / "workbook.json")):
        monkeypatch.setattr(environment, name, str(path))
    assert environment.parts_done(environment.fingerprint(sys.executable)) == set()
    assert not environment.is_sound(sys.executable)
    moved.rename(copy)
    monkeypatch.setattr(environment, "VENV", str(copy / ".venv"))
    Path(environment.in_venv("python")).unlink()
    assert not environment.is_sound(sys.executable)
    monkeypatch.setattr(environment.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 0))
    environment.make_venv(sys.executable)
    assert not (copy / ".venv").exists(), "cleared, to be made again"


def killed_in(step):
    with pytest.raises(KeyboardInterrupt), environment.unfinished(step):
        raise KeyboardInterrupt
    environment.clear_half_unpacked()


def test_what_a_kill_left_half_unpacked_is_not_taken_for_installed(venv):
    killed_in("embedded")
    site = venv / "lib" / "python3" / "site-packages"
    assert [path.name for path in site.iterdir()] == ["numpy"], "the finished steps stay"
    assert not (venv / "unpacking").exists()
    killed_in("base")
    assert not venv.exists(), "packages are made again"


def test_a_step_that_ended_or_failed_before_unpacking_costs_nothing(venv):
    with environment.unfinished("base"):
        assert Path(environment.UNPACKING).exists()
    with pytest.raises(environment.Stop), environment.unfinished("base"):
        raise environment.Stop("the package index could not be reached")
    environment.clear_half_unpacked()
    assert Path(environment.in_venv("python")).exists()


def test_two_set_ups_at_once_are_refused(copy):
    with environment.alone(), pytest.raises(environment.Stop, match="another set-up"), environment.alone():
        pass
    with environment.alone():
        pass


def test_the_lock_is_read_row_by_row(copy):
    rows = environment.lock("requirements.lock")
    assert len(rows) == len(re.findall(r"^[A-Za-z0-9][\w.-]*==", (copy / "requirements.lock").read_text(), re.M))
    assert environment.LLAMA in [name for name, _ in rows]
    assert all("--hash=sha256:" in text for _, text in rows)


@pytest.mark.parametrize(
    ("tail", "word"),
    [
        (["ERROR: Could not find a version", "ERROR: No matching distribution found for numpy==2"], "network"),
        (["OSError: [Errno 28] No space left on device"], "disk is full"),
        (["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."], "Do not install"),
        (["error: command 'c++' failed", "ERROR: Failed to build llama-cpp-python"], "setup.log"),
        ([], "setup.log"),
    ],
)
def test_why_pip_failed_is_one_line(tail, word):
    line = environment.explain(tail)
    assert word in line
    assert "\n" not in line


@pytest.mark.skipif(os.name == "nt", reason="make is not Windows' way")
def test_make_says_which_python_is_missing(tmp_path):
    done = subprocess.run(
        ["make", "doctor", "PYTHON=no-such-python"], cwd=SCRIPT.parents[1], capture_output=True, text=True, timeout=60
    )
    assert done.returncode
    assert "there is no no-such-python" in done.stderr
