"""What one repetition does: a prompt of random tokens, single-token steps, or a chat through the engine."""

from __future__ import annotations

import hashlib
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from workbook import ggufs, paths
from workbook.bench.record import Flash, Outcome, Setup
from workbook.engines import llama
from workbook.engines.base import Engine
from workbook.engines.types import Message, Options

CHAT_PROMPT_ID = "chat-story"
_DIGITS = 6


class Cell(Protocol):
    """One kind of repetition, in one set-up. ``pids``: the engine's processes."""

    @property
    def setup(self) -> Setup: ...
    @property
    def pids(self) -> tuple[int, ...]: ...
    def run(self, rep: int) -> Outcome:
        """Do it once. ``rep`` 0 is the warm-up."""
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

    @property
    def pids(self) -> tuple[int, ...]:
        return (os.getpid(),)

    def run(self, rep: int) -> Outcome:
        """Decode on an empty context; the clock runs until the last logits are there."""
        model, n = self.model, self.n_prompt or self.n_gen
        tokens = np.random.default_rng().integers(0, model.n_vocab, n).tolist()
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
        return Outcome(
            n_prompt=self.n_prompt,
            n_cached=0,
            n_gen=self.n_gen,
            token_count_source="engine",
            prompt_ns=took if self.n_prompt else None,
            gen_ns=took if self.n_gen else None,
            total_ns=took,
        )


def bare_cells(model: llama.Model, name: str, prompt_tokens: int, gen_tokens: int) -> tuple[BareCell, BareCell]:
    """The pp and the tg cell of a loaded model, which the engine calls ``name``."""
    about, build = ggufs.header(model.path), llama.build()
    common = Setup(
        method="llama-bench",
        prompt_id=f"pp{prompt_tokens}",
        engine="llama.cpp",
        engine_version=f"llama-cpp-python {build.version}",
        build_info=build.system_info[:1000] or None,
        model_name=name[:100],
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
    return BareCell(model, common, n_prompt=prompt_tokens), BareCell(model, steps, n_gen=gen_tokens)


@dataclass(frozen=True)
class ChatCell:
    """One chat answer through the connected engine, streamed, of at most ``options.num_predict`` tokens.

    Every repetition begins with other digits: a prompt that begins like an earlier one is partly in the
    engine's cache, and its rate would count work that was not done.
    """

    engine: Engine
    options: Options
    setup: Setup
    prompt: str
    start: int = field(default_factory=lambda: random.randrange(10))

    @property
    def pids(self) -> tuple[int, ...]:
        return self.engine.info().pids

    def messages(self, rep: int) -> list[Message]:
        """The prompt behind a prefix that no other repetition has."""
        digits = [(self.start + rep) % 10, *(random.randrange(10) for _ in range(_DIGITS - 1))]
        return [
            {"role": "system", "content": f"{' '.join(map(str, digits))}. You write stories."},
            {"role": "user", "content": self.prompt},
        ]

    def run(self, rep: int) -> Outcome:
        """Ask, and note on our clock when pieces come."""
        began = time.perf_counter_ns()
        first = first_text = last = None
        stream = self.engine.chat(self.messages(rep), stream=True, **vars(self.options))
        for piece in stream.pieces():
            now = time.perf_counter_ns() - began
            if piece.text or piece.thinking:
                first, last = first or now, now
            if piece.text:
                first_text = first_text or now
        answer = stream.answer
        total = time.perf_counter_ns() - began
        streamed = last - first if first is not None and last is not None and last > first else None
        by_client = self.setup.method == "client-stream"
        return Outcome(
            n_prompt=answer.n_prompt,
            n_cached=answer.n_cached,
            n_gen=answer.n_gen,
            finish_reason=answer.finish_reason,
            token_count_source=answer.sources.get("n_gen"),
            load_ns=answer.load_ns,
            ttft_ns=first,
            ttf_answer_ns=first_text,
            prompt_ns=None if by_client else answer.prompt_ns or None,
            gen_ns=streamed if by_client else answer.gen_ns or None,
            total_ns=total,
        )


def chat_cell(engine: Engine, gen_tokens: int) -> ChatCell:
    """The chat cell of a connected engine: greedy, a fixed number of tokens."""
    prompt = (paths.data() / "prompts" / f"{CHAT_PROMPT_ID}.txt").read_text(encoding="utf-8").strip()
    options, info = Options(temperature=0.0, num_predict=gen_tokens), engine.info()
    digest = (info.digest or "").removeprefix("sha256:")
    digest_or_none = digest if len(digest) == 64 else None
    setup = Setup(
        # Only our own API and Ollama's tell times; the OpenAI API does not.
        method="client-stream" if info.engine == "openai" else "server-timings",
        prompt_id=CHAT_PROMPT_ID,
        prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
        engine=info.engine,
        engine_version=info.engine_version,
        build_info=info.build_info[:1000] if info.build_info else None,
        model_name=info.model[:100],
        file_sha256=digest_or_none if info.engine != "ollama" else None,
        ollama_digest=digest_or_none if info.engine == "ollama" else None,
        model_type=info.model_type,
        quant=info.quant,
        model_size_bytes=info.model_size_bytes,
        model_n_params=info.model_n_params,
        n_ctx=options.num_ctx,
        **vars(engine.context),
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repeat_penalty=options.repeat_penalty,
        max_tokens=options.num_predict,
        thinking=options.think,
    )
    return ChatCell(engine, options, setup, prompt)


def sha256(path: Path) -> str:
    """Of a whole file, about a second a gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
