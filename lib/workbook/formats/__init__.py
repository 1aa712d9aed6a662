"""Model files, read without trust and without loading them: GGUF and safetensors headers, and what else it may be."""

from __future__ import annotations

import stat
from pathlib import Path

from workbook.errors import DamagedModel
from workbook.formats import gguf, safetensors
from workbook.formats.cursor import Cursor
from workbook.formats.file_info import FileInfo, Malformed, Stepped, TensorInfo

__all__ = ["FileInfo", "Stepped", "TensorInfo", "inspect", "inspect_gguf"]

# Names lie, and a failed download keeps the model's name: the first bytes tell.
_MAGIC = [
    (b"GGUF", "GGUF"),
    (b"lmgg", "an old GGML file"), (b"fmgg", "an old GGML file"), (b"tjgg", "an old GGML file"),
    (b"PK\x03\x04", "a PyTorch archive"),
    (b"\x80\x02", "a pickle"), (b"\x80\x03", "a pickle"), (b"\x80\x04", "a pickle"), (b"\x80\x05", "a pickle"),
    (b"version https://git-lfs", "a git-lfs pointer"),
    (b"<!DOCTYPE", "a web page"), (b"<!doctype", "a web page"), (b"<html", "a web page"),
    (b"\x89HDF", "an HDF5 file"),
]  # fmt: skip
_ADVICE = {
    "an old GGML file": "llama.cpp stopped reading these in August 2023; take a GGUF of the same model",
    "a PyTorch archive": "loading one can run any program; take the model's .safetensors or .gguf files",
    "a pickle": "loading one can run any program; take the model's .safetensors or .gguf files",
    "a git-lfs pointer": "the model itself was not downloaded; run git lfs pull",
    "a web page": "the download failed; is a login or an accepted licence needed?",
    "an HDF5 file": "no engine of this workbook loads it",
}


def inspect(path: Path | str) -> FileInfo:
    """What the header of a GGUF or safetensors file says, checked against the file's size; no weight is read.

    GGUF of versions 2 and 3, little- and big-endian. Safe on files of unknown origin: time and memory are bounded,
    and every count, length, type, offset and overlap is checked before it is used.

    Raises DamagedModel, with the reason in one line, for whatever is not a whole file of these kinds.
    """
    path = Path(path)
    form = "GGUF"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Malformed("it is not a file")  # opening a pipe would wait for its other end
        with path.open("rb") as file:
            form = _format(path, file.read(64), status.st_size)
            cursor = Cursor(file, status.st_size)
            return gguf.read(cursor) if form == "GGUF" else safetensors.read(cursor)
    except Malformed as error:
        raise DamagedModel(f"{path.name} is not a whole {form} file: {error}.") from None
    except OSError as error:
        raise DamagedModel(f"{path.name} cannot be read: {error.strerror or 'a loop of links'}.") from None


def _format(path: Path, start: bytes, size: int) -> str:
    """The format to read it as; raises DamagedModel for what is surely another kind of file."""
    found = next((name for magic, name in _MAGIC if start.startswith(magic)), None)
    if found in _ADVICE:
        raise DamagedModel(f"{path.name} is {found}, not a model file to inspect: {_ADVICE[found]}.")
    if found:
        return found
    if path.suffix.lower() == ".safetensors" or safetensors.looks_like(start, size):
        return "safetensors"
    if path.suffix.lower() != ".gguf":
        raise DamagedModel(f"{path.name} is neither a GGUF nor a safetensors file.")
    return "GGUF"


def inspect_gguf(path: Path, first: bool = True) -> FileInfo:
    """``inspect``, for a file that llama.cpp shall open.

    ``first`` False: a later part of a model in several files, which need not name its architecture.
    Raises DamagedModel for whatever llama.cpp could not open here as GGUF.
    """
    info = inspect(path)
    why = None
    if info.format != "GGUF":
        why = f"it is a {info.format} file"
    elif info.byte_order != "little":
        why = "it is big-endian, which llama.cpp does not read here"
    elif info.architecture is None and first:
        why = "it does not name its architecture"
    if why:
        raise DamagedModel(f"{path.name} is not a whole GGUF file: {why}.")
    return info
