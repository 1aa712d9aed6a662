"""JSON schemas as grammars: one converter, llguidance, for every answer that llama.cpp writes here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from workbook.errors import BadOption

_NAMES = ("properties", "patternProperties", "$defs", "definitions")  # below them, keys are names of the user's
_VALUES = ("const", "enum", "default", "examples", "required")  # what is below them is no schema
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_MAX_CHARS, _MAX_COUNT = 65_536, 10_000
# llguidance passes over these, as it does over titles; but these say something of the answer.
_DROPPED = ("minProperties", "maxProperties", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "additionalItems",
            "contentSchema", "minContains", "maxContains")  # fmt: skip


def grammar(schema: Mapping[str, Any] | bool) -> str:
    """The grammar of the JSON texts that ``schema`` allows, for the field ``grammar`` of llama.cpp's server.

    An object has the properties that are named, and no others unless the schema says ``additionalProperties``. What
    says more than its type is written as ``json.dumps`` writes it, without spaces to choose: so a small model finds
    an end.
    The server itself answers without any grammar where it cannot read one: so llguidance is asked first.

    Raises BadOption with the keyword and its place, where the schema cannot be held.
    """
    import llguidance

    if len(text := json.dumps(schema, ensure_ascii=False)) > _MAX_CHARS:
        raise BadOption(f"the schema has {len(text)} characters; at most {_MAX_CHARS} can be held.")
    for place, key, value in _keywords(schema, "schema"):
        if key in _DROPPED or _too_many(key, value):
            raise BadOption(
                f"{place}.{key}: {json.dumps(value)[:60]} cannot be held by a grammar. Leave it out and check the answer."
            )
    closed = _closed(schema)
    if isinstance(closed, dict) and set(closed) - {"type"}:
        closed["x-guidance"] = _WRITTEN
    text = json.dumps(closed, ensure_ascii=False)
    failed, said = llguidance.LLMatcher.validate_grammar_with_warnings(
        llguidance.LLMatcher.grammar_from_json_schema(text)
    )
    why = " ".join(" ".join(said).split()) if failed else _without_text(llguidance, text)
    if why:
        raise BadOption(
            f"{_place(schema, why)}{why[:200]}. A grammar cannot hold it: leave it out and check the answer."
        )
    return f"%llguidance {{}}\nstart: %json {text}"


def _without_text(llguidance: Any, text: str) -> str:
    """Why no text at all fits a schema that can be read, such as one whose references lead in a circle; or ""."""
    matcher = llguidance.LLMatcher(
        llguidance.LLTokenizer("byte"), llguidance.LLMatcher.grammar_from_json_schema(text), log_level=0
    )
    if not matcher.is_error():
        matcher.compute_logit_bias()
    return "no JSON text fits the schema: does a $ref lead to itself?" if matcher.is_error() else ""


def _closed(schema: Any, merged: bool = False, names: bool = False) -> Any:
    """The schema with ``additionalProperties`` false where it is not said.

    merged: inside allOf, where it would forbid what the other parts name. names: the keys are names of the user's.
    """
    if isinstance(schema, list):
        return [_closed(item, merged) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if names:
        return {key: _closed(value) for key, value in schema.items()}
    parts = merged or "allOf" in schema
    made = {key: value if key in _VALUES else _closed(value, parts, key in _NAMES) for key, value in schema.items()}
    return {"additionalProperties": False, **made} if "properties" in made and not parts else made


def _too_many(key: str, value: Any) -> bool:
    """Whether a count is beyond what a grammar unfolds into."""
    if key == "pattern" and isinstance(value, str):
        return math.prod(map(int, re.findall(r"\{(?:\d*,)?(\d{1,9})", value))) > _MAX_COUNT
    return key in _COUNTS and not (isinstance(value, int) and 0 <= value <= _MAX_COUNT)


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
            if names or key not in _VALUES:
                yield from _keywords(value, f"{place}.{key}", not names and key in _NAMES)
