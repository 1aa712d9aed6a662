"""A request's format becomes a grammar llama.cpp can take, or a refusal; never a crash."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from programs.serve import grammars
from workbook.errors import BadOption

BAD = [
    "root ::= [",
    'root ::= root "a"',
    'root ::= a "x"\na ::= "y"? root',
    'root ::= a\na ::= b "x"\nb ::= a | "y"',
    'root ::= ("a"? "b"?)*',
    'root ::= "a',
    "root ::= b",
    'root ::= ("a"',
    'root ::= "a")',
    'x ::= "a"',
    'root ::= "a"{99999}',
    'root ::= * "a"',
    "root ::= [] ",
    "",
    "root ::= " + "(" * 500 + '"a"' + ")" * 500,
]
GOOD = [
    'root ::= "a"',
    'root ::= "a" root | "b"',
    'root ::= ("a" | [0-9]{1,3} "b"?)* "é" [^"\\\\\\x00-\\x1F]\n# a remark\n',
    grammars.JSON,
]


@pytest.mark.parametrize("grammar", BAD)
def test_what_llama_cpp_cannot_take_is_refused(grammar: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        grammars.check(grammar)


@pytest.mark.parametrize("grammar", GOOD)
def test_what_it_can_take_passes(grammar: str) -> None:
    grammars.check(grammar)


def made_by_llama_cpp(grammar: str) -> bool:
    """Whether llama.cpp, in a process of its own, makes a sampler of this grammar and lives."""
    code = (
        "import sys; from workbook import models; from workbook.engines import llama, native\n"
        "m = llama.Model(models.packaged(), n_ctx=256, n_threads=1)\n"
        "made = native.library().llama_sampler_init_grammar(m.vocab, sys.stdin.buffer.read(), b'root')\n"
        "import os; os._exit(0 if made else 3)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=grammar.encode(), capture_output=True, timeout=120)
    return done.returncode == 0


def test_llama_cpp_is_of_the_same_mind() -> None:
    assert made_by_llama_cpp(GOOD[2])
    for bad in BAD[:3]:
        assert not made_by_llama_cpp(bad)


@pytest.mark.parametrize("format", ["", "null", '""'])
def test_no_format_no_grammar(format: str) -> None:
    assert grammars.grammar_for(format) == ""


def test_json_is_ollamas_own_grammar() -> None:
    assert grammars.grammar_for("json") == grammars.grammar_for('"json"') == grammars.JSON


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "thing"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.org/schema.json"},
        {"type": "string", "pattern": "^(("},
        {"type": "string", "pattern": "^[$"},
        {"type": "string", "pattern": "no anchors"},
        {"type": "string", "pattern": "^(a*)*$"},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 10**9},
        {"type": "string", "maxLength": 10**9},
        {"type": "string", "pattern": "^a{1000000000}$"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}},
    ],
)
def test_a_schema_that_cannot_be_is_a_400_in_ollamas_words(schema: dict[str, object]) -> None:
    with pytest.raises(BadOption) as refused:
        grammars.grammar_for(json.dumps(schema))
    error = json.loads(str(refused.value))["error"]
    assert error["code"] == 400
    assert "JSON schema conversion failed" in error["message"]


def test_a_schema_nested_without_end_is_refused() -> None:
    deep = '{"type":"array","items":' * 5000 + "{}" + "}" * 5000
    with pytest.raises(BadOption):
        grammars.grammar_for(deep)
    with pytest.raises(BadOption):
        grammars.grammar_for('{"title": "' + "x" * grammars.LARGEST_SCHEMA + '"}')
