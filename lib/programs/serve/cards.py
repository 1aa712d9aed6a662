"""What a GGUF file says of itself, in the words of Ollama's /api/tags and /api/show."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from programs.serve import templates
from workbook.formats import FileInfo


@dataclass(frozen=True)
class Details:
    """What the file says of itself, in Ollama's words. parameter_size e.g. "134.52M", quantization_level "Q4_1"."""

    family: str
    families: tuple[str, ...]
    parameter_size: str
    quantization_level: str
    format: str = "gguf"
    parent_model: str = ""
    context_length: int = 0
    embedding_length: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file; shape as GGUF has it, the fastest dimension first."""

    name: str
    type: str
    shape: tuple[int, ...]


def details(info: FileInfo) -> Details:
    """The details of /api/tags."""
    arch = info.architecture or ""
    quant = info.quant or "unknown"
    return Details(
        family=arch,
        families=(arch,),
        parameter_size=human(info.n_params),
        quantization_level="unknown" if quant == "F32" else quant,  # a type Ollama has no name for
        context_length=_number(info, f"{arch}.context_length"),
        embedding_length=_number(info, f"{arch}.embedding_length"),
    )


def capabilities(info: FileInfo) -> tuple[str, ...]:
    """What the model can do, as Ollama reads it from the file and its template."""
    source = _template(info)
    found = []
    if templates.template_kind(source) == "jinja":
        if "tools" in source or "tool_call" in source:
            found.append("tools")
        if _thinks(source):
            found.append("thinking")
    pools = f"{info.architecture}.pooling_type" in info.metadata
    return (*found, "embedding" if pools else "completion")


def template(info: FileInfo) -> str:
    """The template that answers for the file's own."""
    source = _template(info)
    kind = templates.template_kind(source)
    return {"chatml": templates.CHATML_TEMPLATE, "none": templates.NO_TEMPLATE, "jinja": source}[kind]


def stops(info: FileInfo) -> tuple[str, ...]:
    """The texts that end an answer unless a request names its own."""
    return templates.stops_of(_template(info))


def model_info(info: FileInfo) -> Mapping[str, Any]:
    """The metadata, sorted, without name and template; lists are null, as /api/show gives them."""
    hidden = {"general.name", "tokenizer.chat_template"}
    values: dict[str, Any] = {key: _short(value) for key, value in info.metadata.items()}
    values |= dict.fromkeys(info.stepped)
    values["general.parameter_count"] = info.n_params
    return {key: values[key] for key in sorted(values) if key not in hidden}


def tensors(info: FileInfo) -> tuple[Tensor, ...]:
    """The tensors of the file."""
    return tuple(Tensor(t.name, t.type, t.shape) for t in info.tensors)


def human(count: int) -> str:
    """A number of weights as Ollama writes it: 134.52M, 8.0B."""
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2)):
        if count >= size:
            return f"{count // size}{letter}" if count % size == 0 else f"{count / size:.{digits}f}{letter}"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def quoted(text: str) -> str:
    """A text as a Modelfile holds it."""
    return f'"{text}"' if "\n" in text or text != text.strip() else text


def _template(info: FileInfo) -> str:
    source = info.metadata.get("tokenizer.chat_template", "")
    return source if isinstance(source, str) else ""


def _thinks(source: str) -> bool:
    if "<think>" in source and "</think>" in source:
        return True
    splits = "content.split('</think>')" in source or 'content.split("</think>")' in source
    return splits and "reasoning_content" not in source and "<SPECIAL_12>" not in source


def _number(info: FileInfo, key: str) -> int:
    value = info.metadata.get(key, 0)
    return value if isinstance(value, int) else 0


def _short(value: Any) -> Any:
    """A 32-bit number with the fewest digits that are it again, whole numbers without a point: as Go writes them."""
    if not isinstance(value, float) or value - value != 0:
        return value if not isinstance(value, float) else None
    if value == int(value) and abs(value) < 1e21:
        return int(value)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return short
    return value
