"""Nothing personal in a record: keys, addresses, folders and names of this machine are blotted out of its texts.

A record takes text from engines' answers and errors, from the machine's own description and from files of others.
Any of them may hold the user's name, a home folder, the host's name, an address or a key.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from programs.bench.fields import Record, Setup
from workbook import leaks, paths

BLOT = "[…]"
_ADDRESS_6 = r"(?<![\w.:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])(?!\.\d)"
_ADDRESS_4 = r"(?<![\w.:])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
_MAC = r"(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])"
_MAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_URL = r"(?i)\b([a-z][a-z0-9+.-]*://)((?:[^\s/\"'<>()@]*@)?)(\[[^\]\s]*\]|[^\s/:\"'<>()\[\]]+)"
_PUBLIC = (
    "localhost", "ollama.com", "ollama.ai", "huggingface.co", "hf.co", "github.com", "openai.com", "openrouter.ai",
)  # fmt: skip
_VERSIONS = frozenset({"driver", "kernel", "os", "engine_version", "engine_build", "recorder_version", "build_info"})
"""Fields in which four numbers with dots (the last of the rules) are a version and no address."""

_OURS = frozenset({
    "host", "run_id", "config_hash", "plan_hash", "cell_hash", "prompt_sha256", "file_sha256", "ollama_digest",
    "answer_sha256", "code_sha256", "isa_flags", "method", "status", "flash_attn", "type_k", "type_v",
    "token_count_source",
})  # fmt: skip
"""Fields that hold no text of others: checksums, words of fixed lists, the alias that the machine's owner chose."""

_Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def text(said: str, names: bool = True) -> str:
    """``said`` with everything personal blotted out.

    ``names`` False leaves alone what only this machine knows to be personal (its names, folders, keys), so that the
    same text comes out alike on every machine.
    """
    return _blotted(said, _rules(names))


def cleaned(record: Record, names: bool = True) -> Record:
    """``record`` with everything personal blotted out of every text in it (``text``); itself where there is nothing."""
    rules = _rules(names)
    changed = {name: new for name, value in record if (new := _clean(name, value, rules)) != value}
    if not changed:
        return record
    known = dict(record) | changed
    setup = Setup(**{name: known[name] for name in Setup.model_fields})
    return Record(**known | {"config_hash": setup.hash()})


def _rules(names: bool) -> list[_Rule]:
    """What to look for and what to put in its place, in order."""
    found: list[_Rule] = []
    for folder, sign in ((paths.root(), "."), (Path.home(), "~")) if names else ():
        for written in {str(folder), str(folder).replace("\\", "\\\\")}:  # an OSError doubles Windows' slashes
            if len(folder.parts) > 1:
                found.append((re.escape(written) + r"(?![\w-])", sign))
    known = leaks.everywhere() + (leaks.this_machine() if names else [])
    found += [(_URL, _without_host), *((pattern, BLOT) for _, pattern in known), (_MAIL, BLOT), (_MAC, BLOT)]
    return [*found, (_ADDRESS_6, _without_address), (_ADDRESS_4, _without_address)]


def _blotted(said: str, rules: list[_Rule]) -> str:
    for pattern, instead in rules:
        said = re.sub(pattern, instead, said)
    return said


def _clean(name: str, value: Any, rules: list[_Rule]) -> Any:
    if name in _OURS:
        return value
    if isinstance(value, str):
        return _blotted(value, rules[:-1] if name in _VERSIONS else rules)
    if isinstance(value, tuple):
        return tuple(_clean(name, inner, rules) for inner in value)
    if isinstance(value, dict):
        return {_clean(name, key, rules): inner for key, inner in value.items()}
    return value


def _without_host(found: re.Match[str]) -> str:
    scheme, _, host = found.groups()
    known = any(host.lower() == name or host.lower().endswith("." + name) for name in _PUBLIC)
    return scheme + (host if known or host.strip("[]") in leaks.LOOPBACK else BLOT)


def _without_address(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found.group())
    except ValueError:  # a time, a version
        return found.group()
    ratio = address.version == 6 and found.group().count(":") < 3  # such as "4::1", or a name of C++
    return found.group() if ratio or str(address) in leaks.LOOPBACK else BLOT
