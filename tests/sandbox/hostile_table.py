"""The hostile programs of tests/hostile: what each needs a tier to contain, how it may end, what must be seen.

What each tries stands in the first line of its file. A program says ``ESCAPED`` where it can see that it got through;
``effect`` looks where only the outside can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hostile_scene import Scene

from programs.judge.box import Ended

PROGRAMS = Path(__file__).resolve().parents[1] / "hostile"
LONG, SHORT = 30.0, 1.0
"""Seconds: for programs that end by themselves, for those that must be ended."""

Look = Callable[[Ended, Scene], bool]


@dataclass(frozen=True)
class Hostile:
    """One program. ``free``: it may run outside any sandbox here, where it must be seen to escape."""

    name: str
    needs: frozenset[str]
    how: frozenset[str] = frozenset({"exit"})
    timeout_s: float = LONG
    effect: Look | None = None  # what it did outside, True when it got through
    seen: tuple[Look, ...] = ()  # what must be so
    free: bool = False
    memory_mb: int = 256
    pty: bool = False
    only: frozenset[str] = field(default=frozenset())  # tiers of which `seen` is asked; empty: all

    @property
    def tries(self) -> str:
        """Its first line: what it tries."""
        return (PROGRAMS / f"{self.name}.py").read_text(encoding="utf-8").split('"""')[1]


def row(name: str, needs: str, how: str = "exit", **more: object) -> Hostile:
    """A row, its sets written as words."""
    return Hostile(name, frozenset(needs.split()), frozenset(how.split()), **more)  # type: ignore[arg-type]


def tried(ended: Ended, scene: Scene) -> bool:
    """It came as far as it could."""
    return b"tried" in ended.stdout


def kept(name: str) -> Look:
    return lambda ended, scene: name in ended.files


def nothing_kept(ended: Ended, scene: Scene) -> bool:
    return not ended.files


def nothing_large(ended: Ended, scene: Scene) -> bool:
    return sum(map(len, ended.files.values())) < 1000


def refused(count: int) -> Look:
    return lambda ended, scene: len(ended.refused) >= count and ended.cut


def bounded(ended: Ended, scene: Scene) -> bool:
    return max(len(ended.stdout), len(ended.stderr), len(ended.report)) <= 1 << 20 and ended.cut


def code(number: int) -> Look:
    return lambda ended, scene: ended.code == number


def heard(ended: Ended, scene: Scene) -> bool:
    return bool(scene.heard())


def written(ended: Ended, scene: Scene) -> bool:
    return scene.target.exists()


def killed(ended: Ended, scene: Scene) -> bool:
    return not scene.victim_lives()


HELD = "memory harness signal"
"""How a program ends that holds memory which no process shows: by the watch, or by the kernel where that counts."""

