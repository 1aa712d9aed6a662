"""JSON schemas as grammars: what they let through and what not, tried on whole texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from programs.serve import grammars
from programs.serve.bounds import integers
from programs.serve.patterns import to_expression
from programs.serve.schemas import to_grammar
from workbook import models
from workbook.engines import llama, native


@pytest.fixture(scope="module")
def model() -> Iterator[llama.Model]:
    with llama.Model(models.packaged(), n_ctx=256, n_threads=1) as loaded:
        yield loaded


def lets_through(model: llama.Model, grammar: str, text: str) -> bool:
    """Whether llama.cpp's own reading of ``grammar`` lets this whole text through."""
    import ctypes

    lib = native.library()
    sampler = lib.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
    assert sampler, grammar
    try:
        for token in [*model.tokenize(text), model.eos]:
            one = (lib.llama_token_data * 1)(lib.llama_token_data(token, 1.0, 0.0))
            array = lib.llama_token_data_array(
                data=ctypes.cast(one, lib.llama_token_data_p), size=1, selected=-1, sorted=False
            )
            lib.llama_sampler_apply(sampler, ctypes.byref(array))
            if array.data[0].logit == float("-inf"):
                return False
            lib.llama_sampler_accept(sampler, token)
        return True
    finally:
        lib.llama_sampler_free(sampler)


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "nick": {"type": "string"}},
    "required": ["name", "age"],
}
TREE = {
    "$ref": "#/$defs/N",
    "$defs": {"N": {"type": "object", "properties": {"n": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}},
                    "required": ["n"]}},
}  # fmt: skip
NAMES = {"type": "object", "properties": {"root": {"type": "null"}, "string": {"type": "string"}, "x y": {"const": 1}}}
BOTH = {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"const": 1}}}]}

