"""The set-up: what it refuses before it starts, and what it knows of an earlier one."""

import ast
import importlib.util
import json
import os
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


def fake_python(folder, answer):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho {answer}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_can_read_the_script_and_be_told():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("answer", ["3 10", "3 14", "2 7", "nonsense", ""])
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


def test_a_light_set_up_stays_one_where_there_is_no_compiler(copy, monkeypatch, capsys):
    environment.make_venv(sys.executable)
    environment.note(environment.fingerprint(sys.executable), {"base", "models", "project"})
    monkeypatch.setenv("PATH", str(copy))
    monkeypatch.delenv("CXX", raising=False)
    assert environment.install(sys.executable, light=False, test=False) is False
    assert "light set-up stays" in capsys.readouterr().out


def test_a_full_disk_is_said_before_anything_is_written(copy, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    with pytest.raises(environment.Stop, match=r"0\.1 GB are free"):
        environment.install(sys.executable, light=True, test=False)
    assert not (copy / ".venv").exists()


def test_a_finished_set_up_is_known_and_a_changed_lock_forgets_it(copy):
    (copy / ".venv").mkdir()
    now = environment.fingerprint(sys.executable)
    environment.note(now, {"base", "models"})
    assert environment.parts_done(now) == {"base", "models"}
    with (copy / "models.lock").open("a") as file:
        file.write("\n")
    assert environment.parts_done(environment.fingerprint(sys.executable)) == set()


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"parts": ["base"]}', '{"fingerprint": "x", "parts": ["base"]}'])
def test_a_stamp_that_says_nothing_of_this_state_counts_for_nothing(copy, stamp):
    (copy / ".venv").mkdir()
    (copy / ".venv" / "workbook.json").write_text(stamp)
    assert environment.parts_done(environment.fingerprint(sys.executable)) == set()


def test_a_broken_venv_is_made_again(copy):
    environment.make_venv(sys.executable)
    python = Path(environment.in_venv("python"))
    marker = copy / ".venv" / "kept"
    marker.touch()
    environment.make_venv(sys.executable)
    assert marker.exists(), "a sound one is left alone"
    python.unlink()
    environment.make_venv(sys.executable)
    assert python.exists()
    assert not marker.exists()


def half_unpacked(copy, step):
    environment.make_venv(sys.executable)
    site = next((copy / ".venv").glob("[Ll]ib*/**/site-packages"))
    for name in ("llama_cpp", "llama_cpp_python-0.3.36.dist-info", "numpy"):
        (site / name).mkdir()
    with pytest.raises(KeyboardInterrupt), environment.unfinished(step):
        raise KeyboardInterrupt
    environment.clear_half_unpacked()
    return site


def test_what_a_kill_left_half_unpacked_is_not_taken_for_installed(copy):
    site = half_unpacked(copy, "embedded")
    assert not list(site.glob("llama_cpp*"))
    assert (site / "numpy").exists(), "the finished steps stay"
    assert not (copy / ".venv" / "unpacking").exists()


def test_packages_left_half_unpacked_are_made_again(copy):
    half_unpacked(copy, "base")
    assert not (copy / ".venv").exists()


def test_a_step_that_ended_well_leaves_no_mark(copy):
    environment.make_venv(sys.executable)
    with environment.unfinished("base"):
        assert Path(environment.UNPACKING).exists()
    environment.clear_half_unpacked()
    assert Path(environment.in_venv("python")).exists()


def test_a_step_that_failed_before_unpacking_costs_nothing(copy):
    environment.make_venv(sys.executable)
    with pytest.raises(environment.Stop), environment.unfinished("base"):
        raise environment.Stop("the package index could not be reached")
    environment.clear_half_unpacked()
    assert Path(environment.in_venv("python")).exists()


def test_two_set_ups_at_once_are_refused(copy):
    with environment.alone(), pytest.raises(environment.Stop, match="another set-up"), environment.alone():
        pass
    with environment.alone():
        pass


def test_a_moved_checkout_is_noticed(copy, monkeypatch, tmp_path_factory):
    environment.make_venv(sys.executable)
    environment.note(environment.fingerprint(sys.executable), {"base"})
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    copy.rename(moved)
    for name, path in (("ROOT", moved), ("VENV", moved / ".venv"), ("STAMP", moved / ".venv" / "workbook.json")):
        monkeypatch.setattr(environment, name, str(path))
    assert environment.parts_done(environment.fingerprint(sys.executable)) == set()
    assert not environment.is_sound(sys.executable)
    moved.rename(copy)


def test_a_folder_without_the_wheel_is_refused(copy, tmp_path_factory):
    environment.make_venv(sys.executable)
    with pytest.raises(environment.Stop, match="has no llama-cpp-python"):
        environment.prebuilt("0.3.36", str(tmp_path_factory.mktemp("empty")))


def test_the_lock_is_read_row_by_row(copy):
    rows = environment.lock("requirements.lock")
    names = [name for name, _ in rows]
    assert len(names) == (copy / "requirements.lock").read_text().count("==") - sum(
        text.split("\\")[0].count("==") - 1 for _, text in rows
    )
    assert environment.LLAMA in names
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


def test_the_stamp_is_whole_json(copy):
    (copy / ".venv").mkdir()
    environment.note("f", {"b", "a"})
    assert json.loads((copy / ".venv" / "workbook.json").read_text()) == {"fingerprint": "f", "parts": ["a", "b"]}
    assert [p.name for p in (copy / ".venv").iterdir()] == ["workbook.json"]
