"""From a request's ``format`` to a grammar that llama.cpp can take: some of them make it crash, so all are read first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from programs.serve.schemas import to_grammar
from programs.serve.templates import as_llama_server
from workbook.errors import BadOption

LARGEST_SCHEMA, LARGEST_GRAMMAR, MOST_REPEATED = 64 * 1024, 256 * 1024, 2000
_MOST_RULES, _DEEPEST, _MOST_ELEMENTS = 2000, 60, 100_000

JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
         string ":" ws value
    ("," ws string ":" ws value)*
  )? ws "}"
array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? ws "]"
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F]) # escapes
  )* "\""
number ::= ("-"? ([0-9] | [1-9] [0-9]*)) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= ([ \t\n] ws)?
"""
"""Ollama's own grammar of ``format: "json"``."""


def grammar_for(format: str) -> str:
    """The checked grammar of a request's format: "" none, "json", or the JSON text of a schema.

    Raises BadOption with the text Ollama answers (a 400).
    """
    if format in ("", "null", '""'):
        return ""
    if format in ("json", '"json"'):
        return JSON
    return _of_schema(format)


@lru_cache(maxsize=32)
def _of_schema(schema: str) -> str:
    try:
        if len(schema) > LARGEST_SCHEMA:
            raise ValueError(f"the schema has {len(schema)} characters, more than {LARGEST_SCHEMA}")
        _bounded(json.loads(schema))
        grammar = to_grammar(schema)
        check(grammar)
    except Exception as error:  # noqa: BLE001  a schema that is no schema may make it stumble anywhere
        why = str(error) or type(error).__name__
        failed = f"Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n{why}"
        raise BadOption(as_llama_server(failed)) from None
    return grammar


def _bounded(value: object, depth: int = 0) -> None:
    """Raises ValueError for a schema that unrolls into a grammar without end: checked before it is converted."""
    if depth > _DEEPEST:
        raise ValueError(f"the schema is nested more than {_DEEPEST} deep")
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key in ("minItems", "maxItems", "minLength", "maxLength") and isinstance(inner, int | float):
            if not 0 <= inner <= MOST_REPEATED:
                raise ValueError(f"{key} {inner} is more than {MOST_REPEATED}")
        elif key == "pattern" and isinstance(inner, str):
            if any(int(n) > MOST_REPEATED for n in re.findall(r"\d{1,9}", "".join(re.findall(r"\{[^{}]*\}", inner)))):
                raise ValueError(f"the pattern repeats more than {MOST_REPEATED} times")
        else:
            _bounded(inner, depth + 1)


def check(grammar: str) -> None:
    """Raises ValueError for a grammar that llama.cpp refuses, crashes on or takes too much of."""
    if len(grammar) > LARGEST_GRAMMAR:
        raise ValueError(f"the grammar has {len(grammar)} characters, more than {LARGEST_GRAMMAR}")
    rules = _Reader(grammar).rules()
    if "root" not in rules:
        raise ValueError("the grammar has no rule named root")
    for name, rule in rules.items():
        for used in rule.uses:
            if used not in rules:
                raise ValueError(f"the rule {name} uses {used}, which there is not")
    _no_left_recursion(rules)


@dataclass
class _Rule:
    """A rule's alternatives: lists of names, of terminals and of inner alternatives; ``endless``: what it repeats."""

    uses: set[str] = field(default_factory=set)
    endless: list[object] = field(default_factory=list)
    alternatives: list[list[object]] = field(default_factory=list)


