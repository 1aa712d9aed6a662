"""The first process of a contained run: it starts the program, watches it, ends it, and tells what came of it.

Its text is sent to the sandbox's Python: it has the standard library only, and no file of ours. Behind walls it is
process 1 of its own process namespace: what runs beside it can neither end, stop nor trace it, and ends with it.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Job = dict[str, Any]
    End = tuple[str, int | None, str]
    """How, the exit code or signal, why."""

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 36, 38
TICK_S = 0.05
LEAST_FREE = 0.03
"""Of this machine's memory: below, a program is ended whatever it was seen to hold."""
BESIDE_MB = 256
"""Beside its memory, its disk and as much again: what others may take of memory that no process shows, meanwhile."""
SCREEN = "1024x768x24"
MOST_NAMES = 10_000  # looked at, not kept
PAGE = os.sysconf("SC_PAGE_SIZE")
ALONE = os.getpid() == 1
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Take the job from standard input, do it, write the answer to standard output."""
    job = json.loads(sys.stdin.buffer.readline())
    if sys.platform == "linux":
        for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_CHILD_SUBREAPER, 1), (PR_SET_DUMPABLE, 0)):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    out = sys.stdout.buffer
    out.write(b"ready\n")
    out.flush()
    try:
        answer = run(job)
    except OSError as error:
        answer = {"how": "harness", "why": f"the program was not started: {error!s:.300}"}
    end_others()
    out.write(json.dumps(answer).encode() + b"\n")
    out.flush()
    os._exit(0)


def run(job: Job) -> Job:
    """From the files it is given to those it leaves."""
    put(job)
    if job["display"]:
        job["environment"]["DISPLAY"] = screen(job)
    wake = woken()
    before, started = unseen(), time.monotonic()
    stdin = base64.b64decode(job["stdin"])
    child = subprocess.Popen(
        [sys.executable, *job["words"]], stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=job["box"], env=job["environment"],
        start_new_session=True, preexec_fn=lambda: limit(job),
    )  # fmt: skip
    streams = Streams(child, stdin, job["limits"]["output_bytes"])
    end: End | None = None
    while end is None:
        asked = streams.turn([0, wake], TICK_S)
        if wake in asked:
            os.read(wake, 512)
        end = ended(child.pid) or passed(job, streams, started, before)
        if 0 in asked:  # nobody waits for an answer
            end = "harness", None, "the caller is gone"
    seconds = time.monotonic() - started
    end_others()
    streams.drain()
    left = Left(job)
    how, code, why = explained(end, streams, job["limits"])
    out, err = (packed(bytes(kept[: streams.most])) for kept in streams.kept.values())
    return {
        "how": how, "code": code, "why": why, "seconds": seconds, "stdout": out, "stderr": err, "files": left.files,
        "refused": left.refused, "cut": streams.full or bool(left.refused),
    }  # fmt: skip


def explained(end: End, streams: Streams, limits: dict[str, int]) -> End:
    """How it ended, where a program that seems to have ended by itself was ended by a limit."""
    if end[0] == "exit" and streams.full:
        return "output", None, f"more than {streams.most} bytes"
    if end[0] == "exit" and end[1] and streams.last_error().startswith(b"MemoryError"):
        return "memory", None, f"more than {limits['memory_mb']} MB in one process"
    return end


def woken() -> int:
    """A descriptor that can be read when a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reading


def packed(content: bytes) -> str:
    """Bytes as JSON can carry them."""
    return base64.b64encode(content).decode()


def put(job: Job) -> None:
    """Write the files it is given into its folder; the names were looked at by who sent them."""
    os.makedirs(job["environment"]["HOME"], exist_ok=True)
    for name, content in job["files"].items():
        path = os.path.join(job["box"], name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))


def limit(job: Job) -> None:
    """In the program's process: its limits, for good, and signals as usual. What the system refuses is let be."""
    import resource

    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_DFL)
    for name, value in job["rlimits"].items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))


