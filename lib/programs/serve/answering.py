"""Answers to Ollama's requests as objects, whole or in pieces; the routes of both APIs send them."""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from programs.serve import refusals, request_options
from programs.serve.asking import EngineWork, Service, chat_work, find, generate_work
from programs.serve.bodies import now
from programs.serve.catalogue import Entry
from programs.serve.jobs import Begun, Done, Load, Sampling, Scored, Setting, Token
from programs.serve.ollama_answers import (
    CallAnswer,
    ChatAnswer,
    DebugInfo,
    FunctionAnswer,
    GenerateAnswer,
    Logprob,
    MessageAnswer,
    Metrics,
    TokenLogprob,
)
from programs.serve.ollama_api import ChatRequest, GenerateRequest
from programs.serve.runner import Refused
from programs.serve.thinking import ThinkingParser, ThinkingSplit
from programs.serve.toolcalls import Call, ToolParser


@dataclass(frozen=True)
class Part:
    """A piece of an answer, sorted into what it is."""

    content: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    scored: tuple[Scored, ...] = ()


@dataclass(frozen=True)
class _Clock:
    """When a request came and when it was checked, in nanoseconds; Ollama counts both, and the loading, as load."""

    began: int
    ready: int


async def generate(service: Service, asked: GenerateRequest) -> GenerateAnswer | AsyncGenerator[GenerateAnswer, None]:
    """The answer to /api/generate: one where nothing is generated, else its pieces. Raises Refused."""
    began = time.perf_counter_ns()
    wanted = request_options.read(asked.options, asked.logprobs, asked.top_logprobs)
    if not asked.model.strip():
        raise refusals.unknown(asked.model)
    entry = await asyncio.to_thread(find, service, asked.model)
    if not asked.prompt and asked.keep_alive == 0:
        await service.pool.unload(entry)
        return GenerateAnswer(model=asked.model, created_at=now(), done=True, done_reason="unload")
    work = generate_work(entry, asked, wanted)
    if not asked.prompt:
        await load(service, entry, wanted.setting, asked.keep_alive)
        return GenerateAnswer(model=asked.model, created_at=now(), done=True, done_reason="load")
    if asked.debug_render_only:
        return GenerateAnswer(model=asked.model, created_at=now(), debug_info=await _rendered(service, work))
    return _generated(service, asked.model, work, _Clock(began, time.perf_counter_ns()))


async def chat(service: Service, asked: ChatRequest) -> ChatAnswer | AsyncGenerator[ChatAnswer, None]:
    """The answer to /api/chat: one where nothing is generated, else its pieces. Raises Refused."""
    began = time.perf_counter_ns()
    wanted = request_options.read(asked.options, asked.logprobs, asked.top_logprobs)
    if not asked.model.strip():
        raise Refused(400, "model is required")
    entry = await asyncio.to_thread(find, service, asked.model)
    if not asked.messages and asked.keep_alive == 0:
        await service.pool.unload(entry)
        return ChatAnswer(model=asked.model, created_at=now(), done=True, done_reason="unload")
    work = await asyncio.to_thread(chat_work, service, entry, asked, wanted)
    if not asked.messages:
        await load(service, entry, wanted.setting, asked.keep_alive)
        return ChatAnswer(model=asked.model, created_at=now(), done=True, done_reason="load")
    if asked.debug_render_only:
        silent = MessageAnswer(role="")
        return ChatAnswer(
            model=asked.model, created_at=now(), message=silent, debug_info=await _rendered(service, work)
        )
    return _chatted(service, asked.model, work, _Clock(began, time.perf_counter_ns()))


async def load(service: Service, entry: Entry, setting: Setting | None, keep_alive_s: float | None) -> None:
    """Load a model. Raises Refused."""
    async with aclosing(service.pool.run(entry, Load(), setting, keep_alive_s)) as events:
        async for _ in events:
            pass


async def _rendered(service: Service, work: EngineWork) -> DebugInfo:
    async with aclosing(service.pool.run(work.entry, work.job, work.setting, work.keep_alive_s)) as events:
        async for event in events:
            if isinstance(event, Begun):
                return DebugInfo(rendered_template=event.prompt)
    return DebugInfo(rendered_template="")


