"""One repetition: llama.cpp's bare loop in this process, or a prompt through the connected engine."""

from __future__ import annotations

import atexit
import hashlib
import os
import random
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from programs.bench import privacy
from programs.bench.fields import Outcome, Setup
from programs.bench.plan import LOADING, SAMPLING, Plan, PlanCell
from workbook import formats, models
from workbook.engines import Answer, Engine, Message, Options, llama, native
from workbook.engines.options import REPEAT_LAST_N
from workbook.errors import WorkbookError

_SYSTEM = {"chat-story": " You write stories."}
_TOLD = ("engine", "engine_version", "model_type", "quant", "model_size_bytes", "model_n_params")  # by the engine


@dataclass(frozen=True)
class LoopCell:
    """llama-bench's pp or tg test: the bare ``llama_decode`` loop on random tokens, no text, no sampling.

    Either ``n_prompt`` tokens are decoded in batches, or ``n_gen`` tokens one at a time.
    Source: llama.cpp, tools/llama-bench/llama-bench.cpp, test_prompt and test_gen.
    """

    model: llama.Model
    setup: Setup
    n_prompt: int = 0
    n_gen: int = 0
    base_seed: int = 42
    load_ns: int | None = None
    cold: bool | None = True

    model_file = None  # there is no text

    @property
    def pids(self) -> tuple[int, ...]:
        """The engine's processes: this one."""
        return (os.getpid(),)

    def prefix(self, rep: int) -> None:
        """None: there is no text."""

    def run(self, rep: int) -> tuple[Outcome, Answer | None]:
        """Decode on an empty context; the clock runs until the last logits are there."""
        model, n = self.model, self.n_prompt or self.n_gen
        tokens = np.random.default_rng(self.base_seed + rep).integers(0, model.n_vocab, n).tolist()
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
        return outcome, None


def loop_cell(
    model: llama.Model, name: str, kind: str, tokens: int, seed: int = 42, load_ns: int | None = None
) -> LoopCell:
    """The test ``kind`` ("pp" or "tg") of a loaded model, which the engine calls ``name``."""
    about, build = formats.inspect_gguf(model.path), llama.build()
    with model.path.open("rb") as file:  # about a second a gigabyte
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    setup = Setup(
        method="llama-bench",
        prompt_id=f"{kind}{tokens}",
        engine="llama.cpp",
        engine_version=f"llama-cpp-python {build.version}",
        engine_build=_llama_cpp(),
        build_info=build.system_info[:1000] or None,
        model_name=privacy.text(name)[:100],
        file_sha256=sha256,
        model_type=about.architecture,
        quant=about.quant,
        model_size_bytes=about.size_bytes,
        model_n_params=model.n_params,
        **{name: getattr(model, name) for name in ("n_ctx", *LOADING)},
    )
    n_prompt, n_gen = (tokens, 0) if kind == "pp" else (0, tokens)
    return LoopCell(model, setup, n_prompt, n_gen, seed, load_ns)


def _llama_cpp() -> str | None:
    """What the llama.cpp in this process calls itself; None where it does not say."""
    version = getattr(native.library(), "llama_version", None)
    return f"llama.cpp {version().decode()}" if version else None


@dataclass(frozen=True)
class ChatCell:
    """One chat answer through the connected engine, streamed, of at most ``options.num_predict`` tokens.

    With ``setup.unique_prefix`` every repetition begins with other digits, which follow from ``salt``: nothing of it
    is in the engine's cache. ``cold``: whether the model is loaded for repetition 0 (None: unknown).
    """

    engine: Engine
    options: Options
    setup: Setup
    prompt: str
    base_seed: int
    salt: str = ""
    cold: bool | None = None
    model_file: Path | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """The engine's processes."""
        return self.engine.info().pids

    def prefix(self, rep: int) -> str | None:
        """Six digits; the first is another one than in the repetition before."""
        if not self.setup.unique_prefix:
            return None
        first = (random.Random(self.salt).randrange(10) + rep) % 10
        draw = random.Random(f"{self.salt} {rep}")
        return " ".join(str(digit) for digit in (first, *(draw.randrange(10) for _ in range(5))))

    def messages(self, rep: int) -> list[Message]:
        """The prompt, behind its prefix if it has one."""
        prefix, said = self.prefix(rep), _SYSTEM.get(self.setup.prompt_id, "")
        system = [] if prefix is None else [{"role": "system", "content": f"{prefix}.{said}"}]
        return [*system, {"role": "user", "content": self.prompt}]

    def run(self, rep: int) -> tuple[Outcome, Answer | None]:
        """Ask, and note on our clock when pieces come."""
        began = time.perf_counter_ns()
        first = first_text = last = None
        options = vars(self.options) | {"seed": self.base_seed + rep}
        stream = self.engine.chat(self.messages(rep), stream=True, **options)
        for piece in stream.pieces():
            now = time.perf_counter_ns() - began
            if piece.text or piece.thinking:
                first, last = first or now, now
            if piece.text:
                first_text = first_text or now
        answer, total = stream.answer, time.perf_counter_ns() - began
        streamed = last - first if first is not None and last is not None and last > first else None
        by_client = self.setup.method == "client-stream"
        empty = rep == 0 and self.cold and not by_client  # a model just loaded has nothing cached
        outcome = Outcome(
            n_prompt=answer.n_prompt,
            n_cached=0 if answer.n_cached is None and empty and answer.n_prompt is not None else answer.n_cached,
            n_gen=answer.n_gen,
            finish_reason=answer.finish_reason,
            token_count_source=answer.sources.get("n_gen"),
            load_ns=answer.load_ns,
            ttft_ns=first,
            ttf_answer_ns=first_text,
            prompt_ns=None if by_client else answer.prompt_ns or None,
            gen_ns=streamed if by_client else answer.gen_ns or None,
            stream_ns=streamed,
            total_ns=total,
        )
        return outcome, answer


