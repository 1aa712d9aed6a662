"""The doctor: what is wrong must show, with what to do; what it prints may be shown to anyone."""

import dataclasses
import getpass
import html.parser
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from workbook import doctor, gpus, hardware, models, paths
from workbook.doctor import Check, Diagnosis, checks
from workbook.errors import DamagedModel

GOOD = hardware.Machine(
    arch="x86_64", cpu_model="A processor", isa_flags=("avx", "avx2", "f16c", "fma"), sockets=1, cores=8, threads=16,
    threads_usable=16, cpu_quota=None, ram_total_bytes=16 * 10**9, ram_available_bytes=12 * 10**9, ram_limit_bytes=None,
    gpus=(), disk_free_bytes=10**11, os="An OS", kernel="1", python="3.12.1", virtualised=False, on_battery=False,
)  # fmt: skip
REFUSED = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_engine_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKBOOK_ENGINE", "WORKBOOK_MODEL", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", REFUSED)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Diagnosis]:
    """The rows about a machine that differs from a good one in the given facts."""

    def made(**facts: object) -> Diagnosis:
        monkeypatch.setattr(hardware, "machine", lambda: dataclasses.replace(GOOD, **facts))
        monkeypatch.setattr(hardware, "other_load_share_pct", lambda: 0.0)
        return Diagnosis(tuple(checks.of_machine()))

    return made


@pytest.fixture(scope="module")
def here() -> Diagnosis:
    before = os.environ.get("OLLAMA_HOST")
    os.environ["OLLAMA_HOST"] = REFUSED
    try:
        return doctor.table()
    finally:
        os.environ.pop("OLLAMA_HOST") if before is None else os.environ.update(OLLAMA_HOST=before)


# --- The table


def test_a_good_machine_has_no_advice(rows: Callable[..., Diagnosis]) -> None:
    report = rows()
    assert {c.status for c in report.checks} == {"OK"}
    assert not report.failed
    assert report.verdict() == "The workbook runs here."


@pytest.mark.parametrize(
    ("facts", "row", "status", "says"),
    [
        ({"isa_flags": ("avx",)}, "Instruction set", "warn", "illegal instruction"),
        ({"isa_flags": ()}, "Instruction set", "warn", "unless llama.cpp"),
        ({"threads_usable": 2}, "Cores", "warn", "affinity"),
        ({"cpu_quota": 1.5}, "Cores", "warn", "container"),
        ({"ram_available_bytes": 5 * 10**8}, "Memory", "fail", "Close"),
        ({"ram_available_bytes": 15 * 10**8}, "Memory", "warn", "small model"),
        ({"gpus": None}, "Graphics card", "warn", "nvidia-smi"),
        ({"disk_free_bytes": 10**8}, "Disk", "fail", "Make room"),
        ({"disk_free_bytes": 10**9}, "Disk", "warn", "larger models"),
        ({"on_battery": True}, "Power", "warn", "Plug"),
    ],
)
def test_what_is_wrong_shows(rows: Callable[..., Diagnosis], facts: dict, row: str, status: str, says: str) -> None:
    report = rows(**facts)
    assert report[row].status == status
    assert says in report[row].advice
    assert [c.name for c in report.checks if c.status != "OK"] == [row]
    assert report.failed is (status == "fail")


def test_what_is_unknown_is_not_called_wrong_nor_zero(rows: Callable[..., Diagnosis]) -> None:
    report = rows(cpu_model=None, sockets=None, cores=None, threads=None, threads_usable=None, on_battery=None)
    assert {c.status for c in report.checks} == {"OK"}
    assert "None" not in str(report)
    assert "0 cores" not in str(report)


def test_arm_is_not_blamed_for_having_no_avx2(rows: Callable[..., Diagnosis]) -> None:
    assert rows(arch="arm64", isa_flags=("neon", "dotprod"))["Instruction set"].status == "OK"


