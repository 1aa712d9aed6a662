"""A contained run: who may start it, what goes in, how it ends, what comes back. Hostile programs: tests/sandbox."""

import ctypes
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import venv
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.judge import box
from programs.judge.box import bubblewrap, consent, container, folder, job, limits, macos, running, watch
from programs.judge.box.__main__ import line, main
from programs.judge.box.cage import Wanted
from programs.judge.box.interpreter import Interpreter, interpreter
from programs.judge.box.shown import shown
from programs.judge.box.types import STRONG, Ended, Limits, Tier
from workbook.errors import NoConsent, NoSandbox

posix = pytest.mark.skipif(os.name == "nt", reason="the tiers of Linux and macOS")
TIERS = [tier.name for tier in box.tiers() if tier.available and tier.name in {"container", "bubblewrap", "limits"}]
linux = pytest.mark.skipif(sys.platform != "linux", reason="what Linux tells of its memory")
each = pytest.mark.parametrize("tier", TIERS)
ALL = frozenset({"network", "files", "processes"})


def run(program, tier=None, **more):
    return box.run(program, consent=True, weak=True, tier=tier, **{"timeout_s": 30, "packages": False, **more})


# Who may start it


def test_nothing_runs_without_a_yes(tmp_path):
    with pytest.raises(NoConsent, match="only after a yes"):
        box.run(f"open({str(tmp_path / 'x')!r}, 'w')", consent=False, tier="limits", weak=True)
    assert list(tmp_path.iterdir()) == []


def fake(monkeypatch, *there):
    monkeypatch.setattr(running, "tiers", lambda: there)


def test_a_weak_tier_needs_a_second_word(monkeypatch):
    weak = Tier("limits", True, "", frozenset({"memory", "processes"}))
    fake(monkeypatch, Tier("bubblewrap", False, "no bwrap", ALL), weak)
    with pytest.raises(NoConsent, match=r"leaves in reach: files, network\. Install bubblewrap") as said:
        running.chosen()
    assert "\n" not in str(said.value)
    assert running.chosen(weak=True) is running.chosen("limits") is weak


def test_the_strongest_tier_is_used(monkeypatch):
    strong, other = Tier("container", True, "", ALL), Tier("bubblewrap", True, "", ALL)
    fake(monkeypatch, strong, other)
    assert running.chosen() is strong
    assert running.chosen("bubblewrap") is other


def test_a_tier_that_is_not_there_is_refused(monkeypatch):
    fake(monkeypatch, Tier("bubblewrap", False, "bwrap is not installed", ALL))
    for name, says in (
        (None, "no tier works"),
        ("bubblewrap", "bwrap is not installed"),
        ("cage", "Known: bubblewrap"),
    ):
        with pytest.raises(NoSandbox, match=says):
            running.chosen(name)


def test_what_tiers_claim():
    found = {tier.name: tier for tier in box.tiers()}
    assert list(found) == ["container", "bubblewrap", "macos", "limits", "job"]
    assert [name for name, tier in found.items() if tier.weak] == ["limits", "job"]
    assert all(bool(tier.why_not) != tier.available for tier in found.values())
    assert {"network", "files"} & (found["limits"].contains | found["job"].contains) == set()


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
    consent.take_back()
    assert not consent.given()
    assert len(asked) == 2


@pytest.mark.parametrize("held", [b"", b"no\n", b"yes", b"\xff\xfe", b"yes\nyes\n"])
def test_a_damaged_yes_is_none(state, held):
    consent.keep()
    (path,) = state.iterdir()
    assert consent.given()
    path.write_bytes(held)
    assert not consent.given()


def test_the_environment_may_say_yes(state):
    assert consent.given({"WORKBOOK_SANDBOX": "yes"})
    assert not any(consent.given({"WORKBOOK_SANDBOX": word}) for word in ("", "no", "1", "yes please"))