def screen(job: Job) -> str:
    """Start an X server that nobody sees, as one of the program's own processes; its name."""
    with contextlib.suppress(OSError):
        os.mkdir("/tmp/.X11-unix")
        os.chmod("/tmp/.X11-unix", 0o1777)
    reading, writing = os.pipe()
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"],
        stdin=nothing, stdout=nothing, stderr=nothing, env=job["environment"], cwd="/", start_new_session=True,
        pass_fds=(writing,), preexec_fn=lambda: limit(job),
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        number = said.readline().strip().decode()
    if not number.isdigit():
        raise OSError("Xvfb did not start")
    return f":{number}"


class Streams:
    """The program's three: fed, read, and never more of them kept than agreed."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes, most: int) -> None:
        assert child.stdout
        assert child.stderr
        self.child, self.rest, self.most = child, memoryview(stdin), most
        self.kept = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
        self.open = set(self.kept)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                os.set_blocking(stream.fileno(), False)

    @property
    def full(self) -> bool:
        """Whether it wrote more than is kept."""
        return any(len(kept) > self.most for kept in self.kept.values())

    def turn(self, others: list[int], seconds: float) -> list[int]:
        """Read and write for so long, or until one of the ``others`` has something to say: which."""
        until = time.monotonic() + seconds
        while True:
            feeds = [self.child.stdin.fileno()] if self.child.stdin and not self.child.stdin.closed else []
            wait = max(until - time.monotonic(), 0)
            ready, writable, _ = select.select([*self.open, *others], feeds, [], wait)
            for fd in self.open.intersection(ready):
                piece = os.read(fd, 1 << 16)
                self.kept[fd] += piece
                self.open -= {fd} if not piece else set()
            if writable:
                self._feed()
            asked = [fd for fd in others if fd in ready]
            if asked or self.full or not wait:
                return asked

    def _feed(self) -> None:
        assert self.child.stdin
        try:
            self.rest = self.rest[os.write(self.child.stdin.fileno(), self.rest[: 1 << 16]) :]
        except BrokenPipeError:
            self.rest = self.rest[:0]
        if not self.rest:
            self.child.stdin.close()

    def drain(self) -> None:
        """What stands in the pipes after the end; who still holds one is not waited for."""
        while self.open and not self.full and select.select([*self.open], [], [], 0)[0]:
            self.turn([], 0)

    def last_error(self) -> bytes:
        """The last line of standard error."""
        return bytes([*self.kept.values()][1]).rstrip().rpartition(b"\n")[2]


def ended(child: int) -> End | None:
    """How the program ended, if it did."""
    for pid, status in reaped():
        if pid == child and os.WIFSIGNALED(status):
            return "signal", os.WTERMSIG(status), ""
        if pid == child:
            return "exit", os.WEXITSTATUS(status), ""
    return None


def passed(job: Job, streams: Streams, started: float, before: int) -> End | None:
    """The limit that the program has passed, if it has."""
    seconds = job["limits"]["timeout_s"]
    if streams.full:
        return "output", None, f"more than {streams.most} bytes"
    if time.monotonic() - started >= seconds:
        return "timeout", None, f"still running after {seconds:g} s"
    return crossed(job, before)


def reaped() -> Iterator[tuple[int, int]]:
    """The children that ended: (process, status). Orphans come here too."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, status


def others() -> list[int]:
    """Every process of the run but this one: all in sight where we are process 1, else our descendants."""
    if ALONE:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    parents = family()
    found, ring = set[int](), {os.getpid()}
    while ring:
        ring = {pid for pid, parent in parents.items() if parent in ring} - found
        found |= ring
    return sorted(found)


def family() -> dict[int, int]:
    """Every process in sight and its parent."""
    found = {}
    if sys.platform != "linux":
        said = subprocess.run(["ps", "-axo", "pid=,ppid="], stdout=subprocess.PIPE).stdout.split()
        return dict(zip(map(int, said[::2]), map(int, said[1::2])))  # noqa: B905  (any Python 3)
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def end_others() -> None:
    """End every other process of the run, again and again until none is left; a few seconds at most."""
    until = time.monotonic() + 5
    while time.monotonic() < until and (pids := others()):
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: else a bomb forks while it is being killed
            for pid in [-1] if ALONE else pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        for _ in reaped():
            pass
        select.select([], [], [], 0.001)