CASES: list[tuple[Any, list[str], list[str]]] = [
    (PERSON, ['{"name": "Ava", "age": 3}', '{"name":"é\\n","age":-1,"nick":""}'],
     ['{"age": 3, "name": "Ava"}', '{"name": "Ava"}', '{"name": "A\nva", "age": 3}', '{"name": "Ava", "age": 03}']),
    (TREE, ['{"n": null}', '{"n": {"n": null}}'], ['{"n": 1}', "{}"]),
    (NAMES, ["{}", '{"root": null}', '{"string": "", "x y": 1}', '{"root": null, "x y": 1}'],
     ['{"x y": 1, "root": null}', '{"root": null, "root": null}', '{"other": 1}', '{"root": null,}']),
    (BOTH, ['{"a": 1}', '{"a": 1, "b": 1}'], ['{"b": 1}', '{"a": 1, "b": 2}']),
    ({"enum": ['a "b"', "back\\slash", "é", None, 2.5, {"x": [1]}]},
     ['"a \\"b\\""', '"back\\\\slash"', '"é"', "null", "2.5", '{"x": [1]}'], ['"a"', "2"]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}, ["[1, 2]", "[1,2,3]"],
     ["[]", "[1]", "[1,2,3,4]"]),
    ({"type": "array", "items": {"type": "boolean"}, "maxItems": 0}, ["[]"], ["[true]"]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]}, ['["a", null]'], ['["a"]', "[null]"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"abc"'], ['"a"', '"abcd"']),
    ({"type": "integer", "minimum": 18, "exclusiveMaximum": 121}, ["18", "120"], ["17", "121", "-20", "18.5"]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, ["{}", '{"k": 1, "l": 2}'], ['{"k": ""}']),
    ({"type": "string", "format": "date"}, ['"2026-11-21"'], ['"2026-13-21"', '"soon"']),
    ({"type": "string", "format": "date-time"}, ['"2026-11-21T10:00:00Z"'], ['"2026-11-21"']),
    ({"type": ["string", "null"]}, ['"x"', "null"], ["1"]),
    ({}, ["1", '{"a": [true, null, "x"]}'], ["truth", "{a: 1}"]),
    ({"type": "string", "pattern": "^[A-Z]{2}-\\\\d{3}( ok|no)?$".replace("\\\\", "\\")}, ['"AB-123"', '"AB-123 ok"'],
     ['"AB-12"', '"ab-123"', "AB-123"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "yes", "no"), CASES, ids=[json.dumps(case[0])[:40] for case in CASES])
def test_a_grammar_lets_through_what_its_schema_allows(
    model: llama.Model, schema: Any, yes: list[str], no: list[str]
) -> None:
    grammar = grammars.grammar_for(json.dumps(schema))
    for text in yes:
        jsonschema.validate(json.loads(text), schema)  # the oracle agrees that this is one
        assert lets_through(model, grammar, text), text
    for text in no:
        assert not lets_through(model, grammar, text), text


@pytest.mark.parametrize("low", [None, -120, -13, -1, 0, 1, 7, 10, 42, 99, 100, 118])
@pytest.mark.parametrize("high", [None, -100, -13, -1, 0, 1, 9, 10, 42, 99, 100, 120, 1005])
def test_integers_between_two_bounds(low: int | None, high: int | None) -> None:
    if low is not None and high is not None and high < low:
        with pytest.raises(ValueError, match="no integer"):
            integers(low, high)
        return
    expression = re.compile(integers(low, high).replace(" ", "").replace('"', ""))
    for n in range(-150, 1300):
        assert bool(expression.fullmatch(str(n))) == ((low is None or n >= low) and (high is None or n <= high)), n
    assert not expression.fullmatch("01")
    assert not expression.fullmatch("-0")


@pytest.mark.parametrize(
    "pattern", ["", "a", "^(?=a)$", "^a**$", "^[$", "^($", "^a)$", "^\\b$", "^[]$", '^["]$', "^*$", "^\x00$", "^a\\$"]
)
def test_a_pattern_that_has_no_grammar_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        to_expression(pattern)


@pytest.mark.parametrize(
    "schema",
    [1, [], {"type": 3}, {"enum": []}, {"enum": 1}, {"anyOf": 1}, {"properties": []}, {"required": 1, "properties": {}},
     {"type": "integer", "minimum": "x"}, {"type": "integer", "minimum": 5, "maximum": 4}, {"items": 1},
     {"type": "string", "minLength": 1.5}, {"allOf": [1]}, {"$ref": 1}, {"minItems": 3, "maxItems": 2, "items": {}}],
)  # fmt: skip
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        to_grammar(json.dumps(schema))


def test_a_schema_of_very_many_rules_is_refused() -> None:
    many = {"properties": {f"p{i}": {"type": "string", "maxLength": i + 1} for i in range(1500)}}
    with pytest.raises(ValueError, match="more than 2000 rules"):
        to_grammar(json.dumps(many))


def test_a_schema_that_unfolds_without_end_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(25):
        schema = {"type": ["object", "object"], "properties": {"k" * 90: schema}, "required": ["k" * 90]}
    with pytest.raises(ValueError, match="unfolds"):
        to_grammar(json.dumps(schema))


OTHERS = {
    "type": "object", "properties": {"a": {"type": "boolean"}, "ab": {"type": "null"}, 'q"]^-': {"type": "null"}},
    "required": ["a"], "additionalProperties": {"type": "integer"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("rest", "allowed"),
    [
        ('"b": 1', True), ('"": 1', True), ('"abc": 1', True), ('"ax\\n": 1', True), ('"q": 1', True),
        ('"q\\"]^": 1', True), ('"a": 1', False), ('"ab": 1', False), ('"ab": null, "ab": 1', False),
        ('"q\\"]^-": 1', False), ('"\\u0061": 1', False),
    ],
)  # fmt: skip
def test_a_key_that_is_not_named_is_none_of_those_that_are(model: llama.Model, rest: str, allowed: bool) -> None:
    assert lets_through(model, to_grammar(json.dumps(OTHERS)), f'{{"a": true, {rest}}}') is allowed


def test_signs_that_mean_something_in_a_set_stand_for_themselves(model: llama.Model) -> None:
    grammar = to_grammar(json.dumps({"type": "string", "pattern": r"^[\^\-a\]\[]+$"}))
    grammars.check(grammar)
    assert lets_through(model, grammar, '"a^-[]"')
    assert not lets_through(model, grammar, '"_"')


@pytest.mark.parametrize("escape", [r"\^", r"\.", r"\/"])
def test_an_escape_that_llama_cpp_does_not_know_is_refused(escape: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        grammars.check(f"root ::= [a{escape}]")
