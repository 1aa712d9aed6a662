"""llama.cpp's own C++ server in this process, by xllamacpp: a wheel for each system, no compiler."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from workbook.engines.engine import Context
from workbook.errors import BadOption, DamagedModel, LlamaCppMissing, OutOfMemory
from workbook.formats import inspect_gguf
from workbook.quantization import named

# libgomp reads it when it is loaded. Two llama.cpp processes on one machine starve each other: idle threads spin.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_FLASH = {"auto": "LLAMA_FLASH_ATTN_TYPE_AUTO", "off": "LLAMA_FLASH_ATTN_TYPE_DISABLED", "on": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}  # fmt: skip
_SMALL_CTX = 256  # tokens: the least llama.cpp makes
_LARGEST_CTX = 1 << 24  # tokens; beyond any model, and llama.cpp would first take all the memory to find out


def package() -> Any:
    """The module ``xllamacpp``. Raises LlamaCppMissing where the set-up found no wheel for this system."""
    try:
        import xllamacpp
    except ImportError:
        raise LlamaCppMissing(
            "there is no xllamacpp for this system, so no model runs inside Python here. Install Ollama: "
            "https://ollama.com/download, then: ollama pull smollm2:135m"
        ) from None
    return xllamacpp


def version() -> str:
    """Name and version of the package, e.g. "xllamacpp 2026.10.11549"."""
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}"


def has_gpu() -> bool:
    """Whether this build finds a graphics card to compute on. Raises LlamaCppMissing."""
    return any("GPU" in str(device["type"]) for device in package().get_device_info())


def load(
    path: Path,
    n_ctx: int,
    context: Context,
    *,
    embedding: bool = False,
    ctx_shift: bool = False,
    chat_template: str = "",
    key: str = "",
) -> Any:
    """A server with this model loaded: an ``xllamacpp.Server``, which frees the model when it is dropped.

    It also listens on a free loopback port (``listening_address``), open to who sends ``key``.

    Parameters
    ----------
    n_ctx : tokens of one conversation; llama.cpp rounds up to a multiple of 256.
    embedding : make vectors instead of text. ctx_shift : drop the oldest tokens when the context is full.
    chat_template : Jinja, in place of the file's own; then an answer never goes on from the assistant's own words.

    Raises LlamaCppMissing, DamagedModel (the file is no whole GGUF, or llama.cpp cannot load it), OutOfMemory.
    """
    xllamacpp = package()
    inspect_gguf(path)
    no_room = OutOfMemory(f"no room for a context of {n_ctx} tokens. Give a smaller num_ctx.")
    if n_ctx >= _LARGEST_CTX:
        raise no_room
    params = _params(xllamacpp, path, context)
    params.n_ctx, params.n_parallel = n_ctx, 1
    params.embedding, params.ctx_shift, params.chat_template = embedding, ctx_shift, chat_template
    params.prefill_assistant = not chat_template
    if embedding:  # a text is read in one batch
        params.n_batch = params.n_ubatch = n_ctx
    params.api_keys, params.endpoint_metrics = [key or os.urandom(16).hex()], True
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:  # it does not tell why: a small context does
        if n_ctx > _SMALL_CTX:
            load(path, _SMALL_CTX, context, embedding=embedding, chat_template=chat_template)
            raise no_room from None
        raise DamagedModel(
            f"llama.cpp cannot load {path.name}: it does not know this kind of model, its chat template is wrong, "
            "or there is not enough memory. Take another file."
        ) from None
    server.handle_metrics()  # answered once its loop runs: one that is dropped before, waits for ever
    return server


def _params(xllamacpp: Any, path: Path, context: Context) -> Any:
    """llama.cpp's parameters for this file, quiet, as ``context`` has them."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.verbosity, params.warmup, params.fit_params = -1, False, False
    params.n_batch, params.n_ubatch = context.n_batch or 512, context.n_ubatch or 512
    if context.n_threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = context.n_threads
    if context.n_gpu_layers is not None:
        params.n_gpu_layers = context.n_gpu_layers
    for attribute, kv_type in (("cache_type_k", context.type_k), ("cache_type_v", context.type_v)):
        if kv_type:
            setattr(params, attribute, xllamacpp.ggml_type(named(kv_type).ggml_id))
    if context.flash_attn:
        if context.flash_attn not in _FLASH:
            raise BadOption(f"flash_attn={context.flash_attn!r}: give one of {', '.join(_FLASH)}.")
        params.flash_attn_type = getattr(xllamacpp.llama_flash_attn_type, _FLASH[context.flash_attn])
    return params