def test_cards_and_limits_are_told(rows: Callable[..., Diagnosis]) -> None:
    cards = (gpus.Gpu("RTX", 12 * 10**9, 11 * 10**9, "550.1"), gpus.Gpu("Shared", unified=True))
    report = rows(gpus=cards, ram_limit_bytes=4 * 10**9, cores=8, threads_usable=8)
    assert report["Graphics card"].value == "RTX, 12.0 GB (11.0 GB free), driver 550.1; Shared, shares the memory above"
    assert "this container may use 4.0 GB" in report["Memory"].value


def test_a_busy_machine_and_an_old_python_and_missing_packages_show(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks._load(30.0).status == "warn"
    version = namedtuple("version", "major minor micro")(3, 10, 1)
    monkeypatch.setattr(sys, "version_info", version)
    assert checks._python() == Check("Python", "3.10.1", "fail", "The workbook needs 3.11 to 3.13.")
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: ["numpy>=1.26", "no-such_package[x]>=2; python_version>'3'", "other; extra == 'site'"],
    )
    assert checks._packages() == Check("Packages", "not installed: no-such_package", "fail", "Run: make lab")


def test_a_row_that_is_not_ok_must_advise() -> None:
    with pytest.raises(ValueError, match="says what to do"):
        Check("Disk", "full", "fail")


def test_html_holds_every_cell_and_escapes_them(rows: Callable[..., Diagnosis]) -> None:
    report = rows(cpu_model="<script>alert(1)</script> & co", gpus=None)
    shown = report._repr_html_()
    assert "<script>" not in shown
    texts: list[str] = []
    reader = html.parser.HTMLParser()
    reader.handle_data = texts.append  # type: ignore[method-assign]
    reader.feed(shown)
    for check in report.checks:
        assert check.name in texts
        assert check.value in "".join(texts)


# --- This machine


def test_this_machine_runs_the_workbook(here: Diagnosis) -> None:
    """The rest of the tests needs what the doctor checks: it must find nothing to mend."""
    assert not here.failed, str(here)
    assert here["Packaged model"].status == "OK"
    assert models.SMOLLM2_SHA256[:12] in here["Packaged model"].value
    assert here["Ollama"].value == "does not answer at 127.0.0.1:9: not needed"


def test_nothing_shown_names_this_machine(here: Diagnosis) -> None:
    shown = str(here) + here._repr_html_() + doctor.versions("numpy", "llama_cpp")
    for secret in (socket.gethostname(), str(Path.home()), str(paths.root()), str(paths.cache()), getpass.getuser()):
        assert not re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", shown), secret
    assert not re.search(r"(?<![\w:/])/[a-z]+/", str(here))


def test_another_hosts_name_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://secret-host.invalid:1")
    check = checks._ollama()
    assert "secret-host" not in check.value + check.advice
    assert "OLLAMA_HOST" in check.value


def test_versions_are_those_installed() -> None:
    line = doctor.versions("numpy", "llama_cpp", "no_such_package")
    assert line.startswith(f"Python {sys.version.split()[0]}, numpy {metadata.version('numpy')}, llama_cpp ")
    assert line.endswith("no_such_package not installed")


def test_the_exit_code_says_whether_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    for status, code in (("OK", 0), ("warn", 0), ("fail", 1)):
        monkeypatch.setattr(doctor, "table", lambda status=status: Diagnosis((Check("Disk", "x", status, "y"),)))
        assert doctor.main() == code
        assert "Disk" in capsys.readouterr().out


# --- llama.cpp


def trial(monkeypatch: pytest.MonkeyPatch, code: str) -> Check:
    monkeypatch.setattr(checks, "_TRIAL", code)
    return checks._llama_cpp(Check("Packaged model", "x"))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_illegal_instruction_ends_the_trial_not_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    check = trial(monkeypatch, 'import os; print("{}", flush=True); os.kill(os.getpid(), 4)')
    assert check.status == "fail"
    assert "illegal instruction" in check.value
    assert "pip install" in check.advice


