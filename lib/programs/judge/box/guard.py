"""The first process of a contained run: it sets the limits, starts the program, and says how that ended.

Its text is handed to the sandbox's Python with ``-c``: it needs the standard library only, and no file in the sandbox.
The program runs as its child, and cannot trace it (the guard is not dumpable); it may kill it, and then ends with it.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import termios

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38


def prctl(option: int, value: int) -> None:
    """Set one property of this process, where the system has it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def limit(limits: dict[str, int]) -> None:
    """Set the resource limits of this process for good; a system that refuses one is let be."""
    import resource

    for name, value in {**limits, "RLIMIT_CORE": 0}.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))


def keep_to_ourselves(known: set[int]) -> None:
    """No descriptor beside 0, 1, 2 reaches the program by itself; none that we do not know stays open at all."""
    for fd in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2}:
        with contextlib.suppress(OSError):
            if fd in known:
                os.set_inheritable(fd, False)
            else:
                os.close(fd)


def become(task: dict) -> None:  # type: ignore[type-arg]
    """In the child: own session, the channels at 3 and 4, the limits, then the program."""
    os.setsid()
    if task["terminal"] >= 0:
        for own in (0, 1):
            os.dup2(task["terminal"], own)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    channels = [(3, task["report"]), (4, task["secret"])]
    held = [(target, fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 10)) for target, source in channels if source >= 0]
    for target, source in held:
        os.dup2(source, target, inheritable=True)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    limit(task["limits"])
    os.execv(task["command"][0], task["command"])


def parents() -> dict[int, int]:
    """Every process in sight -> its parent."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat", "rb") as stat:
            found[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    return found


def below(mine: int) -> set[int]:
    """All descendants of process ``mine``."""
    every, ring = parents(), {mine}
    found: set[int] = set()
    while ring:
        ring = {pid for pid, parent in every.items() if parent in ring} - found - {mine}
        found |= ring
    return found


def sweep() -> None:
    """End every descendant. Orphans come to this process, so none left to wait for means none left at all."""
    if sys.platform != "linux":
        return
    rounds = 0
    while True:
        # Its own children at every turn: who leaves itself again and again is quicker than a look at all processes.
        near = children() if rounds % 64 else None
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: else a bomb forks while it is being killed
            for pid in below(os.getpid()) if near is None else near:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        rounds += 1
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def children() -> list[int] | None:
    """This process's own children, quickly; None where the system does not list them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return None


def waited(child: int, control: int, wake: int) -> int | None:
    """The child's wait status; None when the other side of ``control`` is gone or asks to stop."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)  # orphans come here too
        if pid == child:
            return status
        if pid:
            continue
        ready = select.select([control, wake], [], [])[0]
        if control in ready:
            return None
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 512)


def main() -> None:
    """Say ready, wait for the word, run, say how it ended."""
    task = json.loads(sys.argv[1])
    control, status = task["control"], task["status"]
    keep_to_ourselves({task[name] for name in ("control", "status", "report", "secret", "terminal")})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(status, b"ready\n")
    if os.read(control, 1) != b"g":
        return
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    child = os.fork()
    if child == 0:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            become(task)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            os.write(status, json.dumps({"failed": repr(error)[:300]}).encode() + b"\n")
        os._exit(126)
    prctl(PR_SET_DUMPABLE, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for own in (0, 1, 2):
        os.dup2(nothing, own)
    for fd in (task["report"], task["secret"], task["terminal"]):
        if fd >= 0:
            os.close(fd)
    ended = waited(child, control, wake)
    if ended is not None:
        said = {"signal": os.WTERMSIG(ended)} if os.WIFSIGNALED(ended) else {"exit": os.WEXITSTATUS(ended)}
        os.write(status, json.dumps(said).encode() + b"\n")
    if task["reap"]:
        sweep()
    os._exit(0)


if __name__ == "__main__":
    main()
