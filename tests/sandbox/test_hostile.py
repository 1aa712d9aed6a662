"""Hostile programs, each in every tier of this machine that claims to contain what it does.

What each tries stands in the first line of its file in tests/hostile. A program says ``ESCAPED`` where it can see that
it got through; the scene looks where only the outside can. ``WORKBOOK_REQUIRE=sandbox`` asks for bubblewrap.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from scene import MARK, Scene

from programs.judge import box
from programs.judge.box import bubblewrap

PROGRAMS = Path(__file__).resolve().parents[1] / "hostile"
TIERS = {tier.name: tier for tier in box.tiers()}
MOST = box.Limits().processes
HELD = "memory harness signal"
"""How a program ends that holds memory which no process shows: by the supervisor's look, or the kernel's."""


@dataclass(frozen=True)
class Hostile:
    """One program: what it needs a tier to contain, how it may end, what it leaves.

    ``free``: it may run outside any sandbox here, where it must be seen to escape.
    """

    name: str
    needs: str
    how: str = "exit"
    free: bool = False
    timeout_s: float = 30
    code: int | None = None
    kept: tuple[str, ...] | None = None
    refused: int = 0
    tasks: bool = False  # its processes and threads are counted while it runs


TABLE = (
    # The network, the user's files, keys
    Hostile("network", "network", free=True),
    Hostile("host_sockets", "network files", free=True),
    Hostile("read_home", "files", free=True),
    Hostile("read_keys", "environment processes", free=True),
    Hostile("write_outside", "files", free=True),
    Hostile("kernel_files", "files"),
    Hostile("mounts", "files"),
    Hostile("become_root", "files processes"),
    # Other processes, and the supervisor
    Hostile("kill_others", "processes", "exit signal", free=True),
    Hostile("ptrace", "processes"),
    Hostile("kill_supervisor", "processes"),
    Hostile("forge_answer", "processes", code=5),
    # Bombs
    Hostile("fork_bomb", "forks", "timeout", timeout_s=1, tasks=True),
    Hostile("fork_many", "forks", tasks=True, free=True),
    Hostile("fork_chain", "forks time", "exit timeout", timeout_s=1),
    Hostile("thread_bomb", "forks", tasks=True, free=True),
    Hostile("memory_bomb", "memory", "memory"),
    Hostile("memory_many", "memory forks", "memory"),
    Hostile("memfd_bomb", "memory forks", HELD),
    Hostile("segments_bomb", "memory processes", HELD),
    Hostile("sockets_full", "memory forks", HELD),
    Hostile("shm_bomb", "disk files", "exit memory"),
    Hostile("disk_bomb", "disk", "exit output"),
    Hostile("inode_bomb", "disk", "output"),
    Hostile("endless_stdout", "output", "output"),
    # Time, and what it leaves
    Hostile("ignore_signals", "output", "timeout", timeout_s=1),
    Hostile("daemon", "time"),
    Hostile("links", "output", kept=(), refused=9),
    Hostile("names", "output", kept=("-rf", "a\nb\rc", "\u202egpj.exe"), refused=4),
    Hostile("plant_modules", "output"),
    Hostile("escape_codes", "output", kept=()),
)
CLAIMED = [
    (tier, row) for tier in TIERS.values() if tier.available for row in TABLE if tier.contains >= {*row.needs.split()}
]
CLAIMED += [(tier, TABLE[0]) for tier in TIERS.values() if not tier.available]  # one line says that it is not there


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_TEST_KEY", MARK)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # where no other test leaves anything
    made = Scene(tmp_path / "home", tmp_path / "target")
    yield made
    made.close()


def escaped(scene, stdout, rest=b""):
    """What is not as it must be, in words; the same for a contained program and for one that is not."""
    found = [line for line in stdout.decode(errors="replace").splitlines() if "ESCAPED" in line] + scene.reached()
    return found + ["it has what is not for programs"] * (MARK.encode() in stdout + rest)


def run(row, tier, scene):
    """The run, and the most processes and threads of it that were alive at once."""
    most, over = [0], threading.Event()

    def count():
        while not over.wait(0.005):
            most[0] = max(most[0], scene.tasks())

    counter = threading.Thread(target=count)
    if row.tasks:
        counter.start()
    ended = box.run(
        PROGRAMS / f"{row.name}.py", consent=True, tier=tier, args=[scene.words(True)],
        limits=box.Limits(timeout_s=row.timeout_s, memory_mb=1024 if row.tasks else 256),
    )  # fmt: skip
    over.set()
    return ended, most[0]


@pytest.mark.parametrize(("tier", "row"), CLAIMED, ids=lambda value: value.name)
def test_contained(tier, row, scene, needs_tier):
    needs_tier(tier)
    ended, most = run(row, tier.name, scene)
    assert escaped(scene, ended.stdout, ended.stderr + b"".join(ended.files.values())) == []
    assert ended.how in row.how.split(), ended
    assert ended.code == row.code or row.code is None
    assert row.kept is None or tuple(sorted(ended.files)) == row.kept
    assert len(ended.refused) >= row.refused
    assert len(ended.stdout) <= 1 << 20
    assert ended.seconds < row.timeout_s + 2
    assert most <= MOST
    assert most > 1 or not row.tasks  # they were seen at all
    assert scene.left() == []


@pytest.mark.parametrize("row", [row for row in TABLE if row.free], ids=lambda row: row.name)
def test_the_check_sees_who_is_not_contained(row, scene, tmp_path):
    (tmp_path / "box").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", PROGRAMS / f"{row.name}.py", scene.words(False)], cwd=tmp_path / "box", timeout=60,
        stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, "HOME": str(scene.home)},
    )  # fmt: skip
    time.sleep(0.05)
    assert escaped(scene, done.stdout) != []


def test_the_check_sees_a_fork_bomb_that_is_not_capped(scene, needs_tier, monkeypatch):
    needs_tier(TIERS["bubblewrap"])
    monkeypatch.setattr(bubblewrap, "counted", lambda: False)
    ended, _ = run(next(row for row in TABLE if row.name == "fork_bomb"), "bubblewrap", scene)
    assert (ended.how, ended.why) == (
        "signal",
        f"more than {MOST} processes",
    )  # the supervisor's look, where it holds at all
    assert scene.left() == []


def test_every_program_has_its_row():
    assert sorted(path.stem for path in PROGRAMS.glob("*.py")) == sorted(row.name for row in TABLE)
