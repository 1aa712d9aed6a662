"""What one repetition does; here: a prompt of random tokens, and single-token steps, by llama.cpp in process."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from programs.bench import private
from programs.bench.fields import Flash, Outcome, Setup
from workbook import formats
from workbook.engines import Answer, llama, native

SEED = 42


@dataclass(frozen=True)
class Attempt:
    """What one repetition gave; ``answer`` where there was a text."""

    outcome: Outcome
    answer: Answer | None = None


class Cell(Protocol):
    """One kind of repetition, in one set-up. ``pids``: the engine's processes."""

    @property
    def setup(self) -> Setup: ...
    @property
    def pids(self) -> tuple[int, ...]: ...
    def seed(self, rep: int) -> int:
        """Of that repetition."""
        ...

    def prefix(self, rep: int) -> str | None:
        """What that repetition's prompt begins with, and no other's."""
        ...

    def run(self, rep: int) -> Attempt:
        """Do it once. ``rep`` 0 is the warm-up, for which the model was loaded."""
        ...


@dataclass(frozen=True)
class BareCell:
    """llama-bench's pp or tg test: the bare ``llama_decode`` loop on random tokens, no text, no sampling.

    Either ``n_prompt`` tokens are decoded in batches, or ``n_gen`` tokens one at a time.
    Source: llama.cpp, tools/llama-bench/llama-bench.cpp, test_prompt and test_gen.
    """

    model: llama.Model
    setup: Setup
    n_prompt: int = 0
    n_gen: int = 0
    base_seed: int = SEED
    load_ns: int | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        return (os.getpid(),)

    def seed(self, rep: int) -> int:
        """Of the random tokens."""
        return self.base_seed + rep

    def prefix(self, rep: int) -> str | None:
        """None: there is no text."""
        return None

    def run(self, rep: int) -> Attempt:
        """Decode on an empty context; the clock runs until the last logits are there."""
        model, n = self.model, self.n_prompt or self.n_gen
        tokens = np.random.default_rng(self.seed(rep)).integers(0, model.n_vocab, n).tolist()
        if model.adds_bos:
            tokens[0] = model.bos
        model.reset()
        began = time.perf_counter_ns()
        if self.n_prompt:
            model.decode(tokens)
        else:
            for token in tokens:
                model.decode([token])
        took = time.perf_counter_ns() - began
        outcome = Outcome(
            n_prompt=self.n_prompt,
            n_cached=0,
            n_gen=self.n_gen,
            token_count_source="engine",
            load_ns=self.load_ns if rep == 0 else None,
            prompt_ns=took if self.n_prompt else None,
            gen_ns=took if self.n_gen else None,
            total_ns=took,
        )
        return Attempt(outcome)


def bare_cells(
    model: llama.Model, name: str, prompt_tokens: int, gen_tokens: int, seed: int = SEED
) -> tuple[BareCell, BareCell]:
    """The pp and the tg cell of a loaded model, which the engine calls ``name``."""
    about, build = formats.inspect_gguf(model.path), llama.build()
    common = Setup(
        method="llama-bench",
        prompt_id=f"pp{prompt_tokens}",
        engine="llama.cpp",
        engine_version=f"llama-cpp-python {build.version}",
        engine_build=llama_cpp_build(),
        build_info=build.system_info[:1000] or None,
        model_name=private.text(name)[:100],
        file_sha256=sha256(model.path),
        model_type=about.architecture,
        quant=about.quant,
        model_size_bytes=about.size_bytes,
        model_n_params=model.n_params,
        n_ctx=model.n_ctx,
        n_batch=model.n_batch,
        n_ubatch=model.n_ubatch,
        n_threads=model.n_threads,
        n_gpu_layers=model.n_gpu_layers,
        type_k=model.type_k,
        type_v=model.type_v,
        flash_attn=cast(Flash, model.flash_attn),
    )
    steps = common.model_copy(update={"prompt_id": f"tg{gen_tokens}"})
    return (
        BareCell(model, common, n_prompt=prompt_tokens, base_seed=seed),
        BareCell(model, steps, n_gen=gen_tokens, base_seed=seed),
    )


def llama_cpp_build() -> str | None:
    """What the llama.cpp in this process calls itself; None where it does not say."""
    version = getattr(native.library(), "llama_version", None)
    return f"llama.cpp {version().decode()}" if version else None


def sha256(path: Path) -> str:
    """Of a whole file, about a second a gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
