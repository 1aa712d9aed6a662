"""Page 22: no key in any output, error or log; its trials and its account of the client, held to the client itself."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import page_cells
import pytest
from openai import OpenAI

from programs.site import normalize
from programs.site.execute import SHOWN_ALIKE, execute
from workbook import exercises, facts, leaks, paths

PAGE = paths.root() / "notebooks" / "2_apis" / "22_openai_compatible.ipynb"
CELLS = page_cells.load("2_apis/22_openai_compatible.ipynb")
WAITING = {"retries", "retries-checked", "defaults", "streams", "streams-checked"}
"""Cells that wait for servers without keys."""
KEY = "cle-plantee-0123456789abcdef"
CALM = ["bleu", "comme", "le", "ciel", "et", "le", "jour", "qui", "va", "dans", "la", "nuit"]
WILD = ["vert", "trois", "une", "pierre", "saute", "puis", "rien", "du", "tout", "ne", "dort", "plus"]


class Fake(BaseHTTPRequestHandler):
    """An Ollama of few words, and under /cloud a service that quotes the key in its refusal."""

    def do_GET(self) -> None:
        self._send({"models": [{"name": "m"}], "data": [{"id": "m", "object": "model"}], "version": "0"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/cloud"):
            said = f"no such key: {self.headers['Authorization']}"
            return self._send({"error": {"message": said}}, 401)
        if self.path == "/api/show":
            return self._send({"model_info": {"general.parameter_count": 1000000000}})
        if asked["model"] != "m":
            return self._send({"error": {"message": "not found"}}, 404)
        words = (WILD if asked.get("temperature") else CALM)[: asked.get("max_tokens", 12)]
        return self._stream(words) if asked.get("stream") else self._send(_reply(words, delta=False))

    def _stream(self, words: list[str]) -> None:
        lines = [_reply([word], delta=True) | {"usage": None} for word in words]
        self._send(
            b"".join(b"data: %s\n\n" % json.dumps(line).encode() for line in [*lines, _reply(words, delta=True)])
        )

    def _send(self, said: dict[str, Any] | bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if isinstance(said, dict) else "text/event-stream")
        self.end_headers()
        self.wfile.write(json.dumps(said).encode() if isinstance(said, dict) else said)

    def log_message(self, *_: object) -> None:
        pass


def _reply(words: list[str], delta: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": " ".join(words)}
    choice = {"index": 0, "delta" if delta else "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 9 + len(words)}
    return {"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage}


@pytest.fixture
def fake() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    planted = {f"{name}_API_KEY": KEY for name in ("LLAMA", "VLLM", "OPENAI", "OPENROUTER")}
    there = {f"{name}_BASE_URL": f"{url}/cloud/v1" for name in ("LLAMA", "VLLM", "OPENAI", "OPENROUTER")}
    named = {f"{name}_MODEL": "m" for name in ("LLAMA", "VLLM", "OPENROUTER")}
    return {**kept, **SHOWN_ALIKE, **planted, **there, **named, "OLLAMA_HOST": url, "OPENAI_LOG": "debug"}


def test_no_key_in_any_output_error_or_log(fake: str) -> None:
    """Every place asked with a planted key that the service quotes back, the client's log on."""
    notebook = normalize.load(PAGE.read_bytes(), "22")
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") not in WAITING]
    execute(notebook, PAGE.parent, environment(fake), cell_timeout_s=120)
    shown = "\n".join(leaks.texts([json.loads(json.dumps(cell.get("outputs", []))) for cell in notebook.cells]))
    shown += json.dumps(notebook.metadata.get("widgets", {}))
    assert "AuthenticationError: Error code: 401 - no such key: Bearer (key)" in shown, (
        "the key was quoted and taken out"
    )
    assert "HTTP Request: POST" in shown, "the client's log was on"
    assert KEY not in shown
    assert KEY[:12] not in shown


def answer(words: str, **more: Any) -> Any:
    choice = SimpleNamespace(message=SimpleNamespace(content=more.get("content", words)), logprobs=more.get("logprobs"))
    count = SimpleNamespace(completion_tokens=len(words.split()))
    return SimpleNamespace(choices=[choice] * more.get("n", 1), usage=count)


