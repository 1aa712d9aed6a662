"""``connect()``: whichever engine this machine has, behind one interface."""

from __future__ import annotations

import os

from workbook.engines.engine import Answer, Context, Engine, Info, Message, ModelEntry, Piece, Source, Stream
from workbook.engines.options import Options
from workbook.errors import BadOption, LlamaCppMissing, ModelNotFound, NoModel

__all__ = [
    "Answer", "Context", "Engine", "Info", "Message", "ModelEntry", "Options", "Piece", "Source", "Stream", "connect",
]  # fmt: skip

_PROBE_S = 0.5


def connect(engine: str | None = None, model: str | None = None, quiet: bool = False) -> Engine:
    """The engine that answers here, looked for in this order:

    1. ``engine`` and ``model``; 2. ``WORKBOOK_ENGINE`` and ``WORKBOOK_MODEL``; 3. an Ollama that answers at
    ``OLLAMA_HOST`` within half a second and has a model; 4. llama.cpp in this process on the packaged model.

    Parameters
    ----------
    engine : "embedded", "ollama" or "openai" (any OpenAI-compatible endpoint, at ``OPENAI_BASE_URL``).
    model : as that engine names it. quiet : do not print the line that says what was taken and why.

    Raises ServerNotFound, NoModel, ModelNotFound, KeyMissing, LlamaCppMissing or BadOption.
    """
    named_by = "asked for" if engine else "WORKBOOK_ENGINE"
    engine = (engine or os.environ.get("WORKBOOK_ENGINE") or "").lower() or None
    model = model or os.environ.get("WORKBOOK_MODEL") or None
    found = _named(engine, model, named_by) if engine else _first(model)
    if not quiet:
        print(found.info())
    return found


def _named(engine: str, model: str | None, why: str) -> Engine:
    if engine == "embedded":
        from workbook.engines.embedded import Embedded

        return Embedded(model, why)
    if engine == "ollama":
        from workbook.engines.ollama import Ollama

        return Ollama(model, why)
    if engine == "openai":
        from workbook.engines.openai import OpenAICompatible

        return OpenAICompatible(model, why)
    raise BadOption(f"there is no engine {engine!r}. Engines: embedded, ollama, openai.")


def _first(model: str | None) -> Engine:
    """An Ollama with a model (with ``model``, if one is named), else the embedded engine."""
    from workbook.engines.embedded import Embedded

    server, why_not = _ollama(model)
    if server is not None:
        return server
    try:
        return Embedded(model, why_not)
    except ModelNotFound as error:
        raise ModelNotFound(f"{error} Nor has Ollama: {why_not}.") from None
    except LlamaCppMissing as error:
        raise LlamaCppMissing(f"no engine here: {why_not}; and {error}") from None


def _ollama(model: str | None) -> tuple[Engine | None, str]:
    """The Ollama that answers, or why there is none."""
    from workbook.engines.addresses import shown
    from workbook.engines.ollama import Ollama, address, answers

    where = shown(address(), "OLLAMA_HOST")
    if not answers(_PROBE_S):
        return None, f"no Ollama at {where}"
    try:
        return Ollama(model, "it answers"), ""
    except NoModel:
        return None, f"the Ollama at {where} has no model"
    except ModelNotFound:
        return None, f"the Ollama at {where} has no {model!r}"
