"""Vectors of texts, for both APIs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from programs.serve.bodies import MAX_CHARS, EmbedRequest, SamplingAsked
from programs.serve.catalogue import Entry
from programs.serve.runner import Child, Pool, Refused, Setting

_BATCH = 32  # texts of one request to llama.cpp's server


@dataclass(frozen=True)
class Vectors:
    """One vector a text, of length 1; n_prompt counts the tokens of all of them, the special ones too."""

    vectors: list[list[float]]
    n_prompt: int = 0
    load_ns: int = 0


async def vectors(pool: Pool, entry: Entry, asked: EmbedRequest, texts: list[str], options: SamplingAsked) -> Vectors:
    """The vectors of these texts. Raises Refused: 501 where the model makes none, 400 for a text that does not fit."""
    if "embedding" not in entry.capabilities:
        raise Refused(501, f"{entry.name} writes text and makes no vectors: take an embedding model such as all-minilm")
    if sum(map(len, texts)) > MAX_CHARS:
        raise Refused(400, f"input: at most {MAX_CHARS} characters together")
    num_ctx = entry.window(options.num_ctx)
    setting = Setting(num_ctx, options.num_batch, options.num_thread, options.num_gpu)
    made: list[list[float]] = []
    n_prompt = 0
    async with pool.child(entry, setting, asked.keep_alive) as child:
        for start in range(0, len(texts), _BATCH):
            batch = [await _fitting(child, text, num_ctx, asked.truncate) for text in texts[start : start + _BATCH]]
            reply = await child.post("/v1/embeddings", {"input": batch})
            n_prompt += reply["usage"]["prompt_tokens"]
            made += [_cut(item["embedding"], asked.dimensions) for item in reply["data"]]
        return Vectors(made, n_prompt, child.load_ns)


async def _fitting(child: Child, text: str, num_ctx: int, truncate: bool) -> str | list[int]:
    """The text, or its tokens cut to the window. Raises Refused (400)."""
    if text and len(text.encode()) + 8 <= num_ctx:
        return text
    asked = {"content": text, "add_special": True, "parse_special": True}
    tokens: list[int] = (await child.post("/tokenize", asked))["tokens"]
    if len(tokens) > num_ctx and not truncate:
        raise Refused(400, f"input: {len(tokens)} tokens, and the context length is {num_ctx}")
    return tokens if len(tokens) <= num_ctx else [*tokens[: num_ctx - 1], tokens[-1]]


def _cut(vector: list[float], dimensions: int) -> list[float]:
    """The first ``dimensions`` numbers (0: all), of length 1 again."""
    kept = vector[:dimensions] if dimensions else vector
    length = math.sqrt(sum(x * x for x in kept))
    if not math.isfinite(length):
        raise Refused(500, "the model gave a vector that is not finite")
    return [x / length for x in kept] if length and len(kept) < len(vector) else kept
