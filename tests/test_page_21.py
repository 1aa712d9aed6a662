"""Page 21: its helper for commands, its played servers, its sums and what it deletes; no Ollama is needed here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import gguf
import httpx
import nbformat
import ollama
import pytest

from workbook import endpoint, facts, models, paths

PAGE = paths.root() / "notebooks" / "2_apis" / "21_ollama.ipynb"
CELLS = {cell.id: cell.source for cell in nbformat.read(PAGE, 4).cells if cell.cell_type == "code"}
KNOWN = {
    "hashlib": hashlib, "json": json, "os": os, "re": re, "shlex": shlex, "shutil": shutil, "subprocess": subprocess,
    "threading": threading, "time": time, "httpx": httpx, "ollama": ollama, "facts": facts,
    "BaseHTTPRequestHandler": BaseHTTPRequestHandler, "ThreadingHTTPServer": ThreadingHTTPServer,
}  # fmt: skip
PYTHON = shlex.quote(sys.executable.replace("\\", "/"))


def run(*names: str, **given: Any) -> dict[str, Any]:
    """The names that these cells of the page leave behind."""
    space: dict[str, Any] = {**KNOWN, **given}
    for name in names:
        exec(compile(CELLS[name], name, "exec", dont_inherit=True), space)
    return space


@pytest.fixture
def sh() -> Any:
    at = SimpleNamespace(url="http://127.0.0.1:1")
    return run("sh", MODEL="phi3:mini", server=at)["sh"]


def test_a_model_of_the_cloud_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBOOK_MODEL", raising=False)
    there = ["gpt-oss:120b-cloud", "glm-4.6:cloud", "all-minilm:latest", "mistral:latest"]
    shown = {name: SimpleNamespace(capabilities=["completion"]) for name in there}
    shown["all-minilm:latest"].capabilities = ["embedding"]
    models_there = SimpleNamespace(models=[SimpleNamespace(model=name) for name in there])
    client = SimpleNamespace(show=shown.__getitem__, list=lambda: models_there)
    assert run("model", "model-checked", client=client)["MODEL"] == "mistral:latest"


def test_a_command_goes_to_the_server_and_the_model_that_were_found(sh: Any, capsys: Any) -> None:
    show = "import os, sys; print(sys.argv[1:], os.environ['OLLAMA_HOST'])"
    said = sh(f'{PYTHON} -c "{show}" http://localhost:11434/api/tags mistral-nemo', "shows")
    assert said == "['http://127.0.0.1:1/api/tags', 'phi3:mini'] http://127.0.0.1:1"
    assert "localhost:11434/api/tags phi3:mini" in capsys.readouterr().out, "what a reader can type"


def test_a_command_that_is_missing_is_said_and_not_run(sh: Any, capsys: Any) -> None:
    assert sh("no-such-program list", "lists the models") == ""
    assert "(no-such-program is not on this machine; it lists the models)" in capsys.readouterr().out


def test_a_command_without_end_is_ended(sh: Any) -> None:
    assert sh(f'{PYTHON} -c "import time; time.sleep(60)"', "sleeps", limit=0.5) == "no end within 0.5 s"


def test_a_command_reads_nothing_and_its_colours_are_dropped(sh: Any) -> None:
    assert sh(rf"{PYTHON} -c 'print(repr(input()))'", "asks").startswith("EOFError"), "the last line of the error"
    assert sh(rf"{PYTHON} -c 'print(chr(27) + chr(91) + str(31) + chr(109) + str(7))'", "colours") == "7"


def test_tokens_per_second(capsys: Any) -> None:
    client = SimpleNamespace(generate=lambda *_, **__: reply)
    reply = ollama.GenerateResponse(
        response="x", total_duration=20_000_000_000, load_duration=1_000_000_000, prompt_eval_count=50,
        prompt_eval_duration=2_000_000_000, eval_count=240, eval_duration=8_000_000_000,
    )  # fmt: skip
    run("durations", client=client, MODEL="x", SHORT={})
    out = capsys.readouterr().out
    assert re.findall(r"= +([\d.]+)/s", out) == ["25.0", "30.0"] * 2
    assert "load    1.00 s" in out


@pytest.fixture
def played() -> Iterator[dict[str, Any]]:
    space = run("registry", "played")
    space["played"], space["address"] = space["play"](space["Registry"])
    yield space
    space["played"].shutdown()
    space["played"].server_close()


def test_the_played_registry_gives_what_its_manifest_names(played: dict[str, Any]) -> None:
    at = f"http://{played['address']}/v2/library/workbook-demo"
    manifest = httpx.get(f"{at}/manifests/latest").json()
    for one in [manifest["config"], *manifest["layers"]]:
        assert int(httpx.head(f"{at}/blobs/{one['digest']}").headers["Content-Length"]) == one["size"]
        moved = httpx.get(f"{at}/blobs/{one['digest']}")
        assert moved.status_code == 307
        assert moved.headers["Location"].startswith("http://localhost:"), "another host, as Ollama wants it"
    content = httpx.get(moved.headers["Location"].replace("localhost", "127.0.0.1"), headers={"Host": "localhost"})
    assert "sha256:" + hashlib.sha256(content.content).hexdigest() == one["digest"]
    assert httpx.get(f"{at}/manifests/missing").status_code == 404


def test_only_what_the_page_made_is_deleted(capsys: Any) -> None:
    theirs = ["mistral:latest", "workbook-demo:mine", "my-workbook-demo:latest", "workbook-demo-10:latest"]
    ours = ["workbook-demo:latest", "workbook-demo-2:latest", "127.0.0.1:4711/library/workbook-demo:latest"]
    kept = theirs + ours

    class Client:
        def list(self) -> Any:
            return SimpleNamespace(models=[SimpleNamespace(model=name) for name in kept])

        def delete(self, name: str) -> Any:
            kept.remove(name)
            return SimpleNamespace(status="success")

    registry = SimpleNamespace(shutdown=lambda: None, server_close=lambda: None)
    space = run("clean", client=Client(), registry=registry)
    assert kept == theirs
    run("clean-checked", left=space["left"], DEMO=space["DEMO"], mine=ours, MODEL="mistral:latest",
        server=SimpleNamespace(kind="ollama"))  # fmt: skip
    with pytest.raises(AssertionError):
        run("clean-checked", left=theirs + ours, DEMO=space["DEMO"], mine=ours, MODEL="mistral:latest",
            server=SimpleNamespace(kind="ollama"))  # fmt: skip


def test_an_error_is_one_line_and_a_mistake_of_ours_is_not_hidden() -> None:
    tried = run("tried")["tried"]

    def fails() -> None:
        raise ollama.ResponseError("model 'x' not found", 404)

    assert tried(fails) == "ResponseError: model 'x' not found (status code: 404)"
    with pytest.raises(ZeroDivisionError):
        tried(lambda: 1 / 0)


def test_the_buffer_that_did_not_fit_is_the_kv_cache_that_the_page_computes(capsys: Any) -> None:
    fields = gguf.GGUFReader(models.packaged()).fields
    info = {name: field.contents() for name, field in fields.items()}
    client = SimpleNamespace(show=lambda _: SimpleNamespace(modelinfo=info))
    psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=1 << 30))
    space = run("oom", "oom-checked", client=client, psutil=psutil, MODEL="smollm2:135m")
    assert space["per_token"] * space["seen"]["num_ctx"] == space["seen"]["buffer_bytes"] == 180 * 2**20
    assert "180.00 MB" in space["seen"]["said"]


def test_a_model_of_another_build_is_not_reckoned(capsys: Any) -> None:
    info = {"general.architecture": "x", "x.block_count": 2, "x.attention.head_count": 8, "x.embedding_length": 64}
    psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=1 << 30))
    for kv_heads, said in ((4, "x: 256 bytes"), (None, "x: ? bytes"), ([4, 0], "x: ? bytes")):
        show = SimpleNamespace(modelinfo={**info, "x.attention.head_count_kv": kv_heads})
        run("oom", "oom-checked", client=SimpleNamespace(show=lambda _, show=show: show), psutil=psutil, MODEL="x")
        assert said in capsys.readouterr().out


def test_the_contract_of_exercise_21_3_is_cut_as_measured() -> None:
    row = facts.table("ollama_truncation").query("num_ctx == 4096 and tokens_sent == 9000").iloc[0]
    assert row["default_num_ctx"] == "yes"
    exercise = CELLS["exercise-3"]
    assert f"has {row['tokens_sent']} tokens" in exercise
    assert f"prompt_eval_count is {row['tokens_read']}" in exercise


def test_the_stand_in_does_what_the_table_of_routes_says() -> None:
    bodies = {"/api/generate": {"model": "smollm2:135m", "prompt": ""}, "/api/chat": {"model": "smollm2:135m"}}
    with endpoint.ready(quiet=True, stand_in=True) as url:
        for row in facts.table("ollama_routes").itertuples():
            body = bodies.get(row.path, {"model": "all-minilm"}) if row.method != "GET" else None
            status = httpx.request(row.method, url + row.path, json=body, timeout=60).status_code
            assert status == (501 if row.stand_in == "no" else 200), row.path


def test_a_stream_that_dies_is_told(capsys: Any) -> None:
    space = run("registry", "played", "cut")
    assert space["got"] == ["Salut", " Mis"]
    assert "RemoteProtocolError: peer closed connection" in capsys.readouterr().out
