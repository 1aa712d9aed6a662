"""From a cell that a plan asks for to one that can be run: the engine, the model, its settings, or why not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import ollama
from pydantic import ValidationError

from programs.bench import counts, private
from programs.bench.cells import bare_cells
from programs.bench.chats import asking
from programs.bench.fields import Method, Setup
from programs.bench.planned import Asked, Run
from programs.bench.plans import ANY, Plan
from programs.bench.recorder import Grading, Work
from workbook.engines import Context, Engine, Options, connect, llama
from workbook.engines import ollama as ollama_engine
from workbook.errors import ModelNotFound, NoModel, RunChanged

_PROBE_S = 0.5
_UNLOAD_S = 30.0
_NO_ANSWER = (ollama.ResponseError, ollama.RequestError, ConnectionError, httpx.HTTPError, ValueError, TypeError)
_IN_PROCESS = ("n_batch", "n_ubatch", "n_gpu_layers", "type_k", "type_v", "flash_attn")


class Skipped(Exception):
    """A cell cannot be run; why, in one line."""


@dataclass(frozen=True)
class Found:
    """A model of a plan as the engine has it; ``why_not`` where it has not. ``missing``: it could be pulled."""

    model: str | None
    why_not: str = ""
    missing: bool = False


def engine_name(asked: str | None) -> str:
    """The engine that is asked for, or that WORKBOOK_ENGINE names, or an Ollama that answers, or the embedded one."""
    named = (asked or os.environ.get("WORKBOOK_ENGINE") or "").lower()
    if named:
        return named
    return "ollama" if ollama_engine.answers(_PROBE_S) else "embedded"


def connected(engine: str, model: str) -> Engine:
    """The engine with a plan's model. Raises what ``connect`` raises."""
    return connect(engine, None if model == ANY else model, quiet=True)


def look_up(engine: str, model: str) -> Found:
    """Whether the engine has the model. Raises what ``connect`` raises, but for a model that is missing."""
    try:
        with connected(engine, model) as found:
            return Found(found.model)
    except (ModelNotFound, NoModel) as error:
        missing = engine == "ollama" and model != ANY
        if missing and isinstance(error, NoModel):  # its words are for who asked for any model
            error = ModelNotFound.named(model, (), f"Install it with: ollama pull {model}")
        return Found(None, str(error), missing)


@contextmanager
def opened(engine: Engine, base: Context, asked: Asked, plan: Plan, run: Run, consent: bool = False) -> Iterator[Work]:
    """The cell, its model not loaded yet but for llama-bench's tests. ``base``: the engine's own context.

    Raises Skipped, and RunChanged when the run's earlier repetitions of this cell were of another set-up.
    """
    _refuse_settings(engine, asked)
    engine.context = replace(base, **_given(asked, "n_threads", *_IN_PROCESS))
    try:
        if asked.bare:
            with _loaded(engine, asked) as model:
                kind, tokens = asked.bare
                pp, tg = bare_cells(model[0], engine.model, tokens, tokens, plan.seed)
                cell = replace(pp if kind == "pp" else tg, load_ns=model[1])
                work = Work(cell, cold=True, cell_hash=asked.hash)
                _same(run, asked, work.cell.setup)
                yield work
            return
        work = _chat(engine, asked, plan, run, consent)
    except (ModelNotFound, ValidationError) as error:
        raise Skipped(str(error).splitlines()[0]) from None
    _same(run, asked, work.cell.setup)
    yield work


def _chat(engine: Engine, asked: Asked, plan: Plan, run: Run, consent: bool) -> Work:
    text, s = asked.text, asked.settings
    assert text is not None
    unloaded = unload(engine)
    values = s.model_dump(include={"temperature", "top_k", "top_p", "min_p", "repeat_penalty"})
    options = Options(
        **values, seed=plan.seed, num_predict=s.max_tokens, num_ctx=s.n_ctx, timeout_s=plan.timeout_s,
        think=asked.thinking,  # type: ignore[arg-type]  # None: not said either way
    )  # fmt: skip
    cell = asking(engine, options, text, asked.unique_prefix, run.run_id, unloaded)
    grading = Grading(run.path.with_suffix(".answers"), text.id, text.task, text.needs_code, consent)
    cold = True if unloaded else None
    return Work(cell, cold, asked.hash, counts.model_file(engine), grading)


@contextmanager
def _loaded(engine: Engine, asked: Asked) -> Iterator[tuple[llama.Model, int]]:
    """The model in this process, alone, and how long it took to load."""
    path = counts.model_file(engine)
    if path is None:
        raise Skipped(f"{asked.prompt_id} needs the model's file, and no file of {engine.model} is on this machine")
    unload(engine)
    n_ctx = max(asked.settings.n_ctx, (asked.bare or ("", 0))[1])
    began = time.perf_counter_ns()
    with llama.Model(path, n_ctx, **_given(asked, "n_threads", *_IN_PROCESS)) as model:
        yield model, time.perf_counter_ns() - began


def _given(asked: Asked, *names: str) -> dict[str, Any]:
    """Those of the settings that the plan gives."""
    values = {name: getattr(asked.settings, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def unload(engine: Engine) -> bool:
    """Free the model's memory, and say whether that is known to be done."""
    engine.unload()
    if engine.name != "ollama":
        return engine.name == "embedded"
    client, began = ollama.Client(getattr(engine, "url", None), timeout=5), time.monotonic()
    while time.monotonic() - began < _UNLOAD_S:  # Ollama answers before the model has gone
        try:
            running = {each.model for each in client.ps().models}
        except _NO_ANSWER:
            return False
        if engine.model not in running:
            return True
        time.sleep(0.05)
    return False


def _refuse_settings(engine: Engine, asked: Asked) -> None:
    """Raise Skipped for what the engine cannot be told in a request."""
    if asked.bare or engine.name == "embedded":
        return
    names = _IN_PROCESS if engine.name == "ollama" else ("n_threads", *_IN_PROCESS)
    given = _given(asked, *names)
    if given:
        raise Skipped(f"{engine.name} takes no {', '.join(given)} with a request: set it for the server instead")


def _same(run: Run, asked: Asked, setup: Setup) -> None:
    """Refuse to mix two set-ups in one cell, or one set-up under two cells."""
    for record in run.records:
        if record.status == "skipped":
            continue
        if record.cell_hash == asked.hash and record.config_hash != setup.hash():
            changed = [n for n in Setup.model_fields if getattr(record, n) != getattr(setup, n)]
            raise RunChanged(
                f"{asked}: {', '.join(changed[:3])} changed since this run began. Record it anew with --new."
            )
        if record.cell_hash != asked.hash and record.config_hash == setup.hash():
            raise Skipped("another cell of this plan is the same set-up on this machine")


def skipped_setup(engine: str, asked: Asked) -> Setup:
    """What can be said of a cell that was not begun: what the plan asks for."""
    method: Method = "llama-bench" if asked.bare else "client-stream" if engine == "openai" else "server-timings"
    s = asked.settings
    known = {name: getattr(s, name) for name in ("n_ctx", "n_threads", *_IN_PROCESS)}
    if asked.text is not None:
        names = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "max_tokens")
        known |= {name: getattr(s, name) for name in names}
        known |= {"thinking": asked.thinking, "unique_prefix": asked.unique_prefix, "prompt_sha256": asked.text.sha256}
    return Setup(method=method, prompt_id=asked.prompt_id, engine=engine, model_name=private.text(asked.model), **known)
