"""Vectors of texts, for both APIs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from programs.serve.bodies import MAX_CHARS, EmbedRequest, SamplingAsked
from programs.serve.cards import Entry
from programs.serve.generation import tokens
from programs.serve.runner import Child, Pool, Refused

_BATCH = 32  # texts of one request to llama.cpp's server


@dataclass(frozen=True)
class Vectors:
    """One vector a text, of length 1; n_prompt counts the tokens of all of them, the special ones too."""

    vectors: list[list[float]]
    n_prompt: int
    load_ns: int


async def vectors(pool: Pool, entry: Entry, asked: EmbedRequest, texts: list[str], options: SamplingAsked) -> Vectors:
    """The vectors of these texts. Raises Refused: 501 where the model makes none, 400 for a text that does not fit."""
    if "embedding" not in entry.capabilities:
        raise Refused(501, f"{entry.name} writes text and makes no vectors: take an embedding model such as all-minilm")
    if sum(map(len, texts)) > MAX_CHARS:
        raise Refused(400, f"input: at most {MAX_CHARS} characters together")
    made: list[list[float]] = []
    n_prompt = 0
    async with pool.child(entry, options.setting(entry), asked.keep_alive) as child:
        for start in range(0, len(texts), _BATCH):
            batch = [await _fitting(child, text, asked.truncate) for text in texts[start : start + _BATCH]]
            reply = await child.post("/v1/embeddings", {"input": batch})
            n_prompt += reply["usage"]["prompt_tokens"]
            made += [_cut(item["embedding"], asked.dimensions) for item in reply["data"]]
        return Vectors(made, n_prompt, child.load_ns)


async def _fitting(child: Child, text: str, truncate: bool) -> str | list[int]:
    """The text, or its tokens cut to the window. Raises Refused (400)."""
    num_ctx = child.setting.num_ctx
    if text and len(text.encode()) + 8 <= num_ctx:
        return text
    whole = await tokens(child, text)
    if len(whole) > num_ctx and not truncate:
        raise Refused(400, f"input: {len(whole)} tokens, and the context length is {num_ctx}")
    return whole if len(whole) <= num_ctx else [*whole[: num_ctx - 1], whole[-1]]


def _cut(vector: list[float], dimensions: int) -> list[float]:
    """The first ``dimensions`` numbers (0: all), of length 1 again."""
    kept = vector[: dimensions or None]
    length = math.hypot(*kept)
    if not math.isfinite(length):
        raise Refused(500, "the model gave a vector that is not finite")
    return [x / length for x in kept] if length and len(kept) < len(vector) else kept