@posix
def test_a_pipe_is_no_program(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.py")  # nobody will ever write into it
    assert main([str(tmp_path / "pipe.py"), "--yes", f"--tier={TIERS[0]}"]) == 1
    assert capsys.readouterr().err == "BadOption: pipe.py is no file. Give a Python program.\n"


def test_the_command_refuses_without_a_yes(state, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    program = tmp_path / "p.py"
    program.write_text("print('ran')")
    tier = [f"--tier={TIERS[0]}"]
    for words in ([str(program), "--tier=limits"], [str(program)], [str(program), "--tier=cage", "--yes"]):
        assert main(words) == 1
    assert main([str(program), "--timeout=0", "--yes", *tier]) == 1
    assert main([str(tmp_path / "none.py"), "--yes", *tier]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 5
    assert "Traceback" not in said.err


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
        "print(sys.argv[1:], sys.stdin.read(), open('given/a.txt').read())\n"
        "print('to stderr', file=sys.stderr)\n"
        "open('given/b.txt', 'w').write('changed'); open('made.bin', 'wb').write(bytes(3))\n"
        "os.remove('gone.txt')\n"
        "sys.exit(7)"
    )
    files = {"given/a.txt": b"A", "given/b.txt": b"B", "gone.txt": b""}
    ended = run(program, tier, args=["x", "-I"], stdin=b"typed", files=files)
    assert (ended.how, ended.code, ended.tier, ended.cut) == ("exit", 7, tier, False)
    assert ended.stdout == b"['x', '-I'] typed A\n"
    assert ended.stderr == b"to stderr\n"
    assert ended.files == {"given/b.txt": b"changed", "made.bin": bytes(3)}
    assert 0 < ended.seconds < 30


@posix
@each
def test_the_environment_is_our_list(tier, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    ended = run(
        "import os; print(sorted(os.environ)); print(os.path.expanduser('~'), os.listdir(os.environ['HOME']))", tier
    )
    names = set(eval(ended.stdout.splitlines()[0]))
    assert names - {"WORKBOOK_CONTAINED", "HOSTNAME"} == {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TERM", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER", "PWD", "MPLBACKEND",
        "PYGAME_HIDE_SUPPORT_PROMPT", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    }  # fmt: skip
    assert ended.stdout.splitlines()[1].endswith(b" []")
    assert str(Path.home()).encode() + b" " not in ended.stdout


@posix
def test_a_program_alone_imports_nothing_from_its_folder():
    planted = {"given/readme.txt": b""}
    ended = run(
        "open('colorsys.py', 'w').write('hue = 1'); import colorsys; print(hasattr(colorsys, 'hue'))", files=planted
    )
    assert ended.stdout == b"False\n"
    assert run("import mine; print(mine.hue)", files={"mine.py": b"hue = 1"}).stdout == b"1\n"


@posix
def test_packages_are_there_when_asked_for():
    program = "import importlib.util as u; print(bool(u.find_spec('numpy')), bool(u.find_spec('workbook')))"
    with_them = run(program, TIERS[0], packages=True)
    assert with_them.stdout.startswith(b"True")
    if TIERS[0] != "limits":
        assert with_them.stdout == b"True False\n"  # the checkout is not shown


@posix
@each
def test_report_and_secret(tier):
    program = (
        "import os\nsecret = os.read(4, 100); os.close(4)\nos.write(3, secret[::-1]); os.close(3)\n"
        "for fd in (3, 4):\n try:\n  os.write(fd, b'x'); print('open', fd)\n except OSError: pass\n"
        "print(sorted(os.listdir('/proc/self/fd')))"
    )
    ended = run(program, tier, secret=b"abc")
    assert ended.report == b"cba"
    assert b"open" not in ended.stdout
    assert eval(ended.stdout) == ["0", "1", "2", "3"]  # the last is the listing's own
    assert (
        run("import os\nos.write(3, b'{}')\ntry: os.read(4, 1)\nexcept OSError: print('none')", tier).stdout
        == b"none\n"
    )


@posix
@each
def test_a_terminal_and_its_keys(tier):
    program = (
        "import curses, sys, os\n"
        "def main(screen):\n"
        "    screen.timeout(20_000)\n"
        "    return screen.getmaxyx(), [screen.getch() for _ in range(3)]\n"
        "print(curses.wrapper(main), os.isatty(0), open('/dev/tty').isatty())"
    )
    ended = run(program, tier, pty=True, keys=[(0.3, b"q"), (0.1, b"\x1bOA"), (0.5, b"z")])
    assert (ended.how, ended.code) == ("exit", 0), ended
    assert b"((24, 80), [259, 113, 122]) True True" in ended.stdout


# How it ends


@posix
@each
@pytest.mark.parametrize(
    ("program", "how", "code"),
    [
        ("raise SystemExit(0)", "exit", 0),
        ("1/0", "exit", 1),
        ("import os; os.abort()", "signal", 6),
        ("import time; time.sleep(60)", "timeout", None),
        ("x = bytearray(1 << 40)", "memory", None),
        ("print('x' * (3 << 20))", "output", None),
        ("if", "exit", 1),
    ],
)
def test_how_it_ends(tier, program, how, code):
    ended = run(program, tier, timeout_s=1.0 if how == "timeout" else 30.0)
    assert (ended.how, ended.code) == (how, code), ended
    assert bool(ended.why) == (how in {"timeout", "memory", "output"})
    assert ended.cut == (how == "output")


@posix
@each
def test_a_python_that_is_no_python(tier, tmp_path):
    with pytest.raises(NoSandbox, match="does not start as a Python 3"):
        run("print()", tier, python=tmp_path / "python9")
    with pytest.raises(NoSandbox, match="does not start as a Python 3"):
        run("print()", tier, python=Path("/bin/cat"))


@posix
@each
def test_a_python_below_the_folder_that_the_sandbox_makes_anew(tier):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
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
    tier = bubblewrap.tier()
    monkeypatch.setattr(running, "tiers", lambda: (tier,))
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: str(broken))
    ended = run("print('ran')", "bubblewrap")
    assert (ended.how, ended.code, ended.stdout) == ("harness", None, b"")
    assert ended.why == "the sandbox did not start: 'bwrap: no namespaces today'"


@posix
@each
def test_a_name_that_leads_out_is_refused(tier, tmp_path):
    for name in ("../x", "/x", "a/../../x", "", ".", "C:x", "a\\b"):
        with pytest.raises(NoSandbox, match="is no name"):
            run("print()", tier, files={name: b""})
    assert not psutil.Process().children()


@posix
def test_a_program_that_cannot_be_read(tmp_path):
    (tmp_path / "big.py").write_bytes(b"#" * (running.LONGEST_PROGRAM + 1))
    for name, says in (("none.py", "cannot be read"), ("big.py", "larger than 4 MB"), (".", "cannot be read")):
        with pytest.raises(NoSandbox, match=says):
            run(tmp_path / name)


CALLER = "import sys; from programs.judge import box; box.run('import time; time.sleep(60)', consent=True, "


@posix
@each
def test_when_the_caller_is_killed_nothing_runs_on(tier, tmp_path):
    token = f"token-{os.getpid()}-{tier}"
    program = f"{CALLER}tier={tier!r}, packages=False, args=[{token!r}])"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    caller = subprocess.Popen([sys.executable, "-c", program], env=environment)

    def told():
        # The program itself: its words end with the token. The caller's and the sandbox's hold it within others.
        lines = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
        return [words for words in lines if words and words[-1] == token]

    until = time.monotonic() + 60
    while not told() and time.monotonic() < until:
        time.sleep(0.05)
    assert told()
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    until = time.monotonic() + 20
    while told() and time.monotonic() < until:
        time.sleep(0.05)
    assert not told()


@posix
def test_several_at_once():
    ended = {}

    def one(number):
        ended[number] = run(f"import sys; print({number}); sys.exit({number})", TIERS[-1], stdin=b"x")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: (e.code, e.stdout) for number, e in ended.items()} == {n: (n, f"{n}\n".encode()) for n in range(4)}


@linux
@each
def test_the_kernel_ends_the_program_before_the_users_own(tier):
    ended = run(
        "import subprocess as s; print(s.run(['/bin/cat', '/proc/self/oom_score_adj'], stdout=s.PIPE).stdout)", tier
    )
    assert ended.stdout == b"b'1000\\n'\n"


@linux
def test_memory_that_no_process_shows_is_a_part_of_it():
    assert 0 < watch.unseen() < psutil.virtual_memory().total


def test_what_counts_as_memory_that_no_process_shows(tmp_path, monkeypatch):
    def told(**changed):
        held = {"MemTotal": 1000, "MemFree": 300, "MemAvailable": 700, "Buffers": 20, "Cached": 380, "AnonPages": 150}
        held |= {"Shmem": 30, "SReclaimable": 40, "SUnreclaim": 50, "HugePages_Total": 0}
        lines = [f"{name}:  {number + changed.get(name, 0)} kB" for name, number in held.items()]
        (tmp_path / "meminfo").write_text("\n".join(lines))
        return watch.unseen() >> 10

    monkeypatch.setattr(watch, "MEMINFO", tmp_path / "meminfo")
    assert told() == 1000 - 300 - 20 - 380 - 150 - 40 + 30
    assert told(MemFree=-100, AnonPages=100) == told()  # a process takes it
    assert told(MemFree=-100, Cached=100) == told()  # a file is read
    assert told(MemFree=-100, Cached=100, Shmem=100) == told() + 100  # a file without a name
    assert told(MemFree=-100) == told() + 100  # a socket's buffers


def test_a_system_that_does_not_tell_its_memory(tmp_path, monkeypatch):
    for text in (None, "", "MemTotal: 1 kB\n", "MemTotal: many kB\n"):
        if text is not None:
            (tmp_path / "meminfo").write_text(text)
        monkeypatch.setattr(watch, "MEMINFO", tmp_path / "meminfo")
        assert watch.unseen() == 0


@pytest.mark.parametrize(("grown_mb", "held", "ends"), [(400, 0, None), (500, 0, "harness"), (500, 60 << 20, "memory")])
def test_who_is_blamed_for_memory_that_no_process_shows(grown_mb, held, ends, tmp_path, monkeypatch):
    looks = iter([1 << 30, (1 << 30) + (grown_mb << 20)])
    monkeypatch.setattr(watch, "unseen", lambda: next(looks))
    monkeypatch.setattr(watch, "unmapped", lambda pids: held)
    monkeypatch.setattr(watch, "_below", lambda pid: iter(()))
    found = watch.Watch(os.getpid(), tmp_path, (), Limits(memory_mb=100, disk_mb=64)).crossed()
    assert (found and found[0]) == ends


# What is read back


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
    (tmp_path / "a" / "b" / "c" / "deep").write_bytes(b"")
    (tmp_path / ("n" * 201)).write_bytes(b"")
    left = folder.collect(tmp_path, Limits(kept_bytes=100, depth=3))
    assert left.files == {f"f{n}": b"x" * 10 for n in (0, 2, 3, 4)}
    assert sorted(said.rpartition(": ")[2] for said in left.refused) == [
        "a long name", "folders too deep", "no file of its own", "no file of its own", "no regular file",
        "no regular file", "no regular file", "too large",
    ]  # fmt: skip
    assert len(folder.collect(tmp_path, Limits(kept_files=2)).files) == 2
    assert sum(map(len, folder.collect(tmp_path, Limits(kept_bytes=25)).files.values())) <= 25


@posix
def test_a_folder_goes_away_whatever_it_holds(tmp_path):
    whole = tmp_path / "whole"
    here, descent = os.getcwd(), 300
    whole.mkdir()
    try:
        os.chdir(whole)
        for _ in range(descent):
            os.mkdir("d" * 20)
            os.chdir("d" * 20)
        Path("x").write_text("x")
        os.chmod("x", 0)
        os.chmod(".", 0)
    finally:
        os.chdir(here)
    (whole / "out").symlink_to(here)
    (whole / "locked").mkdir(mode=0)
    folder.remove(whole)
    assert not whole.exists()
    assert Path(here).exists()


@posix
def test_a_folder_is_weighed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"x" * 100_000)
    with open(tmp_path / "sparse", "wb") as out:
        out.truncate(1 << 40)
    held, names = folder.weight(tmp_path)
    assert names == 3
    assert 100_000 <= held < 1 << 20
    assert folder.weight(tmp_path, 2)[1] == 2


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