async def _parts(service: Service, work: EngineWork) -> AsyncGenerator[Part | Done, None]:
    """The pieces of an answer, then its end; pieces that say nothing yet are held back."""
    thinking, before = ThinkingParser() if work.thinks else None, work.begun
    tools = ToolParser(work.tag, work.tools) if work.tools else None
    async with aclosing(service.pool.run(work.entry, work.job, work.setting, work.keep_alive_s)) as events:
        async for event in events:
            if isinstance(event, Begun) and thinking:
                thinking = ThinkingParser(event.thinking)
            elif isinstance(event, Token):
                text, before = before + event.text, ""
                split = thinking.add(text) if thinking else ThinkingSplit(content=text)
                part = _sorted(split, tools, event.scored)
                if part != Part():
                    yield part
            elif isinstance(event, Done):
                part = _sorted(thinking.rest() if thinking else ThinkingSplit(), tools, ())
                if tools and not part.calls:
                    part = Part(part.content + tools.rest(), part.thinking)
                if part != Part():
                    yield part
                yield event


def _sorted(split: ThinkingSplit, tools: ToolParser | None, scored: tuple[Scored, ...]) -> Part:
    if tools is None:
        return Part(split.content, split.thinking, (), scored)
    calls, content = tools.add(split.content)
    return Part(content, split.thinking, tuple(calls), scored)


async def _generated(
    service: Service, name: str, work: EngineWork, clock: _Clock
) -> AsyncGenerator[GenerateAnswer, None]:
    async with aclosing(_parts(service, work)) as parts:
        async for part in parts:
            if isinstance(part, Part):
                logprobs = _logprobs(part, work.job.sampling)
                yield GenerateAnswer(
                    model=name, created_at=now(), response=part.content, thinking=part.thinking, logprobs=logprobs
                )
            elif part.reason != "repeats":  # then Ollama's stream ends without a last line
                yield GenerateAnswer(
                    model=name,
                    created_at=now(),
                    done=True,
                    done_reason=part.reason,
                    context=list(part.context),
                    metrics=_metrics(part, clock),
                )


async def _chatted(service: Service, name: str, work: EngineWork, clock: _Clock) -> AsyncGenerator[ChatAnswer, None]:
    calls: list[CallAnswer] = []  # Ollama gives them all with the last line
    async with aclosing(_parts(service, work)) as parts:
        async for part in parts:
            if isinstance(part, Part):
                calls += [_call(call) for call in part.calls]
                message = MessageAnswer(content=part.content, thinking=part.thinking)
                if replace(part, calls=()) == Part():
                    continue
                logprobs = _logprobs(part, work.job.sampling)
                yield ChatAnswer(model=name, created_at=now(), message=message, logprobs=logprobs)
            elif part.reason != "repeats":
                yield ChatAnswer(
                    model=name,
                    created_at=now(),
                    message=MessageAnswer(tool_calls=calls),
                    done=True,
                    done_reason=part.reason,
                    metrics=_metrics(part, clock),
                )


def _call(call: Call) -> CallAnswer:
    mark = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
    function = FunctionAnswer(index=call.index, name=call.name, arguments=call.arguments)
    return CallAnswer(id=mark, function=function)


def _logprobs(part: Part, sampling: Sampling) -> list[Logprob]:
    if not sampling.logprobs:
        return []
    return [
        Logprob(
            token=scored.token,
            logprob=scored.logprob,
            bytes=list(scored.token.encode()),
            top_logprobs=[
                TokenLogprob(token=top.token, logprob=top.logprob, bytes=list(top.token.encode()))
                for top in (scored.top if sampling.top_logprobs else ())
            ],
        )
        for scored in part.scored
    ]


def _metrics(done: Done, clock: _Clock) -> Metrics:
    return Metrics(
        total_duration=time.perf_counter_ns() - clock.began,
        load_duration=clock.ready - clock.began + done.load_ns,
        prompt_eval_count=done.n_prompt,
        prompt_eval_duration=done.prompt_ns,
        eval_count=done.n_gen,
        eval_duration=max(done.gen_ns, 1_000) if done.n_gen else 0,
    )
