"""What a plan asks for, cell by cell, and which of it a run of the same plan has done already."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from programs.bench import prompts, store
from programs.bench.fields import Record, digest
from programs.bench.plans import ANY, BARE, Plan, Settings
from programs.bench.recorder import GIVE_UP_AFTER

_LOADING = ("n_ctx", "n_threads", "n_batch", "n_ubatch", "n_gpu_layers", "type_k", "type_v", "flash_attn")


@dataclass(frozen=True)
class Asked:
    """One cell of a plan. ``model`` is the plan's name for it; ``text`` None: a ppN or tgN test."""

    model: str
    prompt_id: str
    settings: Settings
    thinking: bool | None = None
    text: prompts.Text | None = None
    unique_prefix: bool = True
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        about: dict[str, Any] = {"model": self.model, "prompt": self.prompt_id}
        values = self.settings.model_dump(exclude={"name"})
        if self.text is None:  # a loop without text: how tokens are picked is no part of it
            about |= {name: values[name] for name in _LOADING}
        else:
            about |= values | {"sha256": self.text.sha256, "thinking": self.thinking, "prefix": self.unique_prefix}
        object.__setattr__(self, "hash", digest(about))

    @property
    def bare(self) -> tuple[str, int] | None:
        """("pp" or "tg", tokens) for llama-bench's tests."""
        found = BARE.fullmatch(self.prompt_id) if self.text is None else None
        return (found[1], int(found[2])) if found else None

    def __str__(self) -> str:
        more = {None: "", True: ", thinking", False: ", not thinking"}[self.thinking] if self.text else ""
        return f"{self.model}, {self.prompt_id}{more}"


def cells(plan: Plan) -> tuple[Asked, ...]:
    """The cells of a plan, each once, those of one model together. Raises BadPlan for an unknown prompt."""
    texts = {p.id: None if BARE.fullmatch(p.id) else prompts.find(p.id) for p in plan.prompts}
    found: dict[str, Asked] = {}
    for model in plan.models:
        for settings in plan.settings:
            for prompt in plan.prompts:
                text = texts[prompt.id]
                unique = prompt.prefix if prompt.prefix is not None else not (text and text.task)
                for thinking in (model.thinking or plan.thinking) if text else (None,):
                    cell = Asked(model.name, prompt.id, settings, thinking, text, unique)
                    found.setdefault(cell.hash, cell)
    return tuple(found.values())


def plan_hash(plan: Plan, asked: Iterable[Asked], engine: str) -> str:
    """Names what a run of this plan does: a change of its name, its description or its comments changes nothing."""
    hashes = [cell.hash for cell in asked]
    about = {"cells": hashes, "engine": engine, "repetitions": plan.repetitions}
    return digest(about | {"seed": plan.seed, "timeout_s": plan.timeout_s})


@dataclass(frozen=True)
class Run:
    """One run of a plan: its file, and what stands in it already."""

    path: Path
    run_id: str
    records: tuple[Record, ...] = ()

    def of(self, cell: Asked) -> list[Record]:
        """The repetitions of ``cell`` that were done, in order; without a line that says it was skipped."""
        mine = [r for r in self.records if r.cell_hash == cell.hash and r.status != "skipped"]
        return sorted(mine, key=lambda r: r.rep_index)

    def skipped(self, cell: Asked) -> bool:
        """Whether a line says that ``cell`` was skipped."""
        return any(r.cell_hash == cell.hash and r.status == "skipped" for r in self.records)

    def left(self, cell: Asked, repetitions: int) -> list[int]:
        """The repetitions of ``cell`` still to do; none of a cell that was given up."""
        done = self.of(cell)
        last = done[-GIVE_UP_AFTER:]
        if len(last) == GIVE_UP_AFTER and all(r.status != "ok" for r in last):
            return []
        have = {r.rep_index for r in done}
        return [rep for rep in range(repetitions + 1) if rep not in have]


def find_run(folder: Path, host: str, named: str) -> Run | None:
    """The newest run under ``folder`` of the plan that ``named`` names; None if there is none."""
    needle = f'"plan_hash":"{named}"'.encode()
    for path in sorted((folder / host).glob("*.jsonl"), reverse=True):
        try:
            with path.open("rb") as file:
                if needle not in file.read(store.MAX_FILE_BYTES):
                    continue
        except OSError:
            continue
        mine = tuple(r for r in store.read(path).records if r.plan_hash == named)
        if mine:
            return Run(path, mine[0].run_id, mine)
    return None


def new_run(folder: Path, host: str) -> Run:
    """A run that has not begun; its file is made by its first record."""
    run_id = secrets.token_hex(6)
    return Run(store.run_file(folder, host, datetime.now(UTC), run_id), run_id)


def shown_model(name: str) -> str:
    """A plan's name for a model, in words."""
    return "the engine's own choice" if name == ANY else name
