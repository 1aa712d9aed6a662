"""Page 21: its helper for commands, the models it takes and the ones it deletes; no Ollama is needed here."""

from __future__ import annotations

import re
import shlex
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import ollama
import page_cells
import pytest

from workbook import endpoint, facts

CELLS = page_cells.load("2_apis/21_ollama.ipynb")
PYTHON = shlex.quote(sys.executable.replace("\\", "/"))


def listing(*names: str) -> Any:
    return SimpleNamespace(models=[SimpleNamespace(model=name) for name in names])


def test_a_model_of_the_cloud_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBOOK_MODEL", raising=False)
    there = ["gpt-oss:120b-cloud", "glm-4.6:cloud", "all-minilm:latest", "mistral:latest"]
    shown = {name: SimpleNamespace(capabilities=["completion"]) for name in there}
    shown["all-minilm:latest"].capabilities = ["embedding"]
    client = SimpleNamespace(show=shown.__getitem__, list=lambda: listing(*there))
    assert page_cells.run(CELLS, "model", "model-checked", client=client)["MODEL"] == "mistral:latest"


def test_commands_go_where_they_should_and_end(capsys: Any) -> None:
    server = SimpleNamespace(url="http://127.0.0.1:1")
    sh = page_cells.run(CELLS, "sh", MODEL="phi3:mini", server=server)["sh"]
    show = "import os, sys; print(sys.argv[1:], os.environ['OLLAMA_HOST'])"
    said = sh(f'{PYTHON} -c "{show}" http://localhost:11434/api/tags mistral-nemo', "shows")
    assert said == "['http://127.0.0.1:1/api/tags', 'phi3:mini'] http://127.0.0.1:1"
    assert "localhost:11434/api/tags phi3:mini" in capsys.readouterr().out, "what a reader can type"
    assert sh("no-such-program list", "lists the models") == ""
    assert "(no-such-program is not on this machine; it lists the models)" in capsys.readouterr().out
    assert sh(f'{PYTHON} -c "import time; time.sleep(60)"', "sleeps", limit=0.5) == "no end within 0.5 s"
    assert sh(rf"{PYTHON} -c 'print(repr(input()))'", "asks").startswith("EOFError"), "it reads nothing"
    colours = rf"{PYTHON} -c 'print(chr(27) + chr(91) + str(31) + chr(109) + str(7))'"
    assert sh(colours, "colours") == "7"


def test_tokens_per_second(capsys: Any) -> None:
    reply = ollama.GenerateResponse(
        response="x", total_duration=20_000_000_000, load_duration=1_000_000_000, prompt_eval_count=50,
        prompt_eval_duration=2_000_000_000, eval_count=240, eval_duration=8_000_000_000,
    )  # fmt: skip
    client = SimpleNamespace(generate=lambda *_, **__: reply)
    page_cells.run(CELLS, "durations", client=client, MODEL="x", SHORT={})
    out = capsys.readouterr().out
    assert re.findall(r"= +([\d.]+)/s", out) == ["25.0", "30.0"] * 2
    assert "load    1.00 s" in out


def test_only_what_the_page_made_is_deleted() -> None:
    theirs = ["mistral:latest", "workbook-demo:mine", "my-workbook-demo:latest", "workbook-demo-10:latest"]
    ours = ["workbook-demo:latest", "workbook-demo-2:latest", "127.0.0.1:4711/library/workbook-demo:latest"]
    kept = theirs + ours

    def delete(name: str) -> Any:
        kept.remove(name)
        return SimpleNamespace(status="success")

    client = SimpleNamespace(list=lambda: listing(*kept), delete=delete)
    registry = SimpleNamespace(shutdown=lambda: None, server_close=lambda: None)
    space = page_cells.run(CELLS, "clean", client=client, registry=registry)
    assert kept == theirs
    given = {"DEMO": space["DEMO"], "mine": ours, "MODEL": "mistral:latest", "server": SimpleNamespace(kind="ollama")}
    page_cells.run(CELLS, "clean-checked", left=space["left"], **given)
    with pytest.raises(AssertionError):
        page_cells.run(CELLS, "clean-checked", left=theirs + ours, **given)


def test_an_error_is_one_line_and_a_mistake_of_ours_is_not_hidden() -> None:
    tried = page_cells.run(CELLS, "tried")["tried"]

    def fails() -> None:
        raise ollama.ResponseError("model 'x' not found", 404)

    assert tried(fails) == "ResponseError: model 'x' not found (status code: 404)"
    with pytest.raises(ZeroDivisionError):
        tried(lambda: 1 / 0)


def test_the_cache_of_a_model_of_another_build_is_not_computed(capsys: Any) -> None:
    info = {"general.architecture": "x", "x.block_count": 2, "x.attention.head_count": 8, "x.embedding_length": 64}
    psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=1 << 30))
    for kv_heads, said in ((4, "x: 256 bytes"), (None, "x: ? bytes"), ([4, 0], "x: ? bytes")):
        show = SimpleNamespace(modelinfo={**info, "x.attention.head_count_kv": kv_heads})
        client = SimpleNamespace(show=lambda _, show=show: show)
        page_cells.run(CELLS, "oom", "oom-checked", client=client, psutil=psutil, MODEL="x")
        assert said in capsys.readouterr().out


def test_the_contract_of_exercise_21_3_is_cut_as_measured() -> None:
    row = facts.table("ollama_truncation").query("num_ctx == 4096 and tokens_sent == 9000").iloc[0]
    assert f"has {row['tokens_sent']} tokens" in CELLS["exercise-3"]
    assert f"prompt_eval_count is {row['tokens_read']}" in CELLS["exercise-3"]


def test_the_stand_in_does_what_the_table_of_routes_says() -> None:
    bodies = {"/api/generate": {"model": "smollm2:135m", "prompt": ""}, "/api/chat": {"model": "smollm2:135m"}}
    with endpoint.ready(quiet=True, stand_in=True) as url:
        for row in facts.table("ollama_routes").itertuples():
            body = bodies.get(row.path, {"model": "all-minilm"}) if row.method != "GET" else None
            status = httpx.request(row.method, url + row.path, json=body, timeout=60).status_code
            assert status == (501 if row.stand_in == "no" else 200), row.path
