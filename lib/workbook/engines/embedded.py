"""The engine that is always there: llama.cpp in this process, on a GGUF file."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from workbook import models
from workbook.engines import llama
from workbook.engines.engine import Answer, Collector, Context, Engine, Info, Message, ModelEntry, Piece
from workbook.engines.options import Options
from workbook.engines.pieces import Pieces
from workbook.engines.sampler_chain import SamplerChain
from workbook.errors import BadOption, ContextOverflow, DamagedModel, EngineTimeout, StreamBroken
from workbook.formats import inspect_gguf

PACKAGED = "smollm2:135m"
"""The packaged model under Ollama's name for it."""

_N_BATCH = 512  # between two of them Ctrl-C and the time limit are heard


class Embedded(Engine):
    """llama.cpp in process. The model is loaded at the first request, and again when num_ctx changes.

    The repetition penalty sees the last 64 tokens, the prompt's included, as in llama-server.
    """

    name = "embedded"

    def __init__(self, model: str | None = None, why: str = "asked for", n_threads: int | None = None) -> None:
        path = models.packaged() if model in (None, PACKAGED, PACKAGED + ":latest") else models.find(str(model))
        super().__init__(PACKAGED if model is None else model, why)
        llama.build()  # says now, in one line, that a light set-up has no llama.cpp
        self.path = path
        self.context = _context(n_threads or llama.usable_cores())
        self._loaded: llama.Model | None = None
        self._past: list[int] = []
        self._turn = 0  # one request has the context at a time

    def _load(self, num_ctx: int) -> tuple[llama.Model, int]:
        started = time.perf_counter_ns()
        if self._loaded is None or self._loaded.n_ctx != num_ctx:
            self.unload()
            self._loaded = llama.Model(self.path, num_ctx, **vars(self.context))
        return self._loaded, time.perf_counter_ns() - started

    def _tokens(self, model: llama.Model, request: str | list[Message], think: bool) -> tuple[list[int], bool]:
        text = request if isinstance(request, str) else model.chat_prompt(request, think)
        bos = model.adds_bos and not text.startswith(model.piece(model.bos).decode("utf-8", "replace"))
        tokens = model.tokenize(text, special=True, bos=bos)
        if not tokens:
            raise BadOption("the prompt is empty: give it at least one character.")
        return tokens, text.rstrip().endswith("<think>")

    def _events(self, request: str | list[Message], options: Options, stream: bool) -> Iterator[Piece | Answer]:
        clock = Collector()
        model, load_ns = self._load(options.num_ctx)
        self._turn += 1
        turn = self._turn
        if options.think and "think" not in model.metadata.get("tokenizer.chat_template", ""):
            raise BadOption(f"{self.model} does not support thinking: leave think out.")
        tokens, thinking = self._tokens(model, request, options.think)
        if len(tokens) >= options.num_ctx:
            raise ContextOverflow(
                f"the prompt has {len(tokens)} tokens and num_ctx is {options.num_ctx}, the answer included. "
                f"Shorten the prompt or raise num_ctx (this model was trained with {model.n_ctx_train})."
            )
        pieces = Pieces(options.stop, thinking)
        with model.sampler(options, tokens) as chain:
            prompt_started = time.perf_counter_ns()
            n_cached = self._prefill(model, tokens, options.timeout_s)
            prompt_ns = time.perf_counter_ns() - prompt_started
            loop = _Loop(model, chain, options, self._past)
            for raw in loop:
                for piece in pieces.feed(raw):
                    yield clock.add(piece)
                    if self._turn != turn:
                        raise StreamBroken(
                            "another request, or unload(), ended this stream. Read a stream to its end first."
                        )
                if pieces.stopped:
                    loop.finish_reason = "stop"
                    break
        for piece in pieces.end():
            yield clock.add(piece)
        yield clock.answer(
            self.name, self.model, "engine", stream, finish_reason=loop.finish_reason, n_prompt=len(tokens),
            n_cached=n_cached, n_gen=loop.n_gen, load_ns=load_ns, prompt_ns=prompt_ns, gen_ns=loop.gen_ns,
        )  # fmt: skip

    def _prefill(self, model: llama.Model, tokens: list[int], timeout_s: float) -> int:
        """Compute the prompt, but for the beginning it shares with the last request; how many that were."""
        same = 0
        while same < min(len(tokens) - 1, len(self._past)) and tokens[same] == self._past[same]:
            same += 1
        model.reset(same)
        same = model.n_past
        del self._past[same:]
        started = time.monotonic()
        for at in range(same, len(tokens), _N_BATCH):
            if time.monotonic() - started > timeout_s:
                raise EngineTimeout(f"the prompt was not read within {timeout_s:g} s. Shorten it or raise timeout_s.")
            model.decode(tokens[at : at + _N_BATCH])
            self._past += tokens[at : at + _N_BATCH]
        return same

    def embed(self, texts: Sequence[str], model: str | None = None) -> list[list[float]]:
        """Vectors of length 1 by the packaged MiniLM (384 numbers a text), or by the GGUF that ``model`` names."""
        path = models.minilm() if model in (None, "all-minilm") else models.find(str(model))
        vectors = _embedder(path).embed(list(texts), normalize=True) if texts else []
        if vectors and isinstance(vectors[0][0], list):
            raise BadOption(f"{path.stem} makes no embeddings: leave model out, or name one that does.")
        return [[float(x) for x in vector] for vector in vectors]

    def models(self) -> list[ModelEntry]:
        """The GGUF files on this machine."""
        return [
            ModelEntry(name=m.name, size_bytes=m.size_bytes, quant=m.quant, model_type=m.architecture)
            for m in models.local_ggufs()
        ]

    def info(self) -> Info:
        """Engine and model; the file's sha256 is computed on the first call."""
        head, built = inspect_gguf(self.path), llama.build()
        return Info(
            engine=self.name, engine_version=f"llama-cpp-python {built.version}", model=self.model, why=self.why,
            build_info=built.system_info, quant=head.quant, model_type=head.architecture, digest=models.sha256(self.path),
            model_size_bytes=head.size_bytes, model_n_params=head.n_params, pids=(os.getpid(),),
            n_ctx_train=self._loaded.n_ctx_train if self._loaded else None,
        )  # fmt: skip

    def unload(self) -> None:
        """Free the model; the next request loads it again."""
        self._turn += 1
        if self._loaded is not None:
            self._loaded.close()
        self._loaded, self._past = None, []


