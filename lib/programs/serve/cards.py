"""What is known of one model: what its GGUF file, and the YAML file beside it, say, in the words of Ollama's API."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from workbook import models
from workbook.errors import BadOption
from workbook.formats import FileInfo, inspect_gguf

_READ_BYTES = 256 << 20  # larger files are not read through for a list of models
_LARGEST_CTX = 1 << 20  # tokens, for a file that does not say what it was trained with
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SHOWN = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


class Defaults(BaseModel):
    """What a Modelfile would say: options unless a request names them, a system prompt, a licence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    parameters: dict[str, Any] = {}
    system: str = ""
    license: str = ""

    @classmethod
    def beside(cls, model: Path) -> Defaults:
        """What the YAML file of the same name beside a GGUF file says. Raises BadOption."""
        file = model.with_suffix(".yaml")
        try:
            text = file.read_text(encoding="utf-8") if file.is_file() else "{}"
            return cls.model_validate(yaml.safe_load(text))
        except ValidationError as error:
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (OSError, ValueError, yaml.YAMLError) as error:
            said = str(error).splitlines()[0]
        raise BadOption(f"{file.name} cannot be read as parameters, system and license: {said}")


@dataclass(frozen=True)
class Entry:
    """A model by its full name ("smollm2:135m"). ``path`` never leaves this process."""

    name: str
    path: Path
    size_bytes: int
    modified_at: datetime
    info: FileInfo
    defaults: Defaults

    @classmethod
    def read(cls, name: str, path: Path, size_bytes: int = 0, defaults: Defaults | None = None) -> Entry:
        """The entry of this file; ``size_bytes`` of all parts of a model in several. Raises DamagedModel."""
        info, status = inspect_gguf(path), path.stat()
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return cls(name, path, size_bytes or status.st_size, modified, info, defaults or Defaults())

    def window(self, num_ctx: int) -> int:
        """The window a request for ``num_ctx`` gets: at most what the model was trained with, at least 4, as Ollama."""
        return max(4, min(num_ctx, self._length("context") or _LARGEST_CTX))

    def _length(self, of: str) -> int:
        value = self.info.metadata.get(f"{self.info.architecture}.{of}_length", 0)
        return value if isinstance(value, int) else 0

    @property
    def _template(self) -> str:
        source = self.info.metadata.get("tokenizer.chat_template", "")
        return source if isinstance(source, str) else ""

    @property
    def chat_template(self) -> str:
        """What Ollama puts in place of a template that it knows as ChatML, without tools or thinking; else ""."""
        plain = not any(word in self._template for word in ("tools", "tool_call", "think"))
        return _CHATML if plain and "<|im_start|>" in self._template and "<|im_end|>" in self._template else ""

    @property
    def capabilities(self) -> list[str]:
        """What the model can do, as Ollama reads it from the file and its template."""
        can = ["tools"] if "tools" in self._template or "tool_call" in self._template else []
        can += ["thinking"] if "<think>" in self._template and "</think>" in self._template else []
        pools = f"{self.info.architecture}.pooling_type" in self.info.metadata
        return [*can, "embedding" if pools else "completion"]

    @property
    def digest(self) -> str:
        """The file's sha256; of a large file, of its name, size and time. (Ollama's is of a manifest.) It may read."""
        if self.size_bytes <= _READ_BYTES:
            return models.sha256(self.path)
        return hashlib.sha256(f"{self.name} {self.size_bytes} {self.modified_at}".encode()).hexdigest()

    def details(self) -> dict[str, Any]:
        """The field ``details`` of /api/tags, /api/ps and /api/show."""
        family = self.info.architecture or ""
        return {
            "parent_model": "", "format": "gguf", "family": family, "families": [family],
            "parameter_size": human(self.info.n_params), "quantization_level": self.info.quant or "unknown",
            "context_length": self._length("context"), "embedding_length": self._length("embedding"),
        }  # fmt: skip

    def shown(self) -> dict[str, Any]:
        """What /api/show answers of the file and its defaults; the texts stand for a Modelfile."""
        template = _SHOWN if self.chat_template else self._template or "{{ .Prompt }}"
        given = {"stop": ["<|im_start|>", "<|im_end|>"]} if self.chat_template else {}
        lines = [
            f"{name} {json.dumps(one, default=str)}"
            for name, value in (given | self.defaults.parameters).items()
            for one in (value if isinstance(value, list) else [value])
        ]
        modelfile = [f"FROM {self.name}", *(f"PARAMETER {line}" for line in lines)]
        metadata: dict[str, Any] = dict.fromkeys(self.info.stepped)  # lists are null
        for key, value in self.info.metadata.items():
            metadata[key] = None if isinstance(value, float) and not math.isfinite(value) else value
        return {
            "license": self.defaults.license, "system": self.defaults.system, "template": template,
            "modelfile": "\n".join(modelfile), "parameters": "\n".join(lines), "details": self.details(),
            "model_info": metadata | {"general.parameter_count": self.info.n_params},
            "tensors": [{"name": t.name, "type": t.type, "shape": t.shape} for t in self.info.tensors],
        }  # fmt: skip


def human(count: int) -> str:
    """A number of weights as Ollama writes it: 134.52M, 8.0B."""
    if count >= 10**9:
        return f"{count / 10**9:.1f}B"
    return f"{count / 10**6:.2f}M" if count >= 10**6 else f"{count / 1000:.0f}K"
