"""Hostile programs, each in every tier of this machine that claims to contain what it does."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hostile_scene import MARK, Scene
from hostile_table import GROUPS, PROGRAMS, TABLE, Hostile

from programs.judge import box
from programs.judge.box import Ended

if os.name == "nt":
    pytest.skip("the hostile programs are written for Linux and macOS", allow_module_level=True)

TIERS = {tier.name: tier for tier in box.tiers()}
CLAIMED = [(tier, row) for tier in TIERS.values() for row in TABLE if row.needs <= tier.contains and tier.available]
CLAIMED += [(tier, TABLE[0]) for tier in TIERS.values() if not tier.available]  # one line says that it is not there


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_TEST_KEY", MARK)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # where no other test leaves anything
    made = Scene(tmp_path / "home", tmp_path / "target")
    yield made
    made.close()


def wrong(row: Hostile, ended: Ended, scene: Scene) -> list[str]:
    """What is not as it must be, in words; the same for a contained program and for one that is not."""
    found = [line for line in ended.stdout.decode(errors="replace").splitlines() if "ESCAPED" in line]
    if row.effect and row.effect(ended, scene):
        found.append("it was seen to get through")
    if MARK.encode() in ended.stdout + ended.stderr + b"".join(ended.files.values()):
        found.append("it has what is not for programs")
    return found


@pytest.mark.parametrize(("tier", "row"), CLAIMED, ids=lambda value: value.name)
def test_contained(tier, row, scene, needs_tier):
    needs_tier(tier)
    ended = box.run(
        PROGRAMS / f"{row.name}.py", consent=True, tier=tier.name, timeout_s=row.timeout_s, args=[scene.words],
        memory_mb=row.memory_mb, packages=False,
    )  # fmt: skip
    assert wrong(row, ended, scene) == []
    assert ended.how in row.how, ended
    assert ended.tier == tier.name
    assert [look.__qualname__ for look in row.seen if not look(ended, scene)] == [], ended
    assert b"Traceback" not in ended.stderr or ended.how != "exit" or ended.code != 0
    assert ended.seconds < row.timeout_s + 2
    assert scene.left() == []


@pytest.mark.parametrize("row", [row for row in TABLE if row.free], ids=lambda row: row.name)
def test_the_check_sees_who_is_not_contained(row, scene, tmp_path):
    (tmp_path / "box").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", PROGRAMS / f"{row.name}.py", scene.words], cwd=tmp_path / "box", timeout=60,
        stdin=subprocess.DEVNULL, capture_output=True,
        env={**os.environ, "HOME": str(scene.home)},
    )  # fmt: skip
    ended = Ended("exit", done.returncode, done.stdout, done.stderr, {}, 0.0, "none", False)
    if row.name == "tcp6_out" and scene.tcp6 == 1:
        pytest.skip("no IPv6 here")
    assert wrong(row, ended, scene) != []


def test_every_program_has_its_row():
    assert sorted(path.stem for path in PROGRAMS.glob("*.py")) == sorted(row.name for row in TABLE)
    assert sorted(" ".join(GROUPS.values()).split()) == sorted(row.name for row in TABLE)
    assert len(TABLE) >= 40
    assert all(Path(PROGRAMS / f"{row.name}.py").stat().st_size < 4096 and row.tries for row in TABLE)
