"""A contained run: who may start it, what goes in, how it ends, what comes back. Hostile programs: tests/sandbox."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.judge import box
from programs.judge.box import Ended, Limits, Tier, bubblewrap, consent, container, execution, supervisor
from programs.judge.box.__main__ import line, main, shown
from programs.judge.box.interpreter import Interpreter, interpreter
from workbook.errors import NoConsent, NoSandbox

posix = pytest.mark.skipif(os.name == "nt", reason="the tiers of Linux and macOS")
linux = pytest.mark.skipif(sys.platform != "linux", reason="what Linux tells of its memory")
TIERS = [tier.name for tier in box.tiers() if tier.available]
each = pytest.mark.parametrize("tier", TIERS)
ALL = frozenset({"network", "files", "processes"})


def run(program, tier=TIERS[-1] if TIERS else None, **more):
    return box.run(program, consent=True, tier=tier, **more)


# Who may start it


def test_nothing_runs_without_a_yes(tmp_path):
    with pytest.raises(NoConsent, match="only after a yes"):
        box.run(f"open({str(tmp_path / 'x')!r}, 'w')", consent=False, tier="limits")
    assert list(tmp_path.iterdir()) == []


def test_which_tier_is_used(monkeypatch):
    strong, gone = Tier("bubblewrap", True, "", ALL), Tier("bubblewrap", False, "no bwrap", ALL)
    weak = Tier("limits", True, "", frozenset({"processes"}))

    def chosen(known, name=None):
        tiers = {tier.name: (lambda tier=tier: tier, None) for tier in known}
        monkeypatch.setattr(execution, "TIERS", tiers)
        try:
            return box.chosen(name).name
        except (NoConsent, NoSandbox) as error:
            return f"{type(error).__name__}: {error}"

    assert chosen((strong, weak)) == "bubblewrap"
    assert chosen((strong, weak), "limits") == "limits"
    assert chosen((gone, weak)) == (
        "NoConsent: this machine's strongest tier is 'limits', which leaves in reach: files, network. "
        "Install bubblewrap, podman or Docker, or say so on purpose: tier='limits' (--tier limits)."
    )
    assert chosen((gone,)) == "NoSandbox: no tier works on this machine: bubblewrap: no bwrap."
    assert chosen((gone,), "bubblewrap") == "NoSandbox: the tier 'bubblewrap' is not on this machine: no bwrap."
    assert chosen((strong,), "cage") == "NoSandbox: there is no tier 'cage'. Known: bubblewrap."


def test_what_tiers_claim():
    found = {tier.name: tier for tier in box.tiers()}
    assert list(found) == ["bubblewrap", "container", "limits"]
    assert [name for name, tier in found.items() if tier.weak] == ["limits"]
    assert all(bool(tier.why_not) != tier.available for tier in found.values())
    assert {"network", "files", "processes", "forks", "time"} & found["limits"].contains == set()


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("WORKBOOK_SANDBOX", raising=False)
    return tmp_path / "state"


def test_a_yes_is_asked_once_and_kept(state):
    asked = []
    with pytest.raises(NoConsent, match="--yes"):
        consent.agreed(False)
    with pytest.raises(NoConsent, match="nothing was run"):
        consent.agreed(False, lambda question: asked.append(question) or False)
    assert not consent.given()
    assert consent.agreed(False, lambda question: asked.append(question) or True)
    assert consent.given()
    assert consent.agreed(False, lambda question: pytest.fail("asked again"))
    assert len(asked) == 2
    (kept,) = state.iterdir()
    for damaged in (b"", b"no\n", b"yes", b"\xff\xfe", b"yes\nyes\n"):
        kept.write_bytes(damaged)
        assert not consent.given()


def test_the_environment_may_say_yes(state):
    assert consent.given({"WORKBOOK_SANDBOX": "yes"})
    assert not any(consent.given({"WORKBOOK_SANDBOX": word}) for word in ("", "no", "1", "yes please"))


@posix
def test_the_command_refuses(state, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    program, pipe, tier = tmp_path / "p.py", tmp_path / "pipe.py", [f"--tier={TIERS[0]}"]
    program.write_text("print('ran')")
    os.mkfifo(pipe)  # nobody will ever write into it
    for words in (
        [program, "--tier=limits"], [program], [program, "--tier=cage", "--yes"],
        [program, "--timeout=0", "--yes", *tier], [tmp_path / "none.py", "--yes", *tier], [pipe, "--yes", *tier],
    ):  # fmt: skip
        assert main([str(word) for word in words]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
    assert said.err.endswith("pipe.py is no file. Give a Python program.\n")


@posix
def test_the_command_says_how_it_ended(state, tmp_path, capsys):
    program = tmp_path / "p.py"
    program.write_text("import sys\nprint('\\x1b[2J')\nopen('left', 'w').write('abc')\nsys.exit(int(sys.argv[1]))")
    assert main([str(program), "--yes", f"--tier={TIERS[0]}", "--", "3"]) == 1
    said = capsys.readouterr()
    assert said.out == "\\x1b[2J\n"
    assert said.err.startswith("It ended with exit code 3 after")
    assert f"in the tier {TIERS[0]}. Left: 'left' (3 bytes)." in said.err
    assert main([str(program), "--yes", f"--tier={TIERS[0]}", "--", "0"]) == 0


def test_a_name_cannot_break_the_line():
    ended = Ended("exit", 0, b"", b"", {"a\nb\x1b[2J": b""}, 0.1, "limits", True, refused=("'x': no regular file",))
    assert "\n" not in line(ended)
    assert "\x1b" not in line(ended)


# What goes in, what comes back


@posix
@each
def test_what_goes_in_and_what_comes_back(tier):
    program = (
        "import os, sys\n"
        "print(sys.argv[1:], len(sys.stdin.read()), open('given/a.txt').read())\n"
        "print(sorted(os.listdir('/proc/self/fd')), file=sys.stderr)\n"  # the last is the listing's own
        "open('given/b.txt', 'w').write('changed'); open('made.bin', 'wb').write(bytes(3))\n"
        "os.remove('gone.txt')\n"
        "sys.exit(7)"
    )
    files = {"given/a.txt": b"A", "given/b.txt": b"B", "gone.txt": b""}
    ended = run(program, tier, args=["x", "-I"], stdin=b"typed" * 100_000, files=files)
    assert (ended.how, ended.code, ended.tier, ended.cut) == ("exit", 7, tier, False)
    assert ended.stdout == b"['x', '-I'] 500000 A\n"
    assert ended.stderr == b"['0', '1', '2', '3']\n"
    assert ended.files == {"given/b.txt": b"changed", "made.bin": bytes(3)}
    assert 0 < ended.seconds < 30


@posix
@each
def test_the_environment_is_our_list(tier, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    program = "import os, json; print(json.dumps([dict(os.environ), os.listdir(os.path.expanduser('~'))]))"
    found, home = json.loads(run(program, tier).stdout)
    base = found["PWD"].removesuffix("/box")
    assert found == execution._environment(base)
    assert home == []
    assert not {"OPENAI_API_KEY", "PYTHONPATH", "WORKBOOK_CACHE"} & found.keys()


@posix
def test_a_program_alone_imports_nothing_from_its_folder():
    program = "open('colorsys.py', 'w').write('hue = 1'); import colorsys; print(hasattr(colorsys, 'hue'))"
    assert run(program, files={"given/readme.txt": b""}).stdout == b"False\n"
    assert run("import mine; print(mine.hue)", files={"mine.py": b"hue = 1"}).stdout == b"1\n"


@pytest.mark.skipif("bubblewrap" not in TIERS, reason="no bubblewrap here")
def test_installed_packages_are_there_and_the_checkout_is_not():
    program = "import importlib.util as u; print(bool(u.find_spec('numpy')), bool(u.find_spec('workbook')))"
    assert run(program, "bubblewrap").stdout == b"True False\n"


# How it ends


@posix
@each
@pytest.mark.parametrize(
    ("program", "how", "code"),
    [
        ("raise SystemExit(0)", "exit", 0),
        ("import os; os._exit(137)", "exit", 137),
        ("import os; os.abort()", "signal", 6),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "signal", 15),
        ("import time; time.sleep(60)", "timeout", None),
        ("x = bytearray(1 << 40)", "memory", None),
        ("import sys; sys.stderr.write('x' * (3 << 20))", "output", None),
        ("if", "exit", 1),
    ],
)
def test_how_it_ends(tier, program, how, code):
    ended = run(program, tier, timeout_s=0.5 if how == "timeout" else 30.0)
    assert (ended.how, ended.code) == (how, code), ended
    assert bool(ended.why) == (how in {"timeout", "memory", "output"})
    assert ended.cut == (how == "output")


@posix
def test_what_is_refused_before_anything_runs(tmp_path):
    for python in (tmp_path / "python9", Path("/bin/cat")):
        with pytest.raises(NoSandbox, match="does not start as a Python 3"):
            run("print()", python=python)
    for name in ("../x", "/x", "a/../../x", "", ".", "C:x", "a\\b"):
        with pytest.raises(NoSandbox, match="is no name"):
            run("print()", files={name: b""})
    (tmp_path / "big.py").write_bytes(b"#" * (execution.LONGEST_PROGRAM + 1))
    for name, says in (("none.py", "cannot be read"), ("big.py", "larger than 4 MB"), (".", "cannot be read")):
        with pytest.raises(NoSandbox, match=says):
            run(tmp_path / name)


def test_no_screen_is_said(monkeypatch):
    monkeypatch.setattr(execution.shutil, "which", lambda name: None)
    with pytest.raises(NoSandbox, match="needs Xvfb"):
        run("print()", display=True)


@posix
@pytest.mark.parametrize("tier", [name for name in TIERS if name != "container"])  # an image has its own
def test_a_python_below_the_folder_that_the_sandbox_makes_anew(tier):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        venv.create(place, with_pip=False)
        ended = run("import sys; print(sys.prefix)", tier, python=Path(place) / "bin" / "python")
        assert (ended.how, ended.code) == ("exit", 0), ended
        assert ended.stdout.decode().strip() == os.path.realpath(place)


@posix
@pytest.mark.skipif("bubblewrap" not in TIERS, reason="no bubblewrap here")
def test_a_sandbox_that_fails_is_not_the_programs_fault(tmp_path, monkeypatch):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: no namespaces today' >&2\nexit 1\n")
    broken.chmod(0o755)
    bubblewrap.tier()  # what it found is kept
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: str(broken))
    ended = run("print('ran')", "bubblewrap")
    assert (ended.how, ended.code, ended.stdout) == ("harness", None, b"")
    assert ended.why == "the sandbox did not start: 'bwrap: no namespaces today'"


@posix
@each
def test_when_the_caller_is_killed_nothing_runs_on(tier, tmp_path):
    token = f"token-{os.getpid()}-{tier}"
    program = (
        "import sys; from programs.judge import box; "
        f"box.run('import time; time.sleep(60)', consent=True, tier={tier!r}, args=[sys.argv[1][::-1]])"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, token[::-1]], env={**os.environ, "TMPDIR": str(tmp_path)})

    def lives():
        return any(token in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))

    def until(wanted):
        end = time.monotonic() + 60
        while lives() != wanted and time.monotonic() < end:
            time.sleep(0.02)
        return lives() == wanted

    assert until(True)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    assert until(False)


@linux
@each
def test_the_limits_of_a_process(tier):
    program = (
        "import resource as r\n"
        "print(*(r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in ('CORE', 'FSIZE', 'NOFILE', 'CPU')))\n"
        "print(open('/proc/self/oom_score_adj').read())"
    )
    ended = run(program, tier, limits=Limits(timeout_s=3, disk_mb=2, open_files=99))
    assert ended.stdout.decode() == f"(0, 0) {(2 << 20, 2 << 20)} (99, 99) (5, 5)\n1000\n\n"


# The supervisor's looks, in this process


@linux
def test_processes_are_found_without_proc_too(monkeypatch):
    monkeypatch.setattr(supervisor.sys, "platform", "darwin")
    assert supervisor.family()[os.getpid()] == os.getppid()


def job(tmp_path, **limits):
    return {"box": str(tmp_path), "files": {}, "limits": {**Limits().__dict__, **limits}}


@posix
def test_what_a_program_leaves_is_counted(tmp_path):
    for number in range(5):
        (tmp_path / f"f{number}").write_bytes(b"x" * 10)
    (tmp_path / "large").write_bytes(b"x" * 101)
    (tmp_path / "link").symlink_to("f0")
    (tmp_path / "folder-link").symlink_to("/")
    os.link(tmp_path / "f1", tmp_path / "second")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / ("n" * 201)).write_bytes(b"")
    left = supervisor.Left(job(tmp_path, kept_bytes=100, depth=3))
    assert left.files.keys() == {f"f{n}" for n in (0, 2, 3, 4)}
    assert sorted(said.rpartition(": ")[2] for said in left.refused) == [
        "a long name", "folders too deep", "no file of its own", "no file of its own", "no regular file",
        "no regular file", "no regular file", "too large",
    ]  # fmt: skip
    assert len(supervisor.Left(job(tmp_path, kept_files=2)).files) == 2
    assert len(supervisor.Left(job(tmp_path, kept_bytes=25)).files) == 2


@linux
def test_memory_that_no_process_shows(monkeypatch, tmp_path):
    assert 0 < supervisor.unseen() < psutil.virtual_memory().total
    held = {"MemTotal": 1000, "MemFree": 300, "Buffers": 20, "Cached": 380, "AnonPages": 150, "Shmem": 30}
    held |= {"SReclaimable": 40, "MemAvailable": 700}

    def unseen(**changed):
        monkeypatch.setattr(supervisor, "meminfo", lambda: {n: v + changed.get(n, 0) << 20 for n, v in held.items()})
        return supervisor.unseen() >> 20

    assert unseen() == 1000 - 300 - 20 - 380 - 150 - 40 + 30
    assert unseen(MemFree=-100, AnonPages=100) == unseen()  # a process takes it
    assert unseen(MemFree=-100, Cached=100) == unseen()  # a file is read
    assert unseen(MemFree=-100, Cached=100, Shmem=100) == unseen() + 100  # a file without a name
    before = unseen() << 20
    assert unseen(MemFree=-200) == (before >> 20) + 200  # a socket's buffers
    assert supervisor.crossed(job(tmp_path, memory_mb=-200, disk_mb=64, processes=10**6), before)[0] == "memory"
    monkeypatch.setattr(supervisor, "others", list)
    assert supervisor.crossed(job(tmp_path, memory_mb=0, disk_mb=0), before - (57 << 20))[0] == "harness"
    assert supervisor.crossed(job(tmp_path, memory_mb=0, disk_mb=0), before) is None


@settings(max_examples=50, deadline=None)
@given(st.binary() | st.text())
def test_what_is_shown_moves_no_cursor(written):
    text = shown(written)
    assert not any((ord(sign) < 32 and sign not in "\n\t") or 0x7F <= ord(sign) < 0xA0 for sign in text)
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff\u2028")
    text.encode()


def test_what_is_shown_stays_readable():
    assert shown("L'été, à 20 °C: 😀\tok\r\nfin\n".encode()) == "L'été, à 20 °C: 😀\tok\nfin\n"
    assert shown(b"a\rb\x1b[31m\xff") == "a\\rb\\x1b[31m\\xff"
    assert shown("x" * 10, most=4) == "xxxx…"


# The tiers' own words


@linux
def test_bubblewrap_shows_nothing_of_a_users():
    with bubblewrap.walls(interpreter(Path("/usr/bin/python3")), Limits()) as walls:
        words = walls.words
    shows = {words[place + 1] for place, word in enumerate(words) if word.startswith("--ro-bind")}
    assert not any(path.startswith((str(Path.home()), "/home", "/var", "/run")) for path in shows)
    assert not {"--bind", "--dev-bind", "--bind-try", "--share-net"} & {*words}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0", ""),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        ("user/max_user_namespaces", "96365", ""),
    ],
)
def test_what_forbids_namespaces_is_said_with_its_cure(name, value, says, tmp_path):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(value + "\n")
    said = bubblewrap.forbidden(tmp_path)
    assert said.endswith(f"sudo sysctl -w {says} allows it") if says else said == ""


@linux
def test_where_namespaces_are_forbidden_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tier = bubblewrap.tier.__wrapped__()
    assert not tier.available
    assert tier.why_not.startswith("bwrap does not work here (bwrap: setting up uid map: Permission denied)")


@posix
@pytest.mark.parametrize(("engine", "root"), [("podman", True), ("podman", False), ("docker", True)])
def test_the_containers_words(engine, root, monkeypatch, cache):
    monkeypatch.setattr(container, "_engine", lambda: engine)
    monkeypatch.setattr(container.sys, "platform", "linux")
    monkeypatch.setattr(container.os, "geteuid", lambda: 0 if root else 1234)
    monkeypatch.setattr(container.subprocess, "run", lambda *words, **more: None)
    monkeypatch.setenv("WORKBOOK_IMAGE", "my-python")
    with container.walls(interpreter(), Limits(memory_mb=100)) as walls:
        joined = " ".join(walls.words)
    for needed in (
        "--network none", "--read-only ", "--cap-drop ALL", "--security-opt no-new-privileges", "--pids-limit 65",
        "--memory 253m --memory-swap 253m", "--pull never", "--rm",
    ):  # fmt: skip
        assert needed in joined
    assert ("--userns keep-id --user 1234:" in joined) is not root
    assert ("--user 65534:65534" in joined) is root
    assert joined.endswith("my-python python3") is (engine == "docker")
    assert ("--rootfs" in joined) is (engine == "podman")
    assert all(word.endswith(":ro") for word in walls.words if word.startswith("/") and word.count(":") == 2)


def test_a_container_of_an_image_runs_its_own_python(monkeypatch):
    monkeypatch.setattr(container, "_engine", lambda: "docker")
    with (
        pytest.raises(NoSandbox, match="runs the Python of its image"),
        container.walls(Interpreter(Path("/py"), Path("/p"), Path("/p")), Limits()),
    ):
        pass


def test_a_python_below_the_home_is_not_shown_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "lib" / "me")
    (tmp_path / "lib").mkdir()
    with pytest.raises(NoSandbox, match="hold your home"):
        Interpreter(tmp_path / "bin" / "python", tmp_path, tmp_path).needs()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "share" / "keyrings").mkdir(parents=True)
    found = Interpreter(tmp_path / "bin" / "python", tmp_path, tmp_path).needs()
    assert found == (tmp_path / "lib",)