def obeying(p: Any, messages: Any, limit: int, **s: Any) -> Any:
    """A server that does all it is told; two of the fields that it does not know it refuses."""
    extra = s.get("extra_body", {})
    if "no_such_setting" in extra:
        request = httpx.Request("POST", "http://x")
        raise openai.BadRequestError("unknown", response=httpx.Response(400, request=request), body=None)
    hot = s.get("temperature") and s.get("top_p") != 0.0001 and not extra.get("top_k") and not extra.get("min_p")
    words = WILD if hot and s.get("seed") == 7 else WILD[::-1] if hot else CALM
    if extra or s.keys() & {"frequency_penalty", "presence_penalty", "logit_bias"}:
        words = words if "top_k" in extra or "min_p" in extra else CALM[::-1]
    words = words[: s.get("max_tokens", s.get("max_completion_tokens", limit))]
    words = words[:1] if "stop" in s else words
    return answer(
        '{"oiseau"' if "response_format" in s else " ".join(words), n=s.get("n", 1), logprobs=s.get("logprobs")
    )


def tried(ask: Any) -> dict[str, str]:
    space = page_cells.run(CELLS, "ask", "trials", "settings", "trials-list", "probe", bird="bird", salut=[])
    space["ask"] = ask
    found: dict[str, str] = space["probe"](None)
    return found


def test_the_trials_tell_obeyed_from_ignored_and_refused() -> None:
    assert set(tried(obeying).values()) == {"obeyed", "refused (400)"}
    assert tried(obeying)["no_such_setting"] == "refused (400)"

    def deaf(p: Any, messages: Any, limit: int, **s: Any) -> Any:
        return answer(" ".join(WILD if s.get("temperature") else CALM) + " " * len(ticks.append(1) or ticks))

    ticks: list[int] = []
    heard = {name for name, verdict in tried(deaf).items() if verdict != "ignored"}
    assert heard == {"frequency_penalty", "presence_penalty", "repeat_penalty", "repetition_penalty", "logit_bias",
                     "no_such_setting", "temperature"}, "texts that differ by themselves deceive the trials"  # fmt: skip

    def steady(p: Any, messages: Any, limit: int, **s: Any) -> Any:
        return answer(" ".join(CALM))

    unclear = {name for name, verdict in tried(steady).items() if verdict == "cannot tell"}
    assert unclear == {"top_k", "top_p", "min_p", "seed", "frequency_penalty", "presence_penalty"}
    assert tried(steady)["repetition_penalty"] == tried(steady)["temperature"] == "ignored"


def test_the_table_has_every_server_and_setting_once() -> None:
    known = facts.table("openai_ignored")
    settings = set(page_cells.run(CELLS, "trials", "settings", "trials-list")["TRIALS"])
    assert known.groupby("server")["setting"].apply(set).eq(settings).all()
    assert not known.duplicated(["server", "setting"]).any()
    assert set(known["outcome"].dropna()) == {"obeyed", "ignored", "refused (400)", "by model"}
    assert known.query("how == 'measured'")["outcome"].notna().all()
    assert set(known.query("how == 'measured'")["server"]) == {"Ollama", "llama-server", "workbook serve"}


def test_the_waits_of_exercise_22_2_are_the_clients_own() -> None:
    """The client shortens a wait of its own by chance, to three quarters at least."""
    space: dict[str, Any] = {}
    exec(exercises.load(paths.data() / "exercises" / f"{PAGE.stem}.yaml")["22.2"].solution, space)
    client = OpenAI(base_url="http://127.0.0.1:9", api_key="none")
    options = openai._models.FinalRequestOptions(method="post", url="/", max_retries=10)
    for attempt in range(7):
        for after in (None, 3):
            headers = httpx.Headers({"retry-after": str(after)} if after else {})
            waited = client._calculate_retry_timeout(10 - attempt, options, headers)
            wait = space["wait_s"](attempt, after)
            assert 0.75 * wait <= waited <= wait


def test_a_model_that_thinks_first_or_runs_elsewhere_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_MODEL", "thinks")
    there = {"mistral": "Bonjour", "gpt-oss:120b-cloud": "Hello", "thinks": None}

    def create(model: str, **_: Any) -> Any:
        assert "cloud" not in model
        return answer(there[model] or "", content=there[model])

    local = SimpleNamespace(
        models=SimpleNamespace(list=lambda: [SimpleNamespace(id=name) for name in reversed(there)]),
        chat=SimpleNamespace(completions=SimpleNamespace(create=create)),
    )
    here = SimpleNamespace(openai_url="x", kind="ollama")
    space = {"endpoint": SimpleNamespace(start=lambda quiet: here), "OpenAI": lambda **_: local, "os": os}
    assert page_cells.run(CELLS, "first", **space)["model"] == "mistral"
