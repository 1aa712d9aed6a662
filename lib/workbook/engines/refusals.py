"""What servers refuse, in their words and in ours: matched by status and by the words that their sources use."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from workbook.errors import (
    BadOption,
    ContextOverflow,
    EngineError,
    KeyWrong,
    ModelNotFound,
    OutOfMemory,
    WorkbookError,
)

if TYPE_CHECKING:  # each engine loads its own client, and only that
    import ollama
    import openai


def from_ollama(error: ollama.ResponseError, model: str) -> WorkbookError:
    """What an Ollama server refused, as one of our errors."""
    words = _innermost(str(error.error))
    low = words.lower()
    if "context" in low and ("exceed" in low or "length" in low or "size" in low):
        return ContextOverflow(f"the prompt does not fit num_ctx: {words}. Shorten it or raise num_ctx.")
    if "memory" in low:
        return OutOfMemory(f"Ollama has no room for {model}: {words}. Take a smaller model or num_ctx.")
    if error.status_code == 404 and "not found" in low and "model" in low:
        return ModelNotFound(f"Ollama no longer has {model!r}. Install it with: ollama pull {model}")
    if error.status_code == 404:
        return EngineError(f"what answers there does not know this call of Ollama's API: {words}.")
    if error.status_code == 400:
        return BadOption(f"Ollama refuses the request: {words}.")
    return EngineError(f"Ollama failed: {words}. Its log says more.")


def _innermost(words: str) -> str:
    """The message inside the JSON that llama-server's errors travel in."""
    with suppress(ValueError, KeyError, TypeError):
        words = str(json.loads(words)["error"]["message"])
    return " ".join(words.split())[:300].rstrip(".")


def from_openai(error: openai.APIStatusError, model: str, where: str) -> WorkbookError:
    """What an OpenAI-compatible endpoint refused, as one of our errors."""
    words = " ".join(str(error.message).split())[:300].rstrip(".")
    low = words.lower()
    if "context" in low and any(w in low for w in ("exceed", "length", "maximum", "size")):
        return ContextOverflow(
            f"the prompt does not fit the server's context: {words}. Shorten it, or serve with more."
        )
    if error.status_code == 404 and "model" in low:
        return ModelNotFound(f"{where} does not serve {model!r}: {words}. See engine.models().")
    if "out of memory" in low or "more system memory" in low:
        return OutOfMemory(f"{where} has no room for {model}: {words}.")
    if error.status_code == 403:
        return KeyWrong(f"{where} refuses the key for this: {words}.")
    if error.status_code in (400, 422):
        return BadOption(f"{where} refuses the request: {words}.")
    return EngineError(f"{where} failed with status {error.status_code}: {words}.")