def wanted(**more):
    return replace(Wanted(Interpreter(Path("/py/bin/python"), Path("/py"), Path("/py")), Limits(memory_mb=100)), **more)


@posix
def test_bubblewraps_words(tmp_path, monkeypatch):
    monkeypatch.setattr(bubblewrap, "_knows", lambda option: False)
    words = bubblewrap.prepare(wanted()).wrap
    joined = " ".join(words)
    for needed in (
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--remount-ro / ",
        "--cap-drop ALL",
    ):
        assert needed in f"{joined} "
    bound = [words[place + 1] for place, word in enumerate(words) if word in {"--bind", "--dev-bind", "--bind-try"}]
    assert bound == []  # nothing of ours can be written
    shown = {words[place + 1] for place, word in enumerate(words) if word.startswith("--ro-bind")}
    assert not any(str(Path.home()).startswith(path) or path.startswith(("/home", "/var", "/run")) for path in shown)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0", ""),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        ("user/max_user_namespaces", "96365", ""),
        ("kernel/hostname", "x", ""),
    ],
)
def test_what_forbids_namespaces_is_said_with_its_cure(name, value, says, tmp_path):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(value + "\n")
    said = bubblewrap.forbidden(tmp_path)
    assert said.endswith(f"sudo sysctl -w {says} allows it") if says else said == ""