_TERMINAL = object()
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<name>[a-zA-Z0-9_-]+)(?P<defines>\s*::=)?
    |(?P<literal>"(?:[^"\\\n]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[tnr"\\\[\]-])*")
    |(?P<set>\[\^?(?:[^\]\\]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[tnr"\\\[\]-])+\])
    |(?P<any>\.)|(?P<open>\()|(?P<close>\))|(?P<or>\|)|(?P<many>[*+?]|\{\s*\d+\s*(?:,\s*\d*\s*)?\})""",
    re.VERBOSE,
)


class _Reader:
    """Reads a grammar as llama.cpp does, but answers with an error where that would go wrong."""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text))
        self._at, self._elements = 0, 0

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found:
                raise ValueError(f"the grammar cannot be read at {text[at : at + 20]!r}")
            at = found.end()
            if found["defines"]:
                yield "rule", found["name"]
            elif found.lastgroup:
                yield found.lastgroup, found[found.lastgroup]

    def rules(self) -> dict[str, _Rule]:
        rules: dict[str, _Rule] = {}
        while self._at < len(self._tokens):
            kind, name = self._tokens[self._at]
            if kind != "rule":
                raise ValueError(f"the grammar has {name!r} where a rule should begin")
            self._at += 1
            rule = _Rule()
            rule.alternatives = self._alternatives(rule, 0)
            rules[name] = rule
            if len(rules) > _MOST_RULES:
                raise ValueError(f"the grammar has more than {_MOST_RULES} rules")
        return rules

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else "end"

    def _alternatives(self, rule: _Rule, depth: int) -> list[list[object]]:
        if depth > 4 * _DEEPEST:
            raise ValueError("the grammar is nested too deep")
        found = [self._sequence(rule, depth)]
        while self._peek() == "or":
            self._at += 1
            found.append(self._sequence(rule, depth))
        return found

    def _sequence(self, rule: _Rule, depth: int) -> list[object]:
        items: list[object] = []
        while (kind := self._peek()) not in ("or", "close", "rule", "end"):
            text = self._tokens[self._at][1]
            self._at += 1
            self._elements += 1
            if kind == "many":
                self._repeat(rule, items, text)
            elif kind == "name":
                rule.uses.add(text)
                items.append(text)
            elif kind == "open":
                items.append(self._alternatives(rule, depth + 1))
                if self._peek() != "close":
                    raise ValueError("the grammar has a bracket that is not closed")
                self._at += 1
            else:
                items.append(_TERMINAL if text != '""' else [[]])
        if kind == "close" and depth == 0:
            raise ValueError("the grammar closes a bracket that is not open")
        return items

    def _repeat(self, rule: _Rule, items: list[object], text: str) -> None:
        if not items:
            raise ValueError(f"the grammar repeats nothing with {text!r}")
        numbers = [int(n) for n in re.findall(r"\d{1,9}", text)]
        self._elements += max(numbers, default=0)
        if max(numbers, default=0) > MOST_REPEATED or self._elements > _MOST_ELEMENTS:
            raise ValueError(f"the grammar repeats more than {MOST_REPEATED} times")
        if text in "*+" or re.search(r",\s*\}", text):
            rule.endless.append(items[-1])
        if text in "*?" or (numbers and numbers[0] == 0):
            items[-1] = [[], [items[-1]]]


def _no_left_recursion(rules: dict[str, _Rule]) -> None:
    empty = _nullable(rules)
    for name, rule in rules.items():
        if any(_may_be_empty([item], empty) for item in rule.endless):
            raise ValueError(f"the grammar's rule {name} repeats nothing without end")
    firsts = {name: _firsts(rule.alternatives, empty) for name, rule in rules.items()}
    done: set[str] = set()
    for start in rules:
        path, stack = {start}, [(start, iter(firsts[start]))]
        while stack and start not in done:
            name, left = stack[-1]
            following = next(left, None)
            if following is None:
                stack.pop()
                path.discard(name)
                done.add(name)
            elif following in path:
                raise ValueError(f"the grammar's rule {following} begins with itself")
            elif following not in done:
                path.add(following)
                stack.append((following, iter(firsts[following])))


def _nullable(rules: dict[str, _Rule]) -> set[str]:
    """The rules that may be nothing at all."""
    empty: set[str] = set()
    while True:
        more = {n for n, r in rules.items() if n not in empty and any(_may_be_empty(a, empty) for a in r.alternatives)}
        if not more:
            return empty
        empty |= more


def _may_be_empty(items: list[object], empty: set[str]) -> bool:
    return all(
        any(_may_be_empty(a, empty) for a in item) if isinstance(item, list) else item in empty for item in items
    )


def _firsts(alternatives: list[list[object]], empty: set[str]) -> set[str]:
    """The rules that these alternatives may begin with."""
    found: set[str] = set()
    for items in alternatives:
        for item in items:
            if isinstance(item, str):
                found.add(item)
            elif isinstance(item, list):
                found |= _firsts(item, empty)
            if not _may_be_empty([item], empty):
                break
    return found
