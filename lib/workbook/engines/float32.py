"""A copy of a GGUF file with every weight in F32, made once by llama.cpp and kept in this user's cache.

For pages that compute with the weights themselves: F32 is what numpy and llama.cpp can both read as it stands.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from pathlib import Path

from workbook import hardware, paths
from workbook.engines import llama
from workbook.engines.requantize import requantize
from workbook.errors import DamagedModel, OutOfMemory
from workbook.formats import inspect_gguf

_BYTES = 4  # of an F32 weight


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
    _room(source.name, _BYTES * head.n_params, target.parent)
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
