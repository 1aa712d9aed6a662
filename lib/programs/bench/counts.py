"""An answer's tokens counted again, by the model's own tokenizer, where this machine has its file."""

from __future__ import annotations

import atexit
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbook import models
from workbook.engines import Answer, Engine, native
from workbook.errors import WorkbookError


def model_file(engine: Engine) -> Path | None:
    """The GGUF file that the engine's model comes from, if it is here under exactly that name.

    A name that only begins alike may be another model: its figures would stand under the wrong name.
    """
    path = getattr(engine, "path", None)
    if isinstance(path, Path):
        return path
    wanted = _plain(engine.model)
    for model in models.local_ggufs():
        name = _plain(model.name)
        if wanted in (name, name.rsplit("/", 1)[-1]):
            return model.path
    return None


def _plain(name: str) -> str:
    return name.casefold().removesuffix(".gguf").removesuffix(":latest")


def again(path: Path | None, answer: Answer) -> tuple[int | None, int | None]:
    """Tokens of the whole answer and of its thinking. None: no file, no llama.cpp, or a file that it cannot read.

    An answer that ended by itself has one token more than its text: the one that ends it.
    """
    tokenizer = _tokenizer(path) if path is not None else None
    if tokenizer is None:
        return None, None
    try:
        text, thinking = (_count(tokenizer, part) for part in (answer.text, answer.thinking or ""))
    except RuntimeError:  # llama.cpp could not tokenize it
        return None, None
    return text + thinking + (answer.finish_reason == "stop"), thinking if answer.thinking else None


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer.tokenize(text.encode(), add_bos=False, special=True)) if text else 0


@lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Any:
    """The vocabulary alone: no weights are read."""
    try:
        found = native.library().Llama(str(path), vocab_only=True, verbose=False)
    except (WorkbookError, ValueError, OSError):
        return None
    atexit.register(found.close)  # left to the interpreter's end, it fails there with a traceback
    return found
