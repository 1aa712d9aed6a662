"""A GGUF model opened by llama-cpp-python: tokens in, logits out, by llama.cpp's own calls (llama.h)."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbook import hardware, models
from workbook.engines import native
from workbook.engines.engine import Message
from workbook.engines.native import Build, build, log
from workbook.errors import BadOption, ContextOverflow, DamagedModel, EngineError, ModelNotFound, OutOfMemory
from workbook.formats import inspect
from workbook.quantization import named

__all__ = ["Build", "Model", "build", "default_path", "log", "usable_cores"]

_FLASH = {"auto": -1, "off": 0, "on": 1}


def usable_cores() -> int:
    """``WORKBOOK_THREADS``, else the physical cores this process may use: more make llama.cpp slower."""
    named = os.environ.get("WORKBOOK_THREADS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    return hardware.usable_cores()


def default_path() -> Path:
    """The GGUF that ``WORKBOOK_MODEL`` names if this machine has it, else the packaged one.

    Raises ModelNotFound when ``WORKBOOK_ENGINE=embedded`` and the name is not on this machine.
    """
    named = os.environ.get("WORKBOOK_MODEL")
    if not named:
        return models.packaged()
    try:
        return models.find(named)
    except ModelNotFound:
        if os.environ.get("WORKBOOK_ENGINE", "").lower() == "embedded":
            raise
        return models.packaged()


class Model:
    """A GGUF file loaded by llama.cpp, with one context.

    Parameters
    ----------
    path : the GGUF file; None takes ``default_path()``.
    n_ctx, n_batch, n_ubatch : tokens, as in llama.cpp. n_threads : None takes the physical cores.
    type_k, type_v : ggml type of the KV cache, e.g. "f16", "f32", "q8_0".
    flash_attn : "auto", "on" or "off". n_gpu_layers : None offloads all layers where the build can.

    Raises LlamaCppMissing, DamagedModel (llama.cpp cannot load the file), OutOfMemory (no room for the context).
    """

    def __init__(
        self,
        path: Path | str | None = None,
        n_ctx: int = 2048,
        n_batch: int = 2048,
        n_ubatch: int = 512,
        n_threads: int | None = None,
        type_k: str = "f16",
        type_v: str = "f16",
        flash_attn: str = "auto",
        n_gpu_layers: int | None = None,
    ) -> None:
        self._lib = lib = native.library()
        self.path = Path(path) if path is not None else default_path()
        self.n_ctx, self.n_batch = n_ctx, min(n_batch, n_ctx)
        self.n_ubatch, self.n_threads = min(n_ubatch, self.n_batch), n_threads or usable_cores()
        self.type_k, self.type_v, self.flash_attn = type_k, type_v, flash_attn
        self.n_gpu_layers = (-1 if native.build().gpu_offload else 0) if n_gpu_layers is None else n_gpu_layers
        self._model: Any = None
        self.context: Any = None
        self.n_past = 0
        self._load()
        self.memory: Any = lib.llama_get_memory(self.context)
        self.vocab = lib.llama_model_get_vocab(self._model)
        self.n_vocab = int(lib.llama_vocab_n_tokens(self.vocab))
        self.bos, self.eos = int(lib.llama_vocab_bos(self.vocab)), int(lib.llama_vocab_eos(self.vocab))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self.vocab))
        self.n_ctx_train = int(lib.llama_model_n_ctx_train(self._model))
        self.n_params = int(lib.llama_model_n_params(self._model))
        self.size_bytes = int(lib.llama_model_size(self._model))
        self.metadata = {key: str(value) for key, value in inspect(self.path).metadata.items()}

    def _load(self) -> None:
        lib = self._lib
        if not self.path.is_file():
            raise DamagedModel(f"there is no file {self.path.name!r} where the model should be.")
        if self.flash_attn not in _FLASH:
            raise BadOption(f"flash_attn={self.flash_attn!r}: give one of {', '.join(_FLASH)}.")
        kv_types = named(self.type_k).ggml_id, named(self.type_v).ggml_id
        native.begin()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 2**31 - 1 if self.n_gpu_layers < 0 else self.n_gpu_layers
        self._model = lib.llama_model_load_from_file(str(self.path).encode(), params)
        if not self._model:
            why = native.last_error()
            raise DamagedModel(f"llama.cpp cannot load {self.path.name}: {why}. Install or download the file again.")
        # A cell that is run again drops its model without closing it.
        self._end = weakref.finalize(self, native.free, lib, handles := [self._model])
        context = lib.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch = self.n_ctx, self.n_batch, self.n_ubatch
        context.n_threads = context.n_threads_batch = self.n_threads
        context.type_k, context.type_v = kv_types
        context.flash_attn_type = _FLASH[self.flash_attn]
        self.context = lib.llama_init_from_model(self._model, context)
        if self.context:
            handles.append(self.context)
        else:
            why = native.last_error()
            self.close()
            raise OutOfMemory(f"no room for a context of {self.n_ctx} tokens ({why}). Give a smaller n_ctx.")

    def tokenize(self, text: str, special: bool = False, bos: bool = False) -> list[int]:
        """The ids of ``text``. ``special``: read markers such as ``<|im_start|>`` as one token."""
        raw = text.encode()
        room = len(raw) + 8
        tokens = (self._lib.llama_token * room)()
        n = self._lib.llama_tokenize(self.vocab, raw, len(raw), tokens, room, bos, special)
        if n < 0:
            raise EngineError(f"llama.cpp could not tokenize {len(raw)} bytes of text.")
        return list(tokens[:n])

    def piece(self, token: int, special: bool = True) -> bytes:
        """The bytes of one token: not always whole characters."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            n = self._lib.llama_token_to_piece(self.vocab, token, buffer, room, 0, special)
            if n >= 0:
                return bytes(buffer.raw[:n])
            room = -n

    def text(self, tokens: Sequence[int], special: bool = True) -> str:
        """The text of these tokens; bytes that are no whole character become the replacement sign."""
        return b"".join(self.piece(t, special) for t in tokens).decode("utf-8", "replace")

    def chat_prompt(self, messages: Sequence[Message], think: bool = False) -> str:
        """The messages as the model's own template writes them, ready for its answer.

        ``think`` is what reasoning models' templates call enable_thinking; others do not read it.
        """
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        template = self.metadata.get("tokenizer.chat_template")
        if not template:
            raise BadOption(f"{self.path.name} has no chat template: use complete() instead of chat().")
        bos = self.piece(self.bos).decode() if self.bos >= 0 else ""
        eos = self.piece(self.eos).decode() if self.eos >= 0 else ""
        try:
            return str(
                Jinja2ChatFormatter(template=template, eos_token=eos, bos_token=bos)(
                    messages=list(messages), enable_thinking=think
                ).prompt
            )
        except Exception as error:  # noqa: BLE001  a template is a program from a file: it may raise anything
            raise BadOption(f"the chat template of {self.path.name} refuses these messages: {error}") from None

    def reset(self, keep: int = 0) -> None:
        """Forget all but the first ``keep`` tokens of the context."""
        if keep == 0 or not self._lib.llama_memory_seq_rm(self.memory, 0, keep, -1):
            # A recurrent model cannot forget a part: it starts again.
            self._lib.llama_memory_clear(self.memory, True)
            keep = 0
        self.n_past = keep

    def decode(self, tokens: Sequence[int]) -> None:
        """Append ``tokens`` to the context and wait until the logits of the last one are there.

        Raises ContextOverflow before any work when they do not fit.
        """
        if self.n_past + len(tokens) > self.n_ctx:
            raise ContextOverflow(
                f"{self.n_past + len(tokens)} tokens do not fit a context of {self.n_ctx}. "
                f"Shorten the prompt or raise num_ctx (this model was trained with {self.n_ctx_train})."
            )
        for start in range(0, len(tokens), self.n_batch):
            part = tokens[start : start + self.n_batch]
            ids = (self._lib.llama_token * len(part))(*part)  # named: the batch only points to it
            batch = self._lib.llama_batch_get_one(ids, len(part))
            native.begin()
            code = self._lib.llama_decode(self.context, batch)
            if code:
                raise EngineError(f"llama_decode failed with code {code}: {native.last_error()}.")
            self.n_past += len(part)
        self._lib.llama_synchronize(self.context)

    def logits(self) -> NDArray[np.float32]:
        """The logits of the last token decoded, shape (n_vocab,), a copy."""
        pointer = self._lib.llama_get_logits_ith(self.context, -1)
        if not pointer:
            raise EngineError("there are no logits yet: decode() some tokens first.")
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).astype(np.float32, copy=True)

    def close(self) -> None:
        """Free the context and the model."""
        self._end()
        self._lib, self.context, self._model = native.Closed(), None, None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