def _context(n_threads: int) -> Context:
    """What every model of this engine is loaded with."""
    layers = -1 if llama.build().gpu_offload else 0
    return Context(_N_BATCH, _N_BATCH, n_threads, layers, type_k="f16", type_v="f16", flash_attn="auto")


class _Loop:
    """Generate token by token; iterate for the bytes of each. ``past`` grows with what is in the context."""

    def __init__(self, model: llama.Model, chain: SamplerChain, options: Options, past: list[int]) -> None:
        self._model, self._chain, self._options, self._past = model, chain, options, past
        self.n_gen, self.gen_ns, self.finish_reason = 0, 0, "length"

    def __iter__(self) -> Iterator[bytes]:
        first_at = last_at = 0
        token: int | None = None
        while self.n_gen < self._options.num_predict and self._model.n_past < self._options.num_ctx:
            before = time.perf_counter_ns()
            if token is not None:
                self._model.decode([token])
                self._past.append(token)
            token = self._chain.sample()
            last_at = time.perf_counter_ns()
            first_at = first_at or last_at
            self.n_gen, self.gen_ns = self.n_gen + 1, last_at - first_at
            if self._model.is_end(token):
                self.finish_reason = "stop"
                return
            if (last_at - before) / 1e9 > self._options.timeout_s:
                raise EngineTimeout(f"one token took more than {self._options.timeout_s:g} s. Raise timeout_s.")
            yield self._model.piece(token, special=False)


@cache
def _embedder(path: Path) -> Any:
    from llama_cpp import Llama

    cores = llama.usable_cores()
    try:
        embedder = Llama(
            str(path), embedding=True, n_ctx=512, n_batch=512, verbose=False, n_threads=cores, n_threads_batch=cores
        )
    except ValueError:
        raise DamagedModel(f"llama.cpp cannot load {path.name}. Install or download the file again.") from None
    atexit.register(embedder.close)  # left to the interpreter's end, it fails there with a traceback
    return embedder
