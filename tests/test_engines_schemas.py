"""One schema, one grammar: what it lets through by jsonschema, and what cannot be held refused by its place."""

import itertools

import jsonschema
import pytest

from workbook.engines import schemas
from workbook.engines.embedded import Embedded
from workbook.errors import BadOption

NODE = {"type": "object", "properties": {"v": {"type": "integer", "minimum": 7, "maximum": 9}, "k": {"$ref": "#/$defs/leaf"}},
        "required": ["v", "k"], "additionalProperties": False}  # fmt: skip
HELD = [
    {"type": "integer", "minimum": 12, "maximum": 15},
    {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": 0},
    {"$ref": "#/$defs/node", "$defs": {"node": NODE, "leaf": {"enum": ["a", 1, None]}}},
    {"type": "array", "items": {"enum": ["rouge", "vert", "été"]}, "minItems": 2, "maxItems": 3},
    {"type": "object", "properties": {"a b": {"type": "string", "pattern": "^[a-c]{2,4}$"}, "n": {"anyOf": [
        {"type": "null"}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 1}]}}, "required": ["a b", "n"],
     "additionalProperties": False},
    {"const": {"x": [1, 2]}},
    {"type": "string", "format": "date"},
]  # fmt: skip
REFUSED = [
    ({"type": "nonsense"}, "schema.type"),
    ({"not": {"type": "string"}}, "schema.not"),
    ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "schema.uniqueItems"),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)y"}}}, "schema.properties.a.pattern"),
    ({"type": "object", "properties": {"a": {"type": "object", "minProperties": 2}}}, "schema.properties.a.minProperties"),
    ({"type": "string", "maxLength": 10**9}, "schema.maxLength"),
    ({"type": "array", "items": {"type": "string", "minLength": -1}}, "schema.items.minLength"),
    ({"$ref": "#/$defs/gone"}, "schema.$ref"),
    ({"type": "integer", "minimum": 5, "maximum": 3}, "schema"),
    ({"enum": []}, "schema"),
    ({"enum": ["x" * 70_000]}, "schema"),
    (False, "schema"),
]  # fmt: skip


@pytest.fixture(scope="module")
def engine():
    with Embedded(n_threads=1) as ready:
        yield ready


@pytest.mark.parametrize("schema", HELD, ids=str)
def test_answers_in_both_routes_are_to_the_schema(engine, schema):
    for ask, seed in itertools.product((engine.chat, engine.complete), (1, 2, 3)):
        answer = ask("Say something.", format=schema, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed)
        jsonschema.validate(answer.json(), schema, format_checker=jsonschema.FormatChecker())
        assert "\n" not in answer.text, "white space is not what an answer is filled with"


@pytest.mark.parametrize(("schema", "place"), REFUSED, ids=str)
def test_what_cannot_be_held_is_refused_with_its_place(schema, place):
    with pytest.raises(BadOption) as caught:
        schemas.grammar(schema)
    assert place in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_names_of_properties_are_no_keywords():
    assert schemas.grammar(
        {"type": "object", "properties": {"not": {"type": "null"}, "minProperties": {"enum": ["not"]}}}
    )
