"""One answer: a checked request made to fit its window, sent to the model's process, its events sorted."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from programs.serve import tools as plain_tools
from programs.serve.bodies import SamplingAsked
from programs.serve.catalogue import Entry
from programs.serve.runner import Child, Overflow, Pool, Refused, Setting

TOO_LONG = "the prompt is longer than the context length of num_ctx tokens: shorten it, or raise num_ctx"
_PREAMBLE = 512  # bytes that a template may add to short messages


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


@dataclass(frozen=True)
class Ask:
    """A checked request. ``messages`` go through the template; without them ``prompt`` is read as it is.

    context: tokens before the prompt. grammar: "" for none. think None: the model thinks if it can.
    as_text: the answer is read as plain text, and ``End.context`` is filled.
    """

    entry: Entry
    options: SamplingAsked
    messages: tuple[dict[str, Any], ...] = ()
    prompt: str = ""
    context: tuple[int, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    grammar: str = ""
    think: bool | str | None = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0
    as_text: bool = False
    keep_alive_s: float | None = None

    @property
    def setting(self) -> Setting:
        """What the model is loaded with for it."""
        o = self.options
        return Setting(self.entry.window(o.num_ctx), o.num_batch, o.num_thread, o.num_gpu)

    @property
    def native_tools(self) -> bool:
        """Whether the model's own template knows tools."""
        return bool(self.tools) and "tools" in self.entry.capabilities

    def template(self, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The fields of a request to llama.cpp's server that its template reads."""
        told = {"tools": list(self.tools)} if self.native_tools else {}
        kwargs: dict[str, Any] = {}
        if "thinking" in self.entry.capabilities:  # a grammar begins at the first token: no thinking then
            kwargs["enable_thinking"] = not self.grammar and self.think is not False
            kwargs |= {"reasoning_effort": self.think} if isinstance(self.think, str) else {}
        return {"messages": list(messages), **told, **({"chat_template_kwargs": kwargs} if kwargs else {})}


async def answered(pool: Pool, ask: Ask) -> AsyncGenerator[Part | End, None]:
    """The parts of an answer, then its end. Leaving early stops the generation. Raises Refused."""
    async with pool.child(ask.entry, ask.setting, ask.keep_alive_s) as child:
        route, body = await _request(child, ask)
        answer = _Answer(ask, child.load_ns)
        async with aclosing(child.stream(route, body)) as events:  # type: ignore[type-var]
            async for event in events:
                if "error" in event:
                    raise Refused(500, " ".join(str(event["error"].get("message", "")).split())[:500])
                for part in answer.add(event):
                    yield part
        for part in answer.rest():
            yield part
        prompt = body.get("prompt", "")
        context = await _tokens(child, prompt) if ask.as_text and isinstance(prompt, str) else list(prompt)
        yield answer.end([token for token in context if isinstance(token, int)])


async def _request(child: Child, ask: Ask) -> tuple[str, dict[str, Any]]:
    """Route and body of the request to llama.cpp's server, made to fit. Raises Refused (400)."""
    num_ctx, wish = child.setting.num_ctx, ask.options.num_predict
    n_predict = wish if wish >= 0 else 10 * num_ctx
    messages: Sequence[dict[str, Any]] = ask.messages
    if ask.tools and not ask.native_tools:
        messages = plain_tools.told(messages, ask.tools)
    prompt: Any = ask.prompt
    size = len(ask.prompt.encode()) + len(ask.context) + sum(len(json.dumps(m)) for m in (*messages, *ask.tools))
    if size + _PREAMBLE + (0 if ask.shift else n_predict) > num_ctx:  # a token is a byte at least: else all fits
        prompt, messages, n_prompt = await _fitted(child, ask, messages)
        if not ask.shift:
            n_predict = min(n_predict, num_ctx - n_prompt)
    elif messages and ask.as_text:
        prompt = await _rendered(child, ask, messages)
    if ask.context and isinstance(prompt, str):
        prompt = [*ask.context, *await _tokens(child, prompt, special=False)]
    fields = ask.options.for_llama() | {"stream": True, "cache_prompt": True, "n_keep": ask.options.num_keep}
    fields |= {"grammar": ask.grammar} if ask.grammar else {}
    if prompt or not messages:
        if not prompt:
            raise Refused(400, "the prompt has no tokens")
        counted = {"n_probs": max(ask.top_logprobs, 1)} if ask.logprobs else {}
        return "/completion", fields | counted | {
            "prompt": prompt,
            "n_predict": n_predict,
            "return_tokens": ask.as_text,
        }
    scored = {"logprobs": True, "top_logprobs": max(ask.top_logprobs, 1)} if ask.logprobs else {}
    fields |= scored | {"max_tokens": n_predict, "reasoning_format": "deepseek", **ask.template(messages)}
    return "/v1/chat/completions", fields


async def _fitted(
    child: Child, ask: Ask, messages: Sequence[dict[str, Any]]
) -> tuple[Any, Sequence[dict[str, Any]], int]:
    """What fits the window: the prompt as tokens, or the messages; and the tokens of either.

    As Ollama does: first the oldest messages go, never the system's and those from the last question on; then the
    prompt's middle. Raises Overflow (400) where nothing may be cut, or a tool's result is what does not fit.
    """
    num_ctx = child.setting.num_ctx

    def left(first: int) -> list[dict[str, Any]]:
        return [m for m in messages[:first] if m["role"] == "system"] + list(messages[first:])

    async def count(first: int) -> int:
        return len(await _tokens(child, await _rendered(child, ask, left(first))))

    question = max((at for at, m in enumerate(messages) if m["role"] == "user"), default=len(messages) - 1)
    if messages and ask.truncate:
        low, high = 0, question  # the fewest oldest messages to leave out
        while low < high:
            middle = (low + high) // 2 if low else 0
            fits = await count(middle) <= num_ctx
            low, high = (low, middle) if fits else (middle + 1, high)
        messages = left(low)
    prompt = await _rendered(child, ask, messages) if messages else ask.prompt
    tokens = [*ask.context, *await _tokens(child, prompt, special=not ask.context)]
    if len(tokens) < num_ctx:
        return (tokens if ask.as_text or not messages else ""), messages, len(tokens)
    if not (ask.truncate and ask.shift) or question < len(messages) - 1:
        raise Overflow(400, f"{TOO_LONG} ({len(tokens)} tokens, num_ctx {num_ctx})")
    bos = await _tokens(child, "")
    cut = _cut(tokens, num_ctx, ask.options.num_keep + (len(bos) if ask.options.num_keep >= 0 else 0))
    return cut, messages, len(cut)


def _cut(tokens: list[int], num_ctx: int, num_keep: int) -> list[int]:
    """A prompt that does not fit: the first ``num_keep`` tokens (-1: as many as can be), then its end; half is free."""
    keep = min(len(tokens) if num_keep < 0 else num_keep, num_ctx - 1)
    left = num_ctx - max((num_ctx - keep) // 2, 1)
    return tokens[:keep] + (tokens[len(tokens) - (left - keep) :] if left > keep else [])


async def _rendered(child: Child, ask: Ask, messages: Sequence[dict[str, Any]]) -> str:
    return str((await child.post("/apply-template", ask.template(messages)))["prompt"])


async def _tokens(child: Child, text: str, special: bool = True) -> list[int]:
    asked = {"content": text, "add_special": special, "parse_special": True}
    return list((await child.post("/tokenize", asked))["tokens"])


class _Answer:
    """Sorts the events of one answer into parts; keeps what comes with its end."""

    def __init__(self, ask: Ask, load_ns: int) -> None:
        self._ask, self._load_ns = ask, load_ns
        self._names = [tool["function"]["name"] for tool in ask.tools] if not ask.native_tools else []
        self._held = ""
        self._calls: dict[int, dict[str, str]] = {}
        self._tokens: list[int] = []
        self._timings: dict[str, Any] = {}
        self._reason = "stop"

    def add(self, event: dict[str, Any]) -> list[Part]:
        """The parts that an event of /completion or /v1/chat/completions makes."""
        self._timings = event.get("timings") or self._timings
        if "choices" not in event:
            self._tokens += event.get("tokens", [])
            self._reason = "length" if event.get("stop_type") == "limit" else self._reason
            scored = tuple(event.get("completion_probabilities", ()))
            return self._parts(event.get("content", ""), "", scored)
        parts: list[Part] = []
        for choice in event["choices"]:
            delta = choice.get("delta", {})
            self._reason = "length" if choice.get("finish_reason") == "length" else self._reason
            for piece in delta.get("tool_calls") or ():
                call = self._calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] = call["id"] or piece.get("id") or ""
                for key, text in piece.get("function", {}).items():
                    call[key] += text or ""
            scored = tuple((choice.get("logprobs") or {}).get("content") or ())
            parts += self._parts(delta.get("content") or "", delta.get("reasoning_content") or "", scored)
        return parts

    def _parts(self, content: str, thinking: str, scored: tuple[dict[str, Any], ...]) -> list[Part]:
        if self._names:
            self._held += content
            if plain_tools.may_call(self._held):
                content = ""
            else:
                content, self._held, self._names = self._held, "", []
        return [Part(content, thinking, scored)] if content or thinking or scored else []

    def rest(self) -> list[Part]:
        """What was held back and is no call; and a call that was cut off, as the text that it is."""
        text, self._held = self._held, ""
        called = plain_tools.call(text, self._names) if text else None
        if called:
            self._calls[0] = {"id": "", "name": called["name"], "arguments": json.dumps(called["arguments"])}
            text = ""
        for index, call in list(self._calls.items()):
            if not isinstance(_object(call["arguments"]), dict):
                text += f'{{"name": {json.dumps(call["name"])}, "arguments": {call["arguments"]}'
                del self._calls[index]
        return [Part(text)] if text else []

    def end(self, prompt: list[int]) -> End:
        """The end of the answer; ``prompt``: its tokens."""
        t = self._timings
        return End(
            reason=self._reason, n_prompt=t.get("cache_n", 0) + t.get("prompt_n", 0), n_gen=t.get("predicted_n", 0),
            load_ns=self._load_ns, prompt_ns=int(t.get("prompt_ms", 0) * 1e6), gen_ns=int(t.get("predicted_ms", 0) * 1e6),
            calls=tuple(
                {"id": call["id"] or secrets.token_hex(16), "name": call["name"], "arguments": _object(call["arguments"])}
                for call in self._calls.values()
            ),
            context=(*prompt, *self._tokens) if self._ask.as_text else (),
        )  # fmt: skip


def _object(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
