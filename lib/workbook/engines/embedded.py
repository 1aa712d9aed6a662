"""The engine that is always there: llama.cpp's own server in this process, on a GGUF file."""

from __future__ import annotations

import atexit
import math
import os
import queue
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from workbook import models
from workbook.engines import cpp_server, llama, schemas
from workbook.engines.engine import Answer, Collector, Context, Engine, Info, Message, ModelEntry, Piece
from workbook.engines.options import REPEAT_LAST_N, Options
from workbook.errors import BadOption, ContextOverflow, EngineError, EngineTimeout, StreamBroken
from workbook.formats import FileInfo, inspect_gguf

PACKAGED = "smollm2:135m"
"""The packaged model under Ollama's name for it."""

_SAMPLERS = ("penalties", "top_k", "top_p", "min_p", "temperature")  # those that Options names, in llama.cpp's order
_N_BATCH = 512  # tokens of a prompt between two signs of life: a request can be ended there
_ALL = 1 << 30  # tokens to tell; llama.cpp stops at the end of the vocabulary
_N_CTX_EMBED = 512  # tokens of a text to embed


@dataclass(frozen=True)
class NextToken:
    """A token that may come next. ``text`` is "" where the token is none, such as the one that ends an answer."""

    id: int
    text: str
    logprob: float


