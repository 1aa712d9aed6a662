"""Vectors of texts by an encoder such as MiniLM, cut and normalised as Ollama does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from programs.serve.jobs import Embed, Vectors
from workbook.engines import native
from workbook.engines.llama import Model
from workbook.errors import BadOption, ContextOverflow, EngineError

TOO_LONG = "the input length exceeds the context length"
NOTHING_LEFT = "input after truncation exceeds maximum context length"


def vectors(model: Model, num_ctx: int, job: Embed, cancelled: Callable[[], bool]) -> Iterator[Vectors]:
    """One Vectors a text. Raises ContextOverflow (too long and not to be cut) or BadOption (nothing would be left)."""
    lib = native.library()
    lib.llama_set_embeddings(model.context, True)
    for text in job.texts:
        if cancelled():
            return
        tokens = _fitting(model, num_ctx, job, text)
        vector = _normal(_vector(model, tokens))
        if 0 < job.dimensions < len(vector):
            vector = _normal(vector[: job.dimensions])
        # The shortest decimal that is this float32 again: as Ollama prints it, and half as long on the wire.
        yield Vectors((tuple(float(str(x)) for x in vector),), len(tokens))


def _fitting(model: Model, num_ctx: int, job: Embed, text: str) -> list[int]:
    tokens = model.tokenize(text, special=True, bos=True)
    added = len(tokens) - len(model.tokenize(text, special=True, bos=False))
    if job.truncate and num_ctx - added < 1:
        raise BadOption(NOTHING_LEFT)
    if len(tokens) <= num_ctx:
        return tokens
    if not job.truncate:
        raise ContextOverflow(TOO_LONG)
    closing = tokens[-1:] if added > 1 else []
    return tokens[: num_ctx - len(closing)] + closing


def _vector(model: Model, tokens: list[int]) -> NDArray[np.float32]:
    lib = native.library()
    lib.llama_memory_clear(model.memory, True) if model.memory else None
    ids = (lib.llama_token * len(tokens))(*tokens)  # named: the batch only points to it
    native.begin()
    code = lib.llama_decode(model.context, lib.llama_batch_get_one(ids, len(tokens)))
    pointer = lib.llama_get_embeddings_seq(model.context, 0) if not code else None
    if not pointer:
        raise EngineError(f"llama.cpp made no vector (code {code}): {native.last_error()}.")
    n = int(lib.llama_model_n_embd(lib.llama_get_model(model.context)))
    return np.ctypeslib.as_array(pointer, shape=(n,)).astype(np.float32, copy=True)


def _normal(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(vector).all():
        raise EngineError("the vector holds a number that is not finite.")
    length = np.float32(np.sqrt((vector.astype(np.float64) ** 2).sum()))
    return vector / length if length else vector