TABLE = (
    # The network
    row("tcp_out", "network", effect=heard, seen=(tried,), free=True),
    row("tcp6_out", "network", effect=heard, seen=(tried,), free=True),
    row("udp_out", "network", effect=heard, free=True),
    row("dns", "network", effect=heard, free=True),
    row("listen", "network", seen=(tried,), free=True),
    row("unix_socket", "network files", effect=heard, seen=(tried,), free=True),
    row("abstract_socket", "network", effect=heard, seen=(tried,), free=True),
    row("interfaces", "network", free=True),
    # What it reads and writes
    row("read_home", "files", free=True),
    row("read_ssh", "files", seen=(tried,), free=True),
    row("read_keys", "environment", seen=(tried,), free=True),
    row("other_environ", "processes", free=True),
    row("read_checkout", "files", seen=(tried,), free=True),
    row("write_absolute", "files", effect=written, free=True),
    row("write_dotdot", "files", effect=written, seen=(tried,), free=True),
    row("write_system", "files", seen=(tried,)),
    row("kernel_files", "files", seen=(tried,)),
    row("mounts", "files", seen=(tried,)),
    row("become_root", "files processes", seen=(tried,)),
    # Other processes
    row("see_processes", "processes", seen=(tried,), free=True),
    row("kill_victim", "processes", effect=killed, free=True),
    row("kill_caller", "processes", seen=(tried,)),
    row("kill_all", "processes", "exit signal"),
    row("ptrace", "processes", seen=(tried,)),
    row("kill_guard", "time", "signal exit", timeout_s=LONG, seen=(tried,)),
    row("stop_guard", "time", "timeout", timeout_s=SHORT, seen=(tried,)),
    row("hold_first", "processes", "timeout", timeout_s=SHORT, seen=(tried,)),
    row("forge_guard", "processes", seen=(code(5), tried)),
    row("tiocsti", "processes", seen=(tried,)),
    row("set_time", "processes", seen=(tried,)),
    row("shared_segments", "processes", seen=(tried,)),
    # Bombs
    row("fork_bomb", "forks", "signal timeout memory", timeout_s=3),
    row("fork_chain", "time", "exit timeout", timeout_s=SHORT),
    row("thread_bomb", "memory", "exit signal memory timeout", timeout_s=5),
    row("memory_bomb", "memory", "memory"),
    row("memory_many", "memory forks", "memory"),
    row("memfd_bomb", "forks memory", "memory", timeout_s=LONG),
    row("memory_at_once", "memory", "memory", seen=(tried,)),
    row("zero_map", "memory", "memory"),
    row("fork_many", "memory forks", "signal memory", timeout_s=20),
    row("shared_unseen", "memory", HELD),
    row("segments_bomb", "memory processes", HELD),
    row("memfd_sent", "memory", HELD),
    row("backlog_bomb", "memory", HELD),
    row("sockets_full", "memory forks", HELD),
    row("pipe_pages", "memory", f"{HELD} exit"),
    row("pipes_full", "memory", f"{HELD} exit"),
    row("disk_bomb", "disk", "exit output"),
    row("inode_bomb_tmp", "disk files", "output", timeout_s=20),
    row("inode_bomb", "disk", "output exit timeout", timeout_s=10, seen=(refused(1),)),
    row("sparse_file", "output", seen=(tried, nothing_large, refused(1))),
    row("shm_bomb", "disk files", "exit memory"),
    row("many_descriptors", "memory", seen=(tried,)),
    row("endless_stdout", "output", "output", seen=(bounded,)),
    row("endless_stderr", "output", "output", seen=(bounded,)),
    row("endless_report", "output", "output", seen=(bounded,)),
    row("raise_limits", "memory", seen=(tried,)),
    # Time, and what stays
    row("ignore_signals", "time", "timeout", timeout_s=SHORT),
    row("sleep_forever", "time", "timeout", timeout_s=SHORT),
    row("burn", "time", "timeout", timeout_s=SHORT),
    row("stop_self", "time", "timeout", timeout_s=SHORT),
    row("read_forever", "time", seen=(tried,)),
    row("daemon", "time", seen=(tried,)),
    row("outlive", "processes time", "signal exit", seen=(tried,)),
    row("daemon_holds", "time", seen=(tried,)),
    # What it leaves
    row("symlinks", "output", seen=(tried, nothing_kept, refused(8))),
    row("hardlinks", "output", seen=(tried, nothing_kept, refused(2))),
    row("fifo_left", "output", seen=(tried, nothing_kept, refused(2))),
    row("device_left", "files", seen=(nothing_kept,)),
    row("huge_names", "output", seen=(tried, kept("-rf"), refused(3))),
    row("deep_folders", "output", seen=(tried, nothing_kept, refused(1))),
    row("zip_bomb", "output", seen=(tried, kept("answer.zip"))),
    row("plant_modules", "output", seen=(tried, kept("sitecustomize.py"))),
    row("overwrite_self", "output", seen=(tried, kept("program.py"))),
    row("escape_codes", "output"),
    row("bad_bytes", "output"),
    # How it says it ended
    row("exit_early", "output", seen=(code(0),)),
    row("exit_wrap", "output", seen=(code(7),)),
    row("exit_like_signal", "output", seen=(code(137),)),
    row("signal_self", "output", "signal", seen=(code(11),)),
    row("forge_status", "output", seen=(code(5),)),
    row("steal_report", "output", seen=(tried,)),
)

GROUPS = {
    "the network": "tcp_out tcp6_out udp_out dns listen abstract_socket interfaces",
    "sockets of this machine": "unix_socket",
    "home, keys, the checkout": "read_home read_ssh read_keys other_environ read_checkout",
    "writing outside its folder": "write_absolute write_dotdot write_system kernel_files mounts device_left",
    "more rights, the clock, the terminal": "become_root set_time tiocsti raise_limits",
    "fork bombs, threads": "fork_bomb fork_chain fork_many thread_bomb",
    "memory": "memory_bomb memory_many memory_at_once zero_map many_descriptors",
    "memory that no process shows": (
        "memfd_bomb memfd_sent shared_unseen segments_bomb shared_segments backlog_bomb sockets_full pipes_full pipe_pages"
    ),
    "disk": "disk_bomb inode_bomb inode_bomb_tmp shm_bomb sparse_file zip_bomb",
    "endless output": "endless_stdout endless_stderr endless_report",
    "time and ignored signals": "ignore_signals sleep_forever burn stop_self read_forever",
    "double fork, what outlives it": "daemon outlive daemon_holds",
    "signals to others": "see_processes kill_victim kill_caller kill_all",
    "ptrace, the guard": "ptrace kill_guard stop_guard hold_first",
    "links, pipes, folders it leaves": "symlinks hardlinks fifo_left deep_folders",
    "names and modules it leaves": "huge_names plant_modules overwrite_self",
    "escape codes, bytes": "escape_codes bad_bytes",
    "exit code tricks": "exit_early exit_wrap exit_like_signal signal_self",
    "forging the report": "forge_guard forge_status steal_report",
}
"""The programs by what they try; each in one group."""