@pytest.mark.parametrize(
    "code", ["", "1/0", "print('{}')", "print('works')", "print('x\\nworks')\nraise SystemExit(1)"]
)
def test_a_trial_that_fails_is_no_success(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    assert trial(monkeypatch, code).status == "fail"


def test_a_trial_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_TRIAL_S", 0.5)
    assert "does not compute" in trial(monkeypatch, "import time; time.sleep(60)").value


def test_a_build_without_this_processors_instructions_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "isa_flags", lambda: ("avx", "avx2", "fma", "f16c", "avx512f"))
    slow = checks._built_for("v", {"system_info": "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 0 | LLAMAFILE = 1 | "})
    assert slow.status == "warn"
    assert "AVX2, F16C, FMA" in slow.advice.replace("F16C, FMA, AVX2", "AVX2, F16C, FMA")
    assert "SOURCE_DATE_EPOCH" not in slow.advice
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert "SOURCE_DATE_EPOCH is set" in checks._built_for("v", {"system_info": "CPU : SSE3 = 1 |"}).advice
    full = checks._built_for("v", {"system_info": "CPU : AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | "})
    assert full == Check("llama.cpp", "v, built for AVX, AVX2, F16C, FMA, processor only")


def test_a_damaged_model_is_told_and_llama_cpp_not_tried_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> Path:
        raise DamagedModel("it is not the file it should be. Install it again.")

    monkeypatch.setattr(models, "packaged", damaged)
    model = checks._packaged()
    assert (model.status, model.advice) == ("warn", "it is not the file it should be. Install it again.")
    assert checks._llama_cpp(model).advice == "Fix the packaged model first."
    assert checks._engine(llama_cpp_works=True).status == "fail"


LIGHT = """
import sys
from importlib import metadata
sys.modules["llama_cpp"] = None
real = metadata.version
def version(name):
    if name == "llama-cpp-python":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
from workbook.doctor import table
report = table()
print(report["llama.cpp"].status, report["Ollama"].status, report["Engine"].status, report.failed)
print(report["llama.cpp"].value, "|", report["Engine"].value)
"""


def test_a_light_setup_without_ollama_has_an_engine() -> None:
    run = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=True)
    first, second = run.stdout.splitlines()
    assert first.split() == ["warn", "warn", "OK", "False"]
    assert second.startswith("llama-cpp-python is not installed | embedded xllamacpp ")


# --- Ollama


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """A server that gives the answers in the returned dictionary, by path."""
    given: dict[str, object] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(given.get(self.path, {"error": "not found"})).encode()
            self.send_response(200 if self.path in given else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OLLAMA_HOST", f"http://127.0.0.1:{server.server_port}")
    yield given
    server.shutdown()
    server.server_close()


MISTRAL = {"models": [{"model": "mistral:latest", "size": 4_000_000_000, "digest": "d" * 64,
                       "details": {"family": "llama", "quantization_level": "Q4_K_M"}}]}  # fmt: skip
SHOW = {"capabilities": ["completion"], "details": {}, "model_info": {"general.parameter_count": 7}}


def test_an_ollama_with_a_model_is_named_with_it(ollama: dict[str, object]) -> None:
    ollama |= {"/api/tags": MISTRAL, "/api/version": {"version": "0.32.15"}, "/api/show": SHOW}
    assert checks._ollama() == Check("Ollama", "version 0.32.15, 1 model: mistral:latest")
    assert checks._engine(llama_cpp_works=False).value.startswith("ollama 0.32.15: mistral:latest, Q4_K_M")


def test_an_ollama_without_a_model_says_how_to_get_one(ollama: dict[str, object]) -> None:
    ollama |= {"/api/tags": {"models": []}, "/api/version": {"version": "0.32.15"}}
    check = checks._ollama()
    assert check.status == "warn"
    assert "ollama pull" in check.advice


def test_an_address_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://[bad")
    assert "OLLAMA_HOST is not an address" in checks._ollama().advice
