"""One answer: a checked request made to fit its window, sent to the model's process, its events sorted."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from programs.serve import tools as plain_tools
from programs.serve.bodies import AnswerRequest, SamplingAsked
from programs.serve.cards import Entry
from programs.serve.runner import Child, Pool, Refused

_PREAMBLE = 512  # bytes that a template may add to short messages
Messages = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """A piece of an answer. logprobs as llama.cpp's server gives them: token, logprob, bytes, top_logprobs."""

    content: str = ""
    thinking: str = ""
    logprobs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class End:
    """The end of an answer, and what it cost: counts of tokens, nanoseconds. context: prompt and answer as tokens.

    calls: tools that the model calls, each with id, name and arguments. reason: "stop" or "length".
    """

    reason: str
    n_prompt: int
    n_gen: int
    load_ns: int
    prompt_ns: int
    gen_ns: int
    calls: tuple[dict[str, Any], ...] = ()
    context: tuple[int, ...] = ()


Answer = AsyncGenerator[Part | End, None]


@dataclass(frozen=True)
class Ask:
    """A checked request. ``messages`` go through the template; without them ``prompt`` is read as it is.

    context: tokens before the prompt. grammar: "" for none.
    as_text: the answer is read as plain text, and ``End.context`` is filled.
    """

    entry: Entry
    asked: AnswerRequest
    options: SamplingAsked
    messages: tuple[dict[str, Any], ...] = ()
    prompt: str = ""
    context: tuple[int, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    grammar: str = ""
    as_text: bool = False

    @property
    def native_tools(self) -> bool:
        """Whether the model's own template knows tools."""
        return "tools" in self.entry.capabilities

    def template(self, messages: Messages) -> dict[str, Any]:
        """The fields of a request to llama.cpp's server that its template reads."""
        fields: dict[str, Any] = {"messages": list(messages)}
        if self.tools and self.native_tools:
            fields["tools"] = list(self.tools)
        if "thinking" in self.entry.capabilities:  # a grammar begins at the first token: no thinking then
            think = self.asked.think  # None: if it can
            effort = {"reasoning_effort": think} if isinstance(think, str) else {}
            fields["chat_template_kwargs"] = {"enable_thinking": not self.grammar and think is not False, **effort}
        return fields


async def answered(pool: Pool, ask: Ask) -> Answer:
    """The parts of an answer, then its end. Leaving early stops the generation. Raises Refused."""
    async with pool.child(ask.entry, ask.options.setting(ask.entry), ask.asked.keep_alive) as child:
        route, body = await _request(child, ask)
        sorter = _Sorter(ask)
        async with aclosing(child.stream(route, body)) as events:  # type: ignore[type-var]
            async for event in events:
                part = sorter.add(event)
                if part != Part():
                    yield part
        if rest := sorter.rest():
            yield Part(rest)
        prompt = body.get("prompt", "")
        context = await tokens(child, prompt) if ask.as_text and isinstance(prompt, str) else prompt
        yield sorter.end(child.load_ns, context)


async def gathered(answer: Answer) -> tuple[Part, End]:
    """A whole answer in one part, and its end. Raises Refused."""
    parts: list[Part] = []
    async with aclosing(answer):
        async for one in answer:
            if isinstance(one, End):
                content, thinking = "".join(p.content for p in parts), "".join(p.thinking for p in parts)
                return Part(content, thinking, tuple(token for p in parts for token in p.logprobs)), one
            parts.append(one)
    raise Refused(500, "the model gave no answer")


async def _request(child: Child, ask: Ask) -> tuple[str, dict[str, Any]]:
    """Route and body of the request to llama.cpp's server, made to fit. Raises Refused (400)."""
    num_ctx, n_predict = child.setting.num_ctx, ask.options.num_predict
    n_predict = n_predict if n_predict >= 0 else 10 * num_ctx
    messages: Messages = ask.messages
    if ask.tools and not ask.native_tools and len(json.dumps(ask.tools)) < 2 * num_ctx:  # else they fill the window
        messages = plain_tools.told(messages, ask.tools)
    prompt: Any = ask.prompt
    size = len(ask.prompt.encode()) + len(ask.context) + sum(len(json.dumps(m)) for m in (*messages, *ask.tools))
    if size + _PREAMBLE + (0 if ask.asked.shift else n_predict) > num_ctx:  # a token is a byte at least: else all fits
        prompt, messages, n_prompt = await _fitted(child, ask, messages)
        n_predict = n_predict if ask.asked.shift else min(n_predict, num_ctx - n_prompt)
    elif messages and ask.as_text:
        prompt = await _rendered(child, ask, messages)
    if ask.context and isinstance(prompt, str):
        prompt = [*ask.context, *await tokens(child, prompt, special=False)]
    fields = ask.options.for_llama() | {"stream": True, "cache_prompt": True, "n_keep": ask.options.num_keep}
    fields |= {"grammar": ask.grammar} if ask.grammar else {}
    if prompt or not messages:
        if not prompt:
            raise Refused(400, "the prompt has no tokens")
        fields |= {"n_probs": max(ask.asked.top_logprobs, 1)} if ask.asked.logprobs else {}
        return "/completion", fields | {"prompt": prompt, "n_predict": n_predict, "return_tokens": ask.as_text}
    fields |= {"logprobs": True, "top_logprobs": max(ask.asked.top_logprobs, 1)} if ask.asked.logprobs else {}
    fields |= {"max_tokens": n_predict, "reasoning_format": "deepseek"}
    return "/v1/chat/completions", fields | ask.template(messages)


async def _fitted(child: Child, ask: Ask, messages: Messages) -> tuple[Any, Messages, int]:
    """What fits the window: the prompt as tokens, or the messages; and the tokens of either.

    As Ollama does: first the oldest messages go, never the system's and those from the last question on; then the
    prompt's middle. Raises Refused (400) where nothing may be cut, or a tool's result is what does not fit.
    """
    num_ctx, num_keep = child.setting.num_ctx, ask.options.num_keep

    def left(first: int) -> Messages:
        return [m for m in messages[:first] if m["role"] == "system"] + list(messages[first:])

    async def count(first: int) -> int:
        return len(await tokens(child, await _rendered(child, ask, left(first))))

    question = max((at for at, m in enumerate(messages) if m["role"] == "user"), default=len(messages) - 1)
    low, high = 0, question if messages and ask.asked.truncate else 0  # the fewest oldest messages to leave out
    while low < high:
        middle = (low + high) // 2 if low else 0  # mostly all of them fit: that is asked first
        low, high = (low, middle) if await count(middle) <= num_ctx else (middle + 1, high)
    prompt = await _rendered(child, ask, left(low)) if messages else ask.prompt
    whole = [*ask.context, *await tokens(child, prompt, special=not ask.context)]
    if len(whole) < num_ctx:
        return whole if ask.as_text or not messages else "", left(low), len(whole)
    if not (ask.asked.truncate and ask.asked.shift) or question < len(messages) - 1:
        said = "the prompt is longer than the context length of num_ctx tokens: shorten it, or raise num_ctx"
        raise Refused(400, f"{said} ({len(whole)} tokens, num_ctx {num_ctx})")
    # The first tokens stay (num_keep -1: as many as can), then the end; half of what is left is free for the answer.
    keep = num_keep + len(await tokens(child, "")) if num_keep >= 0 else num_ctx
    keep = min(keep, num_ctx - 1)
    end = num_ctx - max((num_ctx - keep) // 2, 1) - keep
    cut = whole[:keep] + (whole[-end:] if end > 0 else [])
    return cut, messages, len(cut)


async def _rendered(child: Child, ask: Ask, messages: Messages) -> str:
    return str((await child.post("/apply-template", ask.template(messages)))["prompt"])


async def tokens(child: Child, text: str, special: bool = True) -> list[int]:
    """The tokens of a text; ``special``: with those that begin and end one."""
    asked = {"content": text, "add_special": special, "parse_special": True}
    return list((await child.post("/tokenize", asked))["tokens"])


class _Sorter:
    """Makes parts of the events of one answer; keeps what comes with its end."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._names = [tool["function"]["name"] for tool in ask.tools] if not ask.native_tools else []
        self._held = ""  # what may become a call in plain text
        self._said = False
        self._calls: dict[int, dict[str, str]] = {}
        self._tokens: list[int] = []
        self._timings: dict[str, Any] = {}
        self._reason = "stop"

    def add(self, event: dict[str, Any]) -> Part:
        """The part that an event of /completion or /v1/chat/completions makes."""
        self._timings = event.get("timings") or self._timings
        self._tokens += event.get("tokens", ())
        choice = (event.get("choices") or [{}])[0]
        delta = choice.get("delta") or event  # /completion has no choices
        if event.get("stop_type") == "limit" or choice.get("finish_reason") == "length":
            self._reason = "length"
        for piece in delta.get("tool_calls") or ():
            call = self._calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] = call["id"] or piece.get("id") or ""
            for key, text in piece.get("function", {}).items():
                call[key] += text or ""
        logprobs = event.get("completion_probabilities") or (choice.get("logprobs") or {}).get("content") or ()
        content = delta.get("content") or ""
        if self._names:
            self._held += content
            content = ""
            if not plain_tools.may_call(self._held):
                content, self._held, self._names = self._held, "", []
        thinking = delta.get("reasoning_content") or ""
        self._said = self._said or bool(content or thinking)
        return Part(content, thinking, tuple(logprobs))

    def rest(self) -> str:
        """What was held back and is no call; and a call that was cut off, as the text that it is."""
        text = self._held
        if called := plain_tools.call(text, self._names):
            self._calls[0] = {"id": "", "name": called["name"], "arguments": json.dumps(called["arguments"])}
            text = ""
        for index, call in list(self._calls.items()):
            if not isinstance(_object(call["arguments"]), dict):
                text += f'{{"name": {json.dumps(call["name"])}, "arguments": {call["arguments"]}'
                del self._calls[index]
        if self._ask.tools and self._reason == "length" and not (self._said or text or self._calls):
            return "[num_predict was reached where a tool call began]"
        return text

    def end(self, load_ns: int, prompt: Sequence[int]) -> End:
        """The end of the answer; ``prompt``: its tokens."""
        t, calls = self._timings, self._calls.values()
        return End(
            reason=self._reason, n_prompt=t.get("cache_n", 0) + t.get("prompt_n", 0), n_gen=t.get("predicted_n", 0),
            load_ns=load_ns, prompt_ns=int(t.get("prompt_ms", 0) * 1e6), gen_ns=int(t.get("predicted_ms", 0) * 1e6),
            calls=tuple({**c, "id": c["id"] or secrets.token_hex(16), "arguments": _object(c["arguments"])} for c in calls),
            context=(*prompt, *self._tokens) if self._ask.as_text else (),
        )  # fmt: skip


def _object(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
