"""Page 21 on the real Ollama: every assert in it, nothing left behind, and the failure that it only quotes."""

from __future__ import annotations

import os
from typing import Any

import httpx
from servers import NAME, Server, ollama_binary, tell

from programs.site import normalize
from programs.site.execute import SHOWN_ALIKE, execute
from workbook import facts, leaks, paths

PAGE = paths.root() / "notebooks" / "2_apis" / "21_ollama.ipynb"


def installed(url: str) -> set[tuple[str, str]]:
    return {(m["name"], m["digest"]) for m in httpx.get(f"{url}/api/tags", timeout=30).json()["models"]}


def outputs(notebook: Any, name: str) -> str:
    (cell,) = [cell for cell in notebook.cells if cell.id == name]
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_page_on_the_real_ollama(at_ollama: Server) -> None:
    binary = ollama_binary()
    assert binary is not None
    before = installed(at_ollama.url)
    notebook = normalize.load(PAGE.read_bytes(), PAGE.name)
    path = os.pathsep.join([str(binary.parent), os.environ["PATH"]])
    env = {**os.environ, **SHOWN_ALIKE, "OLLAMA_HOST": at_ollama.url, "WORKBOOK_MODEL": NAME, "PATH": path}
    execute(notebook, PAGE.parent, env, cell_timeout_s=180)
    assert installed(at_ollama.url) == before, "the user's models, and nothing else"
    assert leaks.refusals(notebook) == []
    assert "Ollama (it answers)" in outputs(notebook, "find")
    assert outputs(notebook, "create").count("success") == 2
    pulled = outputs(notebook, "pull")
    for said in ("of 3,000,000 B", "file does not exist", "connection refused", "(status code: -1)"):
        assert said in pulled
    assert "success" in outputs(notebook, "modelfile")


def test_the_routes_and_commands_of_the_table(ollama: Server) -> None:
    told = tell(ollama, "help")
    for row in facts.table("ollama_routes").fillna("").itertuples():
        reply = httpx.request(row.method, ollama.url + row.path, json=None if row.method == "GET" else {}, timeout=30)
        assert reply.status_code != 405, row.path
        assert not reply.text.startswith("404 page not found"), row.path
        if row.command:
            assert f"  {row.command.removeprefix('ollama ')} " in told or row.command.endswith("--version")
    assert httpx.get(f"{ollama.url}/api/nothing").text.startswith("404 page not found"), "this would be seen"


def test_a_system_message_replaces_the_recipes(at_ollama: Server) -> None:
    def read(model: str, *messages: str) -> int:
        roles = ["system", "user"][-len(messages) :]
        said = [{"role": role, "content": text} for role, text in zip(roles, messages, strict=True)]
        body = {"model": model, "messages": said, "stream": False, "options": {"num_predict": 1, "num_thread": 1}}
        return int(httpx.post(f"{at_ollama.url}/api/chat", json=body, timeout=60).json()["prompt_eval_count"])

    body = {"model": "guided", "from": NAME, "system": "Tu es un guide de montagne.", "stream": False}
    httpx.post(f"{at_ollama.url}/api/create", json=body, timeout=60).raise_for_status()
    try:
        assert read("guided", "Salut !") > read(NAME, "Salut !")
        assert read("guided", "Dis oui.", "Salut !") == read(NAME, "Dis oui.", "Salut !")
    finally:
        httpx.request("DELETE", f"{at_ollama.url}/api/delete", json={"model": "guided"}, timeout=60)
