"""Vectors of texts, for both APIs."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from programs.serve import answering, refusals, request_options
from programs.serve.asking import MAX_PROMPT_CHARS, Service, find
from programs.serve.catalogue import Entry
from programs.serve.jobs import Embed, Vectors
from programs.serve.ollama_answers import EmbedAnswer, Metrics
from programs.serve.ollama_api import MAX_TEXTS, EmbedRequest
from programs.serve.runner import Refused


async def embedded(service: Service, asked: EmbedRequest) -> EmbedAnswer:
    """The answer to /api/embed. Raises Refused."""
    began = time.perf_counter_ns()
    if not asked.model.strip():
        raise refusals.unknown(asked.model)
    texts = [asked.input] if isinstance(asked.input, str) and asked.input else asked.input or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(400, "invalid input type")
    if len(texts) > MAX_TEXTS or sum(map(len, texts)) > MAX_PROMPT_CHARS:
        raise Refused(400, f"input: at most {MAX_TEXTS} texts of {MAX_PROMPT_CHARS} characters together here")
    entry = await asyncio.to_thread(find, service, asked.model, pulling=True)
    wanted = request_options.read(asked.options)
    if not texts:
        await answering.load(service, entry, wanted.setting, asked.keep_alive)
        return EmbedAnswer(model=asked.model, embeddings=())
    ready = time.perf_counter_ns()
    job = Embed(tuple(texts), asked.truncate, max(asked.dimensions, 0))
    made = await computed(service, entry, job, wanted, asked.keep_alive)
    return EmbedAnswer(
        model=asked.model,
        embeddings=made.vectors,
        metrics=Metrics(
            total_duration=time.perf_counter_ns() - began,
            load_duration=ready - began + made.load_ns,
            prompt_eval_count=made.n_prompt,
        ),
    )


async def computed(
    service: Service, entry: Entry, job: Embed, wanted: request_options.Wanted, keep_alive_s: float | None
) -> Vectors:
    """The vectors of a job. Raises Refused, 501 where the model makes none."""
    if "embedding" not in entry.capabilities:
        raise Refused(501, "This server does not support embeddings. Start it with `--embeddings`")
    async with aclosing(service.pool.run(entry, job, wanted.setting, keep_alive_s)) as events:
        async for event in events:
            if isinstance(event, Vectors):
                return event
    raise Refused(500, "the model gave no vectors")
