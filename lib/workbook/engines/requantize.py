"""A GGUF file written again in another type by llama.cpp's quantizer, and what that did to its tensors."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbook import hardware, models, paths
from workbook.engines import llama, native
from workbook.errors import BadOption, ContextOverflow, DamagedModel, EngineError, OutOfMemory
from workbook.formats import inspect_gguf
from workbook.quantization import named

_WARNING = re.compile(
    r"warning: (?P<tensor>\S+)\s+- ncols\s+(?P<columns>\d+) not divisible by\s+(?P<block>\d+) "
    r"\(required for type\s+(?P<wanted>\S+)\)(?P<odd>[^\n]*?)-> falling back to\s+(?P<taken>\S+)"
)


@dataclass(frozen=True)
class Fallback:
    """A tensor that could not take the type asked for: its rows of ``n_columns`` are no whole number of blocks."""

    tensor: str
    n_columns: int
    wanted: str
    taken: str


@dataclass(frozen=True)
class Requantized:
    """A file made by ``requantize``. ``n_weights``: weights by the type they are really stored in."""

    path: Path
    size_bytes: int
    n_weights: dict[str, int]
    fallbacks: tuple[Fallback, ...]

    @property
    def bits_per_weight(self) -> float:
        """Bits of the tensors' data for each weight of the model."""
        total = sum(self.n_weights.values())
        return sum(named(name).bits_per_weight * n for name, n in self.n_weights.items()) / total


def fallbacks(log: str) -> tuple[Fallback, ...]:
    """The warnings of llama.cpp's quantizer in ``log``. Source of their words: src/llama-quant.cpp."""
    return tuple(
        Fallback(m["tensor"], int(m["columns"]), m["wanted"].upper(), m["taken"].upper())
        for m in _WARNING.finditer(log)
    )


def requantize(source: Path, target: Path, name: str, n_threads: int | None = None) -> Requantized:
    """Write ``source`` to ``target`` in the mixture ``name`` (as llama-quantize spells it: "Q4_K_M", "F16").

    Tensors that are quantized already are quantized again, from their rounded values.
    Raises BadOption for an unknown name, DamagedModel when llama.cpp cannot.
    """
    lib = native.library()
    spelled = name.upper()
    ftype = lib.LLAMA_FTYPE_ALL_F32 if spelled == "F32" else getattr(lib, f"LLAMA_FTYPE_MOSTLY_{spelled}", None)
    if ftype is None:
        raise BadOption(f"{name!r} is no mixture of llama-quantize. Try F16, Q8_0, Q4_K_M or Q4_0.")
    if source.resolve() == target.resolve():
        raise BadOption("give the new file another name: the quantizer reads one while it writes the other.")
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = ftype, n_threads or llama.usable_cores(), True
    native.begin()
    if lib.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        target.unlink(missing_ok=True)
        raise DamagedModel(f"llama.cpp cannot write {source.name} as {name}: {native.last_error()}.")
    log = native.log().rpartition("loaded meta data with")[2]  # what llama.cpp said since it last opened a file
    return Requantized(target, target.stat().st_size, n_weights(target), fallbacks(log))


def f32_copy(path: Path | None = None) -> Path:
    """The model in ``path`` (None: ``llama.default_path()``) as a GGUF file in F32, dequantized and not rounded.

    A file that is F32 already is its own copy. Another is written at the first call, 4 bytes a weight (2 seconds
    and 0.54 GB for the packaged model), and appears whole or not at all.

    Raises OutOfMemory, before any work, when it would fill half of what is free on the disk or of the memory;
    DamagedModel for what is no whole GGUF file, or what llama.cpp refuses to convert.
    """
    source = (path or llama.default_path()).resolve()
    head = inspect_gguf(source)
    if head.quant == "F32":
        return source
    status = source.stat()  # a file that changes gets another copy
    seen = hashlib.sha256(f"{source} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:12]
    target = paths.cache() / "f32" / f"{source.stem}-{seen}.F32.gguf"
    with contextlib.suppress(DamagedModel):
        if inspect_gguf(target).n_params == head.n_params:
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    _room(source.name, 4 * head.n_params, target.parent)
    with paths.whole(target) as made:
        requantize(source, made, "F32")
    return target


def _room(name: str, needed: int, folder: Path) -> None:
    free = {"on the disk": shutil.disk_usage(folder).free, "of memory": hardware.ram_available_bytes()}
    for what, n_bytes in free.items():
        if needed > n_bytes / 2:
            raise OutOfMemory(
                f"a copy of {name} in F32 takes {needed / 1e9:.1f} GB, more than half of the {n_bytes / 1e9:.1f} GB "
                f"{what} that are free. Take a smaller model, such as the packaged one: leave WORKBOOK_MODEL unset."
            )


def n_weights(path: Path) -> dict[str, int]:
    """How many weights of the file are stored in each type, the most frequent first.

    Raises DamagedModel for what is no whole model file.
    """
    counts: collections.Counter[str] = collections.Counter()
    for tensor in models.inspect(path).tensors:
        counts[tensor.type] += tensor.n_elements
    return dict(counts.most_common())


def all_logits(model: llama.Model, tokens: Sequence[int], n_at_once: int = 128) -> NDArray[np.float32]:
    """The logits after each of ``tokens``, from an empty context: shape (len(tokens), n_vocab).

    ``Model.decode`` keeps the last ones only. Raises ContextOverflow when the tokens do not fit.
    """
    if len(tokens) > model.n_ctx:
        raise ContextOverflow(f"{len(tokens)} tokens do not fit a context of {model.n_ctx}. Give a larger n_ctx.")
    lib, context = model._lib, model.context
    out = np.empty((len(tokens), model.n_vocab), dtype=np.float32)
    model.reset()
    for start in range(0, len(tokens), n_at_once):
        part = tokens[start : start + n_at_once]
        batch = lib.llama_batch_init(len(part), 0, 1)
        try:
            batch.n_tokens = len(part)
            for i, token in enumerate(part):
                batch.token[i], batch.pos[i], batch.logits[i] = token, start + i, 1
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            native.begin()
            if lib.llama_decode(context, batch):
                raise EngineError(f"llama_decode failed: {native.last_error()}.")
            lib.llama_synchronize(context)
            pointer = lib.llama_get_logits(context)
            out[start : start + len(part)] = np.ctypeslib.as_array(pointer, shape=(len(part), model.n_vocab))
        finally:
            lib.llama_batch_free(batch)
    model.n_past = len(tokens)
    return out
