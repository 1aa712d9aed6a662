"""JSON schemas as grammars: one converter, llguidance, for every answer that llama.cpp writes here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from workbook.errors import BadOption

_NAMES = ("properties", "patternProperties", "$defs", "definitions")  # below them, keys are names of the user's
_MAX_CHARS, _MAX_COUNT = 65_536, 10_000
# llguidance passes over these, as it does over titles; but these say something of the answer.
_DROPPED = ("minProperties", "maxProperties", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "additionalItems",
            "contentSchema", "minContains", "maxContains")  # fmt: skip
# llguidance's own keyword. Left free, white space is what a small model fills its answer with.
_SPACES = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}


def grammar(schema: Mapping[str, Any] | bool) -> str:
    """The grammar of the JSON texts that ``schema`` allows, on one line, for llama.cpp's field ``grammar``.

    The server itself answers without any grammar where it cannot read one: so llguidance is asked first.

    Raises BadOption with the keyword and its place, where the schema cannot be held.
    """
    import llguidance

    text = json.dumps({**schema, **_SPACES} if isinstance(schema, Mapping) else schema, ensure_ascii=False)
    if len(text) > _MAX_CHARS:
        raise BadOption(f"the schema has {len(text)} characters; at most {_MAX_CHARS} can be held.")
    for place, key, value in _keywords(schema, "schema"):
        large = key.startswith(("min", "max")) and key.endswith(("Length", "Items")) and not _small(value)
        if key in _DROPPED or large:
            raise BadOption(
                f"{place}.{key}: {_short(value)} cannot be held by a grammar. Leave it out and check the answer."
            )
    failed, said = llguidance.LLMatcher.validate_grammar_with_warnings(
        llguidance.LLMatcher.grammar_from_json_schema(text)
    )
    if failed:
        why = " ".join(" ".join(said).split())
        raise BadOption(
            f"{_place(schema, why)}{why[:200]}. A grammar cannot hold it: leave it out and check the answer."
        )
    return f"%llguidance {{}}\nstart: %json {text}"


def _small(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= _MAX_COUNT


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


def _place(schema: Any, why: str) -> str:
    """Where the keyword stands that llguidance complains of, as far as its words tell: by its name, or its value."""
    words = set(re.findall(r"[\w$]+", why))
    found = [(place, key, value) for place, key, value in _keywords(schema, "schema")]
    said = [
        (len(value), f"{place}.{key}: ")
        for place, key, value in found
        if isinstance(value, str) and len(value) > 1 and value.lstrip("#") in why
    ]
    named = [f"{place}.{key}: " for place, key, _ in found if key in words]
    return max(said)[1] if said and not (named and "keys" in words) else (named or ["schema: "])[0]


def _keywords(schema: Any, place: str, names: bool = False) -> Iterator[tuple[str, str, Any]]:
    """Every keyword of the schema with its place; not the names of properties, nor what is inside of values."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _keywords(item, f"{place}[{index}]")
    elif isinstance(schema, Mapping):
        for key, value in schema.items():
            if not names:
                yield place, key, value
            if names or key not in ("const", "enum", "default", "examples", "required"):
                yield from _keywords(value, f"{place}.{key}", not names and key in _NAMES)