@linux
def test_where_namespaces_are_forbidden_the_next_tier_is_used(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    bubblewrap._why_not.cache_clear()
    try:
        tier = bubblewrap.tier()
    finally:
        bubblewrap._why_not.cache_clear()
    assert not tier.available
    assert tier.why_not.startswith("bwrap does not work here (bwrap: setting up uid map: Permission denied)")
    fake(monkeypatch, tier, limits.tier())
    assert running.chosen(weak=True).name == "limits"


@posix
def test_a_users_container_is_that_users(monkeypatch):
    monkeypatch.setattr(container, "_kernel_counts", lambda: False)
    monkeypatch.setattr(container.os, "geteuid", lambda: 1234)
    joined = " ".join(container._walls(wanted(), Limits()))
    assert "--userns keep-id --user 1234:" in joined
    assert "--memory" not in joined  # podman would say on the program's stderr that it does not keep it
    assert "--pids-limit" not in joined
    monkeypatch.setattr(container.os, "geteuid", lambda: 0)
    assert container._walls(wanted(), Limits())[-2:] == ["--user", "65534:65534"]


@posix
def test_podmans_words(monkeypatch):
    monkeypatch.setattr(container, "_kernel_counts", lambda: True)
    cage = container.prepare(wanted(), "")
    try:
        joined = " ".join(cage.wrap)
        for needed in (
            "--network none", "--read-only", "--cap-drop all", "--security-opt no-new-privileges", "--pids-limit 256",
            "--memory 253m", "--memory-swap 253m", "--unsetenv-all", "--rootfs", "--volume /usr:/usr:ro", "--rm",
        ):  # fmt: skip
            assert needed in joined
        assert all(word.endswith(":ro") for word in cage.wrap if word.count(":") == 2 and word.startswith("/"))
        assert "API_KEY" not in str(cage.environment)
        assert list(Path(cage.wrap[-1]).iterdir()) == []
    finally:
        monkeypatch.setattr(container.subprocess, "run", lambda *words, **more: None)
        cage.remove()
    assert not Path(cage.wrap[-1]).exists()


def test_the_profile_for_macos():
    text = macos.profile(Path('/private/tmp/a "b'), (Path("/py/lib"),))
    assert text.startswith("(version 1)\n(deny default)\n(deny network*)\n")
    assert '(allow file-write* (subpath "/private/tmp/a \\"b"))' in text
    assert text.count("file-write*") == 1
    assert text.count("(") == text.count(")")
    assert "/Users" not in text
    assert '"/py/lib"' in text


def test_the_job_of_windows():
    held = job.bounds(100, 7)
    if ctypes.sizeof(ctypes.c_void_p) == 8:
        assert (ctypes.sizeof(job.Basic), ctypes.sizeof(job.Extended)) == (64, 144)  # the sizes of winnt.h
    assert (held.job_memory, held.basic.processes, held.basic.flags) == (100 << 20, 7, 0x2608)


def test_a_python_below_the_home_is_not_shown_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "lib" / "me")
    (tmp_path / "lib").mkdir()
    with pytest.raises(NoSandbox, match="hold your home"):
        Interpreter(tmp_path / "bin" / "python", tmp_path, tmp_path).needs()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "share" / "keyrings").mkdir(parents=True)
    found = Interpreter(tmp_path / "bin" / "python", tmp_path, tmp_path).needs()
    assert found == (tmp_path / "lib",)


@posix
def test_the_limits_of_a_process():
    ended = run(
        "import resource as r\nfor n in ('CORE', 'FSIZE', 'NOFILE', 'CPU'): print(r.getrlimit(getattr(r, 'RLIMIT_' + n)))",
        TIERS[-1], limits=Limits(timeout_s=3, disk_mb=2, open_files=99),
    )  # fmt: skip
    assert ended.stdout.decode().splitlines() == ["(0, 0)", f"({2 << 20}, {2 << 20})", "(99, 99)", "(5, 5)"]


def test_limits_has_its_own_folder():
    cage = limits.prepare(Wanted(interpreter(), Limits()))
    try:
        assert cage.outside is not None
        assert stat.S_IMODE(cage.outside.parent.stat().st_mode) & 0o077 == 0 or os.name == "nt"
        assert set() == STRONG & limits.CONTAINS
    finally:
        cage.remove()
    assert not cage.outside.parent.exists()
