"""What a GGUF file, and the YAML beside it, say of a model, in the words of Ollama's /api/tags and /api/show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workbook.errors import BadOption
from workbook.formats import FileInfo

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What Ollama puts in place of a template that it knows as ChatML: no system prompt of its own."""

_SHOWN = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


@dataclass(frozen=True)
class Details:
    """What the file says of itself, in Ollama's words. parameter_size e.g. "134.52M", quantization_level "Q4_1"."""

    family: str
    parameter_size: str
    quantization_level: str
    context_length: int = 0
    embedding_length: int = 0

    def body(self, lengths: bool = True) -> dict[str, Any]:
        """As /api/tags has them; without ``lengths`` as /api/show does."""
        made = {"parent_model": "", "format": "gguf", "family": self.family, "families": [self.family]}
        made |= {"parameter_size": self.parameter_size, "quantization_level": self.quantization_level}
        more = {"context_length": self.context_length, "embedding_length": self.embedding_length}
        return made | ({key: value for key, value in more.items() if value} if lengths else {})


@dataclass(frozen=True)
class Defaults:
    """What a Modelfile would say: options unless a request names them, a system prompt, a licence."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    license: str = ""

    @classmethod
    def beside(cls, model: Path) -> Defaults:
        """The YAML file of the same name beside a GGUF file: ``parameters``, ``system``, ``license``. Raises BadOption."""
        file = model.with_suffix(".yaml")
        if not file.is_file():
            return cls()
        try:
            given = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            made = cls(dict(given.pop("parameters", {})), str(given.pop("system", "")), str(given.pop("license", "")))
        except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
            raise BadOption(f"{file.name} cannot be read: {str(error).splitlines()[0]}") from None
        if given:
            raise BadOption(f"{file.name}: {next(iter(given))!r} is unknown. It may hold parameters, system, license.")
        return made


def details(info: FileInfo) -> Details:
    """The details of /api/tags."""
    arch = info.architecture or ""
    quant = info.quant or "unknown"
    return Details(
        family=arch,
        parameter_size=human(info.n_params),
        quantization_level="unknown" if quant == "F32" else quant,  # a type Ollama has no name for
        context_length=_number(info, f"{arch}.context_length"),
        embedding_length=_number(info, f"{arch}.embedding_length"),
    )


def capabilities(info: FileInfo) -> tuple[str, ...]:
    """What the model can do, as Ollama reads it from the file and its template."""
    source = _template(info)
    tools = ("tools",) if "tools" in source or "tool_call" in source else ()
    thinks = ("thinking",) if "<think>" in source and "</think>" in source else ()
    pools = f"{info.architecture}.pooling_type" in info.metadata
    return (*tools, *thinks, "embedding" if pools else "completion")


def is_chatml(info: FileInfo) -> bool:
    """Whether Ollama puts its own ChatML in place of the file's template: it is ChatML, and knows no tools or thinking."""
    source = _template(info)
    plain = not any(word in source for word in ("tools", "tool_call", "think"))
    return plain and "<|im_start|>" in source and "<|im_end|>" in source


def shown(info: FileInfo, name: str, defaults: Defaults) -> dict[str, Any]:
    """The texts of /api/show that stand for a Modelfile."""
    chatml, source = is_chatml(info), _template(info)
    template = _SHOWN if chatml else source or "{{ .Prompt }}"
    parameters = {"stop": ["<|im_start|>", "<|im_end|>"] if chatml else [], **defaults.parameters}
    pairs = [(key, one) for key, value in parameters.items() for one in (value if isinstance(value, list) else [value])]
    lines = [f"FROM {name}", f'TEMPLATE """{template}"""', *(f"PARAMETER {key} {value}" for key, value in pairs)]
    lines += [f'SYSTEM """{defaults.system}"""'] if defaults.system else []
    return {
        "license": defaults.license,
        "modelfile": "\n".join(lines) + "\n",
        "parameters": "\n".join(f"{key:<30} {_quoted(value)}" for key, value in pairs),
        "template": template,
        "system": defaults.system,
    }


def model_info(info: FileInfo) -> Mapping[str, Any]:
    """The metadata, sorted, without name and template; lists are null, as /api/show gives them."""
    hidden = {"general.name", "tokenizer.chat_template"}
    values: dict[str, Any] = {key: None if value != value else value for key, value in info.metadata.items()}
    values |= dict.fromkeys(info.stepped)
    values["general.parameter_count"] = info.n_params
    return {key: values[key] for key in sorted(values) if key not in hidden}


def human(count: int) -> str:
    """A number of weights as Ollama writes it: 134.52M, 8.0B."""
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2)):
        if count >= size:
            return f"{count // size}{letter}" if count % size == 0 else f"{count / size:.{digits}f}{letter}"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _template(info: FileInfo) -> str:
    source = info.metadata.get("tokenizer.chat_template", "")
    return source if isinstance(source, str) else ""


def _number(info: FileInfo, key: str) -> int:
    value = info.metadata.get(key, 0)
    return value if isinstance(value, int) else 0