def chat_cell(engine: Engine, plan: Plan, cell: PlanCell, salt: str, cold: bool | None) -> ChatCell:
    """What asks a plan's prompt of a connected engine."""
    assert cell.text is not None
    info, s = engine.info(), cell.settings
    remote = info.engine == "openai"
    sampling = {name: getattr(s, name) for name in SAMPLING}
    options = Options(
        **sampling, seed=plan.seed, num_predict=s.max_tokens, num_ctx=s.n_ctx, timeout_s=plan.timeout_s,
        think=cell.thinking,  # type: ignore[arg-type]  # None: not said either way
    )  # fmt: skip
    if info.base_url == "api.openai.com":  # it refuses these, so they are not sent
        sampling |= dict.fromkeys(("top_k", "min_p", "repeat_penalty"))
    checksum = (info.digest or "").removeprefix("sha256:")
    known = checksum if len(checksum) == 64 else None
    setup = Setup(
        # Only our own API and Ollama's tell times, and what the context is; the OpenAI API does not.
        method="client-stream" if remote else "server-timings",
        prompt_id=cell.prompt_id,
        prompt_sha256=cell.text_sha256,
        build_info=info.build_info[:1000] if info.build_info else None,
        model_name=privacy.text(info.model)[:100],
        file_sha256=known if info.engine != "ollama" else None,
        ollama_digest=known if info.engine == "ollama" else None,
        n_ctx=None if remote else s.n_ctx,
        repeat_last_n=None if remote else REPEAT_LAST_N,
        max_tokens=s.max_tokens,
        thinking=cell.thinking,
        unique_prefix=cell.unique_prefix,
        **sampling,
        **{name: getattr(info, name) for name in _TOLD},
        **vars(engine.context),
    )
    return ChatCell(engine, options, setup, cell.text, plan.seed, salt, cold, model_file(engine))


def model_file(engine: Engine) -> Path | None:
    """The GGUF file that the engine's model comes from, if it is here under exactly that name.

    A name that only begins alike may be another model: its figures would stand under the wrong name.
    """
    path = getattr(engine, "path", None)
    if isinstance(path, Path):
        return path

    def plain(name: str) -> str:
        return name.casefold().removesuffix(".gguf").removesuffix(":latest")

    names = ((plain(model.name), model.path) for model in models.local_ggufs())
    return next((path for name, path in names if plain(engine.model) in (name, name.rsplit("/", 1)[-1])), None)


def count_again(path: Path | None, answer: Answer) -> tuple[int | None, int | None]:
    """Tokens of the whole answer and of its thinking, by the model's own tokenizer; None where that cannot be read.

    An answer that ended by itself has one token more than its text: the one that ends it.
    """
    tokenizer = _tokenizer(path) if path is not None else None
    if tokenizer is None:
        return None, None
    parts = [part.encode() for part in (answer.text, answer.thinking or "")]
    try:
        text, thinking = (len(tokenizer.tokenize(p, add_bos=False, special=True)) if p else 0 for p in parts)
    except RuntimeError:  # llama.cpp could not tokenize it
        return None, None
    return text + thinking + (answer.finish_reason == "stop"), thinking if answer.thinking else None


@lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Any:
    """The vocabulary alone: no weights are read."""
    try:
        found = native.library().Llama(str(path), vocab_only=True, verbose=False)
    except (WorkbookError, ValueError, OSError):
        return None
    atexit.register(found.close)  # left to the interpreter's end, it fails there with a traceback
    return found