class Embedded(Engine):
    """llama.cpp in process. The model is loaded at the first request, and again when num_ctx or ``context`` changes.

    One request at a time: a new one ends a stream that is not read to its end. The repetition penalty sees the
    last 64 tokens, the prompt's included. Raises LlamaCppMissing, ModelNotFound.
    """

    name = "embedded"

    def __init__(self, model: str | None = None, why: str = "asked for", n_threads: int | None = None) -> None:
        path = models.packaged() if model in (None, PACKAGED, PACKAGED + ":latest") else models.find(str(model))
        super().__init__(PACKAGED if model is None else model, why)
        self.path = path
        self.context = _context(n_threads or llama.usable_cores())
        self._server: Any = None
        self._key = secrets.token_hex()
        self._loaded_as: tuple[int, Context] | None = None
        self._request: _Request | None = None
        _OPEN.add(self)

    @cached_property
    def _file(self) -> FileInfo:
        return inspect_gguf(self.path)

    @property
    def _n_ctx_train(self) -> int | None:
        found = self._file.metadata.get(f"{self._file.architecture}.context_length")
        return found if isinstance(found, int) else None

    def _body(self, request: str | Sequence[int] | list[Message], o: Options) -> dict[str, Any]:
        """The request as llama.cpp's server takes it: a text or its tokens to continue, or a chat."""
        template = str(self._file.metadata.get("tokenizer.chat_template", ""))
        if o.think and "think" not in template:
            raise BadOption(f"{self.model} does not support thinking: leave think out.")
        if not request:
            raise BadOption("the prompt is empty: give it at least one character.")
        body = {name: getattr(o, name) for name in ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed")}
        body |= {"samplers": _SAMPLERS, "repeat_last_n": REPEAT_LAST_N, "stop": [text for text in o.stop if text]}
        body |= {"n_predict": o.num_predict, "cache_prompt": True}
        if o.format is not None:
            body["grammar"] = schemas.grammar(o.format)
        if not isinstance(request[0], Mapping):
            return body | {"prompt": request}
        if not template:
            raise BadOption(f"{self.path.name} has no chat template: use complete() instead of chat().")
        think = {"enable_thinking": o.think and o.format is None}  # a grammar holds from the first token on
        return body | {"messages": request, "reasoning_format": "deepseek", "chat_template_kwargs": think}

    def _load(self, num_ctx: int) -> int:
        """Load the model, if it is not loaded so already; nanoseconds that it took."""
        started, wanted = time.perf_counter_ns(), (-(-num_ctx // 256), self.context)  # rounded up as llama.cpp does
        if self._loaded_as != wanted:
            self.unload()
            self._server, self._loaded_as = cpp_server.load(self.path, num_ctx, self.context, key=self._key), wanted
        return time.perf_counter_ns() - started

    def _ask(self, body: dict[str, Any]) -> _Request:
        """Begin a request; one that is still under way is ended."""
        if self._request is not None:
            self._request.end()
        handle = self._server.handle_chat_completions if "messages" in body else self._server.handle_completions
        self._request = _Request(handle, body)
        return self._request

    def _events(self, request: str | list[Message], options: Options, stream: bool) -> Iterator[Piece | Answer]:
        clock = Collector()
        body = self._body(request, options) | {"stream": True, "timings_per_token": True, "return_progress": True}
        load_ns = self._load(options.num_ctx)
        asked = self._ask(body)
        reason, n_prompt, times = None, 0, {"predicted_n": 0}
        try:
            while reason is None:
                chunk = asked.chunk(options.timeout_s)
                n_prompt = chunk.get("prompt_progress", {}).get("total", n_prompt)
                if n_prompt >= options.num_ctx:  # llama.cpp has rounded it up
                    chunk = {"error": {"n_prompt_tokens": n_prompt, "n_ctx": options.num_ctx}}
                if "error" in chunk:
                    raise self._refusal(chunk["error"])
                times = chunk.get("timings", times)
                choice = chunk["choices"][0]
                said = choice.get("delta", choice)
                piece = Piece(said.get("content") or said.get("text") or "", said.get("reasoning_content") or "")
                if piece.text or piece.thinking:
                    yield clock.add(piece)
                full = n_prompt + times["predicted_n"] >= options.num_ctx
                reason = choice["finish_reason"] or ("length" if full else None)
        finally:
            asked.over = True
        yield clock.answer(
            self.name, self.model, "engine", stream, finish_reason=reason, n_prompt=n_prompt, n_cached=times["cache_n"],
            n_gen=times["predicted_n"], load_ns=load_ns, prompt_ns=round(times["prompt_ms"] * 1e6),
            gen_ns=round(times["predicted_ms"] * 1e6),
        )  # fmt: skip

    def _refusal(self, error: dict[str, Any]) -> Exception:
        """What the server refused, as one of our errors."""
        if "n_prompt_tokens" in error:
            return ContextOverflow(
                f"the prompt has {error['n_prompt_tokens']} tokens and num_ctx is {error['n_ctx']}, the answer included. "
                f"Shorten the prompt or raise num_ctx (this model was trained with {self._n_ctx_train})."
            )
        words = " ".join(str(error["message"]).split())[:300].rstrip(".")
        return (BadOption if error.get("code") == 400 else EngineError)(f"llama.cpp refuses the request: {words}.")

    def tokenize(self, text: str) -> list[int]:
        """The ids of the tokens that ``complete`` reads for ``text``."""
        import httpx

        self._load(self.options.num_ctx)
        asked = {"content": text, "add_special": True, "parse_special": True}
        head = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(trust_env=False) as client:  # a proxy knows nothing of this port
            answer = client.post(f"{self._server.listening_address}/tokenize", json=asked, headers=head, timeout=60)
        return [int(token) for token in answer.json()["tokens"]]

    def next_tokens(
        self, prompt: str | Sequence[int], n: int | None = None, sampled: bool = False, **options: Any
    ) -> list[NextToken]:
        """The ``n`` likeliest tokens after the prompt (None: all), a text or its tokens; the likeliest first.

        By the model alone; ``sampled``: what the options' sampler chain leaves of them. All are computed anew, so the
        same prompt gets the same numbers; for ``n`` of them, what was computed before is used, as in ``complete``.
        """
        o = self.options.but({**options, "num_predict": 1})
        body = self._body(prompt, o) | {"n_probs": n or _ALL, "cache_prompt": n is not None}
        body |= {"post_sampling_probs": True} if sampled else {"temperature": 0, "logit_bias": [["a", 1e4]]}
        self._load(o.num_ctx)
        # It draws one as well, and tells nothing where that is a part of a character: "a" is none.
        for seed in range(o.seed, o.seed + 10):
            answer = self._ask(body | {"seed": seed}).chunk(o.timeout_s)
            if "error" in answer:
                raise self._refusal(answer["error"])
            if told := answer["choices"][0]["logprobs"]:
                break
        else:
            raise EngineError("llama.cpp tells no probabilities where it draws parts of characters. Give another seed.")
        found = told["content"][0]
        if sampled:
            likely = [(token, math.log(token["prob"])) for token in found["top_probs"] if token["prob"]]
        else:
            likely = [(token, token["logprob"]) for token in found["top_logprobs"]]
        return [NextToken(t["id"], bytes(t["bytes"]).decode("utf-8", "replace"), logprob) for t, logprob in likely]

    def embed(self, texts: Sequence[str], model: str | None = None) -> list[list[float]]:
        """Vectors of length 1 by the packaged MiniLM (384 numbers a text), or by the GGUF that ``model`` names."""
        path = models.minilm() if model in (None, "all-minilm") else models.find(str(model))
        vectors = []
        for text in texts:  # one by one: so Ctrl-C is heard between them
            told = _embedder(path).handle_embeddings({"input": [text]})
            if "too large" in str(told.get("error")):
                raise ContextOverflow(f"a text is longer than {_N_CTX_EMBED} tokens: {text[:40]!r}... Cut it in parts.")
            if "error" in told:
                raise BadOption(f"{path.stem} makes no embeddings: leave model out, or name one that does.")
            vectors.append([float(x) for x in told["data"][0]["embedding"]])
        return vectors

    def models(self) -> list[ModelEntry]:
        """The GGUF files on this machine."""
        return [
            ModelEntry(name=m.name, size_bytes=m.size_bytes, quant=m.quant, model_type=m.architecture)
            for m in models.local_ggufs()
        ]

    def info(self) -> Info:
        """Engine and model; the file's sha256 is computed on the first call."""
        head = self._file
        return Info(
            engine=self.name, engine_version=cpp_server.version(), model=self.model, why=self.why,
            build_info=cpp_server.package().get_system_info().strip(), quant=head.quant, model_type=head.architecture,
            digest=models.sha256(self.path), model_size_bytes=head.size_bytes, model_n_params=head.n_params,
            pids=(os.getpid(),), n_ctx_train=self._n_ctx_train,
        )  # fmt: skip

    def unload(self) -> None:
        """Free the model; the next request loads it again."""
        if self._request is not None:
            self._request.end()
        self._server = self._loaded_as = self._request = None


class _Request(threading.Thread):
    """A request in a thread of its own: so Ctrl-C and a time limit are heard while llama.cpp computes."""

    def __init__(self, handle: Callable[..., None], body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._handle, self._body, self.over = handle, body, False
        self._chunks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        """Ask the server, and wait for its last word."""
        try:
            self._handle(self._body, self._take)
        except Exception as error:  # noqa: BLE001  the server's own checks raise what they like
            self._take({"error": {"code": 400, "message": error}})

    def _take(self, chunk: dict[str, Any]) -> bool:
        self._chunks.put(chunk)
        return self.over  # True: the server stops

    def chunk(self, timeout_s: float) -> dict[str, Any]:
        """The next one. Raises EngineTimeout, and StreamBroken after ``end()``."""
        try:
            found = self._chunks.get(timeout=timeout_s)
        except queue.Empty:
            raise EngineTimeout(f"llama.cpp sent nothing for {timeout_s:g} s. Raise timeout_s.") from None
        if self.over:
            raise StreamBroken("another request, or unload(), ended this stream. Read a stream to its end first.")
        return found

    def end(self) -> None:
        """Stop it, and wait until it has stopped."""
        self.over = True
        self.join()


def _context(n_threads: int) -> Context:
    """What every model of this engine is loaded with."""
    return Context(
        _N_BATCH, _N_BATCH, n_threads, -1 if cpp_server.has_gpu() else 0, type_k="f16", type_v="f16", flash_attn="auto"
    )


@cache
def _embedder(path: Path) -> Any:
    return cpp_server.load(path, _N_CTX_EMBED, Context(n_threads=llama.usable_cores()), embedding=True)


_OPEN: weakref.WeakSet[Embedded] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A process can hang or abort that ends before the servers in it."""
    for thread in threading.enumerate():
        if isinstance(thread, _Request):
            thread.end()
    for engine in list(_OPEN):
        engine.unload()
    _embedder.cache_clear()
