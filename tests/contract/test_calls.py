"""Every call of the pages and clients, sent to the real Ollama and to ``workbook serve``: a client sees no difference.

Ours answers alone where no Ollama is: then its status is held.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import pytest
from calls import ROUTES, Call
from servers import Server
from toolish import ASKED, TOOLISH, WEATHER, called, user
from wire import Reply, call, differences


def send(server: Server, one: Call) -> Reply:
    return call(server.url, one.method, one.path, one.body, one.headers)


@pytest.fixture(scope="module")
def mine(ours: Server) -> Callable[[Call], Reply]:
    """What ours answers, asked once."""
    return cache(partial(send, ours))


def error(reply: Reply) -> str:
    """The words of a refusal, in the form of its API; "" if it has another form."""
    if reply.kind != "application/json":
        return reply.text or "no words"
    found = reply.value.get("error")
    return str(found.get("message") if isinstance(found, dict) else found or "")


@pytest.mark.parametrize("routes", ROUTES)
def test_the_statuses_of_ours(mine: Callable[[Call], Reply], routes: str) -> None:
    """And a refusal is one line, in the form that the API's client reads."""
    wrong = []
    for one in ROUTES[routes]:
        reply = mine(one)
        if reply.status != (one.ours or one.status):
            wrong.append(f"{one.name}: {reply.status} {reply.text[:200]}")
        elif reply.status >= 400 and (not error(reply) or "\n" in error(reply)):
            wrong.append(f"{one.name}: {reply.text[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("routes", ROUTES)
def test_a_client_sees_no_difference(ollama: Server, mine: Callable[[Call], Reply], routes: str) -> None:
    wrong = []
    for one in ROUTES[routes]:
        theirs = send(ollama, one)
        if theirs.status != one.status:  # the calls themselves are held: two errors by a slip would be alike
            wrong.append(f"{one.name}: the real one answers {theirs.status} {theirs.text[:200]}")
        elif not one.ours:
            wrong += [f"{one.name}: {line}" for line in differences(theirs, mine(one), one.free)]
    assert not wrong, "\n".join(wrong)


def test_the_calls_show_calls_and_thinking(mine: Callable[[Call], Reply]) -> None:
    """A model that called nothing and thought nothing would compare nothing."""
    said = {one.name: mine(one).value for one in ROUTES["tools"] if "streamed" not in one.name}
    assert said["chat: a call"]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert len(said["chat: two calls"]["message"]["tool_calls"]) == 2
    assert said["chat: thinking"]["message"]["thinking"]
    assert said["v1 chat: reasoning"]["choices"][0]["message"]["reasoning"]
    assert said["v1 chat: a call"]["choices"][0]["finish_reason"] == "tool_calls"
    assert {"tools", "thinking"} <= set(said["show: a model with tools"]["capabilities"])


def test_a_call_that_is_cut_off_is_text_and_never_an_empty_answer(ours: Server) -> None:
    for n, says in ((3, "tool call"), (14, "get_weather"), (24, "get_weather"), (48, "")):
        options = {"num_predict": n, "repeat_penalty": 1.0, "temperature": 0, "num_thread": 1}
        body = {"model": TOOLISH, "messages": ASKED, "tools": [WEATHER], "stream": False, "options": options}
        said = call(ours.url, "POST", "/api/chat", body).value
        assert said["done_reason"] == ("stop" if n == 48 else "length")
        assert says in said["message"]["content"]
        assert bool(said["message"].get("tool_calls")) is (n == 48)


def test_an_over_long_talk_with_tools_keeps_the_question(ours: Server) -> None:
    asked = [user("The weather in Paris?"), called("Paris")]
    talk = [user("Hello. " * 200), {"role": "assistant", "content": "Hello."}, *asked]
    for result, status in (("Sunny. " * 20, 200), ("Sunny. " * 300, 400)):
        told = {"role": "tool", "tool_name": "get_weather", "content": result}
        body = {"model": TOOLISH, "messages": [*talk, told], "tools": [WEATHER], "stream": False}
        reply = call(
            ours.url, "POST", "/api/chat", body | {"options": {"num_ctx": 512, "num_predict": 1, "num_thread": 1}}
        )
        assert reply.status == status, reply.text
        if status == 200:  # what is read is the end of the talk with its question, not the greeting
            alone = call(
                ours.url, "POST", "/api/chat", body | {"messages": [*asked, told], "options": {"num_predict": 1}}
            )
            more = reply.value["prompt_eval_count"] - alone.value["prompt_eval_count"]
            assert 0 <= more < 20, "the greeting before it may stay, its 200 words may not"


def test_what_ours_does_not_do_it_says_in_one_line(ours: Server) -> None:
    for method, path in (("POST", "create"), ("POST", "copy"), ("POST", "push"), ("DELETE", "delete")):
        reply = call(ours.url, method, f"/api/{path}", {"model": TOOLISH, "source": TOOLISH, "destination": "x"})
        assert reply.status == 501, path
        assert "ollama.com" in error(reply)
        assert "\n" not in error(reply)