def crossed(job: Job, before: int) -> End | None:
    """The limit on processes, memory or files that was passed; None while all is well."""
    limits, pids, held = job["limits"], others(), 0
    if len(pids) > limits["processes"] + 2:
        return "signal", 9, f"more than {limits['processes']} processes"
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
            held += int(file.read().split()[1]) * PAGE
    if held > (limits["memory_mb"] << 20) * 1.1:
        return "memory", None, f"more than {limits['memory_mb']} MB in all its processes"
    memory = meminfo()
    if memory and memory["MemAvailable"] < memory["MemTotal"] * LEAST_FREE:
        own = held > limits["memory_mb"] << 19  # else it was not this program's doing
        return "memory" if own else "harness", None, "this machine's memory ran out"
    if unseen() - before > limits["memory_mb"] + 2 * limits["disk_mb"] + BESIDE_MB << 20:
        return "harness", None, "memory that no process shows ran up while it ran"
    if ALONE:
        for place in (job["box"], "/tmp", "/dev/shm"):
            room = os.statvfs(place)
            if room.f_files - room.f_ffree > limits["files"]:
                return "output", None, f"more than {limits['files']} files"
    return None


def meminfo() -> dict[str, int]:
    """What the system tells of its memory, in bytes; empty where it does not."""
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        return {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}
    return {}


def unseen() -> int:
    """Bytes of this machine's memory that belong to no process and to no file on a disk; 0 where it does not tell.

    Buffers of pipes and sockets, files without a name, shared memory that nobody maps: a program can fill memory with
    them, and they count for none of its processes.
    """
    held = meminfo()
    seen = sum(held.get(name, 0) for name in ("MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable"))
    return held["MemTotal"] - seen + held["Shmem"] if held else 0


class Left:
    """What a program left: regular files by their path, and in words what was not read.

    Whatever lies there was made by the program: nothing is followed, nothing is opened before its kind is known, and
    what is read is counted.
    """

    def __init__(self, job: Job) -> None:
        self.limits, self.given = job["limits"], job["files"]
        self.files: dict[str, str] = {}
        self.refused: list[str] = []
        self.room, self.names = self.limits["kept_bytes"], 0
        self.folders = [(job["box"], "", 0)]
        while self.folders and self.names < MOST_NAMES:
            place, above, depth = self.folders.pop()
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        self.names += 1
                        if self.names >= MOST_NAMES:
                            self.refuse(above, "too many names, the rest was not looked at")
                            break
                        self.one(entry, above + entry.name, depth)
            except OSError as error:
                self.refuse(above, error.strerror or "not readable")

    def refuse(self, path: str, why: str) -> None:
        """Note that ``path`` was not read; a bounded number of times, in a bounded number of characters."""
        if len(self.refused) < 32:
            self.refused.append(f"{path[:60]!a}: {why}")

    def one(self, entry: os.DirEntry[str], path: str, depth: int) -> None:
        """Keep or refuse one entry, or note the folder to look into."""
        try:
            size = len(path.encode())
            mode = entry.stat(follow_symlinks=False).st_mode
        except (OSError, ValueError):
            return self.refuse(path, "a name or entry that cannot be read")
        if size > self.limits["path_bytes"]:
            self.refuse(path, "a long name")
        elif stat.S_ISDIR(mode):
            if depth + 1 < self.limits["depth"]:
                return self.folders.append((entry.path, f"{path}/", depth + 1))
            self.refuse(path, "folders too deep")
        elif not stat.S_ISREG(mode):
            self.refuse(path, "no regular file")
        elif len(self.files) >= self.limits["kept_files"]:
            self.refuse(path, "too many files")
        else:
            self.read(entry, path)
        return None

    def read(self, entry: os.DirEntry[str], path: str) -> None:
        """Keep a regular file that is its own, if there is room; one that it was given, only if it is changed."""
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            return self.refuse(path, error.strerror or "not readable")
        with os.fdopen(fd, "rb") as file:
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
                return self.refuse(path, "no file of its own")
            if seen.st_size > self.room:
                return self.refuse(path, "too large")
            content = file.read(self.room + 1)
        if packed(content) != self.given.get(path):
            self.files[path] = packed(content)
            self.room -= len(content)
        return None


if __name__ == "__main__":
    main()
