"""Ollama's requests checked, in Ollama's order, and turned into work for a model."""

from __future__ import annotations

import json
from dataclasses import dataclass

from programs.serve import refusals, request_options
from programs.serve.catalogue import NAME, Catalogue, Entry
from programs.serve.jobs import ChatMessage, Generate, Setting, ToolCall
from programs.serve.ollama_api import ChatRequest, GenerateRequest, Message
from programs.serve.runner import Pool, Refused
from programs.serve.templates import as_llama_server, begun_in
from programs.serve.toolcalls import described, tag_of
from workbook.errors import ModelNotFound

MAX_PROMPT_CHARS, MAX_TOOL_NAME = 4_000_000, 256


@dataclass(frozen=True)
class Service:
    """What the routes answer from."""

    catalogue: Catalogue
    pool: Pool


@dataclass(frozen=True)
class EngineWork:
    """A checked request: what is run, where, and how its answer is read (thinking, calls of these tools)."""

    entry: Entry
    job: Generate
    setting: Setting | None
    keep_alive_s: float | None
    thinks: bool = False
    tools: tuple[str, ...] = ()
    tag: str = ""
    begun: str = ""  # the assistant's words that the answer goes on from, and holds


def find(service: Service, name: str, pulling: bool = False) -> Entry:
    """The model of that name. Raises Refused: 400 if it cannot be a name, 404 if there is none."""
    bare = name.strip()
    if not NAME.fullmatch(bare):
        raise Refused(400, "invalid model name")
    try:
        return service.catalogue.find(bare)
    except ModelNotFound:
        raise refusals.unknown(name, pulling) from None


def full_name(entry: Entry) -> str:
    """The name as Ollama's errors about what a model cannot do show it."""
    places = ("registry.ollama.ai", "library")
    return "/".join((*places[: 2 - min(entry.name.count("/"), 2)], entry.name))


def generate_work(entry: Entry, asked: GenerateRequest, wanted: request_options.Wanted) -> EngineWork:
    """The work of /api/generate. Raises Refused."""
    if asked.raw and (asked.template or asked.system or asked.context):
        raise Refused(400, "raw mode does not support template, system, or context")
    for given, what in (
        (asked.images, "images in requests"),
        (asked.suffix, "fill-in-the-middle (suffix)"),
        (asked.template, "custom templates"),
    ):
        if given:
            refusals.not_done(what)
    thinks = _thinks(entry, asked.model, asked.think)
    if "completion" not in entry.capabilities:
        raise Refused(400, f'"{asked.model}" does not support generate')
    form = request_options.answer_format(asked.format)
    _fits(asked.prompt, asked.system)
    system = (ChatMessage("system", asked.system),) if asked.system else ()
    job = Generate(
        prompt=asked.prompt if asked.raw else "",
        messages=() if asked.raw else (*system, ChatMessage("user", asked.prompt)),
        sampling=wanted.sampling,
        context=tuple(asked.context),
        think=_think(entry, asked.think, ""),
        format=form,
        truncate=asked.truncate,
        shift=asked.shift,
        with_context=not asked.raw,
    )
    return EngineWork(entry, job, wanted.setting, asked.keep_alive, thinks and not asked.raw and not form)


def chat_work(service: Service, entry: Entry, asked: ChatRequest, wanted: request_options.Wanted) -> EngineWork:
    """The work of /api/chat. Raises Refused."""
    if any(message.images for message in asked.messages):
        refusals.not_done("images in requests")
    thinks = _thinks(entry, asked.model, asked.think)
    if "completion" not in entry.capabilities:
        raise Refused(400, f'"{asked.model}" does not support chat')
    if asked.tools and "tools" not in entry.capabilities:
        raise refusals.lacks(full_name(entry), "tools")
    form = request_options.answer_format(asked.format)
    if asked.tools and asked.logprobs:
        raise Refused(400, as_llama_server("logprobs is not supported with tools + stream"))
    if any(tool.type != "function" for tool in asked.tools):
        raise Refused(400, as_llama_server("Failed to parse tools: Unsupported tool type"))
    offered = [described(tool.function.model_dump(exclude_unset=True)) for tool in asked.tools]
    tools = json.dumps(offered, ensure_ascii=False) if offered else ""
    _fits(tools, *(message.content + message.thinking for message in asked.messages))
    job = Generate(
        messages=tuple(_message(message) for message in asked.messages),
        sampling=wanted.sampling,
        tools=tools,
        think=_think(entry, asked.think, form),
        format=form,
        truncate=asked.truncate,
        shift=asked.shift,
    )
    template = service.catalogue.show(entry).template
    tag = tag_of(template) if offered else ""
    names = tuple(tool.function.name for tool in asked.tools)
    if any(len(name) > MAX_TOOL_NAME for name in names):
        raise Refused(400, f"tools: a name has at most {MAX_TOOL_NAME} characters here")
    return EngineWork(
        entry,
        job,
        wanted.setting,
        asked.keep_alive,
        thinks and not form,
        names,
        tag,
        begun_in(job.messages, template) or "",
    )


def _message(given: Message) -> ChatMessage:
    calls = tuple(
        ToolCall(call.function.name, json.dumps(call.function.arguments, ensure_ascii=False), call.id)
        for call in given.tool_calls
    )
    return ChatMessage(given.role.lower(), given.content, given.thinking, calls, given.tool_name, given.tool_call_id)


def _thinks(entry: Entry, name: str, think: bool | str | None) -> bool:
    """Whether the answer may hold thinking. Raises Refused (400) where it is asked of a model that has none."""
    if "thinking" in entry.capabilities:
        return think is None or bool(think)
    if think:
        raise Refused(400, f'"{name}" does not support thinking')
    return False


def _think(entry: Entry, think: bool | str | None, form: str) -> bool | str | None:
    """What the template is told. A grammar begins at the first token, so an answer to a format does not think."""
    if "thinking" not in entry.capabilities:
        return None
    return False if form else True if think is None else think


def _fits(*texts: str) -> None:
    if sum(map(len, texts)) > MAX_PROMPT_CHARS:
        raise Refused(400, f"a prompt has at most {MAX_PROMPT_CHARS} characters here")
