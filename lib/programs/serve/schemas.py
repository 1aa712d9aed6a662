"""JSON schemas as GBNF grammars, with the spaces and orders that llama-server's have: so answers come out alike."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from programs.serve.bounds import integers
from programs.serve.patterns import other_keys, to_expression

_MOST_RULES, _MOST_VISITS = 2000, 20_000
_shown = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # as llama.cpp shows it
_SPACE = r'| " " | "\n"{1,2} [ \t]{0,20}'
_PRIMITIVES = {
    "boolean": '("true" | "false")',
    "decimal-part": "[0-9]{1,16}",
    "integral-part": "[0] | [1-9] [0-9]{0,15}",
    "number": '("-"? integral-part) ("." decimal-part)? ([eE] [-+]? integral-part)?',
    "integer": '("-"? integral-part)',
    "null": '"null"',
    "char": r'[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": r'"\"" char* "\""',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" space ( string ":" space value ("," space string ":" space value)* )? space "}"',
    "array": '"[" space ( value ("," space value)* )? space "]"',
    "uuid": r'"\"" [0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{12} "\""',
    "date": '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [1-2] [0-9] | "3" [0-1])',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{3})? '
    '("Z" | ("+" | "-") ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
    "date-string": r'"\"" date "\""',
    "time-string": r'"\"" time "\""',
    "date-time-string": r'"\"" date "T" time "\""',
}
_NEEDS = {
    "number": ("integral-part", "decimal-part"), "integer": ("integral-part",), "string": ("char",),
    "value": ("object", "array", "string", "number", "boolean", "null"), "object": ("string", "value"),
    "array": ("value",), "date-string": ("date",), "time-string": ("time",), "date-time-string": ("date", "time"),
}  # fmt: skip
_FORMATS = {"date": "date-string", "time": "time-string", "date-time": "date-time-string"}
_UUIDS = ("uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5")


def to_grammar(schema: str) -> str:
    """The grammar of the JSON text of a schema. Raises ValueError with what cannot be read."""
    parsed = json.loads(schema)
    if not isinstance(parsed, dict):
        raise ValueError(f"Unrecognized schema: {schema[:100]}")
    made = _Converter(parsed)
    made.rules["root"] = made.visit(parsed, "root")
    return "\n".join(f"{name} ::= {rule}" for name, rule in sorted(made.rules.items())) + "\n"


class _Converter:
    """One schema's rules. ``visit`` answers what a place in the grammar holds: a rule's name, or an expression."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole
        self.rules = {"space": _SPACE}
        self._refs: dict[str, str] = {}
        self._visits = 0

    def visit(self, schema: Any, name: str) -> str:
        """The expression of one schema; rules it needs are added."""
        self._visits += 1  # lists of types inside lists of types: as many schemas as their product
        if self._visits > _MOST_VISITS:
            raise ValueError(f"the schema unfolds into more than {_MOST_VISITS} schemas")
        schema = {} if schema is True else schema
        if not isinstance(schema, dict):
            raise ValueError(f"Unrecognized schema: {_shown(schema)[:200]}")
        kind = schema.get("type")
        if "$ref" in schema:
            return self._ref(schema["$ref"])
        for one_of in ("oneOf", "anyOf"):
            if one_of in schema:
                return self._union(schema[one_of], name)
        if isinstance(kind, list):
            return self._union([{**schema, "type": one} for one in kind], name)
        if "const" in schema:
            return _literal(json.dumps(schema["const"], ensure_ascii=False))
        if "enum" in schema:
            return "(" + " | ".join(_literal(json.dumps(v, ensure_ascii=False)) for v in _listed(schema, "enum")) + ")"
        return self._typed(schema, kind, name)

    def _typed(self, schema: dict[str, Any], kind: Any, name: str) -> str:
        if kind in (None, "object") and (
            "properties" in schema or schema.get("additionalProperties", True) is not True
        ):
            return self._object(schema, name)
        if kind in (None, "object", "string") and "allOf" in schema:
            return self._all_of(schema, name)
        if kind in (None, "array") and ("items" in schema or "prefixItems" in schema):
            return self._array(schema, name)
        if kind in (None, "string") and "pattern" in schema:
            return self._rule(name, to_expression(str(schema["pattern"])))
        if kind in (None, "string") and str(schema.get("format")).lower() in (*_FORMATS, *_UUIDS):
            form = str(schema["format"]).lower()
            return self._primitive(_FORMATS.get(form, "uuid"))
        if kind == "string" and ("minLength" in schema or "maxLength" in schema):
            times = _times(self._primitive("char"), *_bounds(schema, "Length"))
            return self._rule(name, rf'"\"" {times} "\""')
        if kind == "integer" and any(key.endswith("imum") for key in schema.keys() & _LIMITS):
            return self._rule(name, f"({integers(*_limits(schema))})")
        if kind is None and not schema.keys() & _MEANS:
            return self._primitive("value")
        if kind in ("object", "array", "string", "number", "integer", "boolean", "null"):
            return self._primitive(kind)
        raise ValueError(f"Unrecognized schema: {_shown(schema)[:200]}")

    def _rule(self, name: str, body: str) -> str:
        """A rule of that name, or of the next free one; the same rule twice is one."""
        bare = key = re.sub(r"[^a-zA-Z0-9-]+", "-", name)[:80] or "rule"
        number = 0
        while key in ("root", *_PRIMITIVES) or self.rules.get(key, body) != body:
            key, number = f"{bare}{number}", number + 1
        if len(self.rules) >= _MOST_RULES:
            raise ValueError(f"the schema makes more than {_MOST_RULES} rules")
        self.rules[key] = body
        return key

    def _primitive(self, kind: str) -> str:
        if kind not in self.rules:
            self.rules[kind] = _PRIMITIVES[kind]
            for needed in _NEEDS.get(kind, ()):
                self._primitive(needed)
        return kind

    def _ref(self, ref: Any) -> str:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise ValueError(f"Unsupported ref {ref}")
        if ref not in self._refs:
            key = self._refs[ref] = f"ref-{len(self._refs)}"  # named before it is made: a schema may hold itself
            self.rules[key] = self.visit(self._target(ref), f"{ref.rsplit('/', 1)[-1]}-of-{key}")
        return self._refs[ref]

    def _target(self, ref: str) -> Any:
        target: Any = self._whole
        for part in ref.split("/")[1:]:
            step = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and step.isdecimal() and int(step) < len(target):
                target = target[int(step)]
            elif isinstance(target, dict) and step in target:
                target = target[step]
            else:
                raise ValueError(f"Error resolving ref {ref}: {step} not in {json.dumps(target)[:200]}")
        return target

    def _union(self, schemas: Any, name: str) -> str:
        if not isinstance(schemas, list) or not schemas:
            raise ValueError(f"{name}: a list of schemas is missing")
        return self._rule(name, " | ".join(self.visit(one, f"{name}-{i}") for i, one in enumerate(schemas)))

    def _all_of(self, schema: dict[str, Any], name: str) -> str:
        """What all of the parts say, in one schema; parts that only one another refine are not told apart."""
        whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in _listed(schema, "allOf"):
            found = self._target(part["$ref"]) if isinstance(part, dict) and "$ref" in part else part
            if not isinstance(found, dict):
                raise ValueError(f"Unrecognized schema: {_shown(found)[:200]}")
            properties = {**whole.get("properties", {}), **found.get("properties", {})}
            required = [*whole.get("required", []), *found.get("required", [])]
            whole = {**whole, **found, **({"properties": properties, "required": required} if properties else {})}
        return self.visit(whole, name)

    def _array(self, schema: dict[str, Any], name: str) -> str:
        items = schema.get("prefixItems", schema.get("items"))
        if isinstance(items, list):
            every = ' "," space '.join(self.visit(item, f"{name}-tuple-{i}") for i, item in enumerate(items))
            return self._rule(name, f'"[" space {every} space "]"')
        item = self.visit(items, f"{name}-item")
        least, most = _bounds(schema, "Items")
        more = _times(f'("," space {item})', max(least - 1, 0), None if most is None else most - 1)
        inside = f"{item} {more}" if least else f"({item} {more})?"
        return self._rule(name, f'"[" space {inside if most != 0 else ""} space "]"')

    def _object(self, schema: dict[str, Any], name: str) -> str:
        properties, required = schema.get("properties", {}), _listed(schema, "required", [])
        if not isinstance(properties, dict):
            raise ValueError("properties is no object")
        pairs = {key: self._pair(key, value, name) for key, value in properties.items()}
        needed = [pairs[key] for key in properties if key in required]
        optional = [pairs[key] for key in properties if key not in required]
        inside = ' "," space '.join(needed)
        rest = self._rest(properties, optional, schema.get("additionalProperties", False), name)
        if rest:
            inside = f'{inside} ("," space ({rest}))?' if needed else f"({rest})?"
        return self._rule(name, f'"{{" space {inside} space "}}"')

    def _pair(self, key: str, value: Any, name: str) -> str:
        inner = self.visit(value, key if name == "root" else f"{name}-{key}")
        prefix, quoted = "" if name == "root" else f"{name}-", _literal(json.dumps(key, ensure_ascii=False))
        return self._rule(f"{prefix}{key}-kv", f'{quoted} space ":" space {inner}')

    def _rest(self, named: Collection[str], optional: Sequence[str], additional: Any, name: str) -> str:
        """Any of the optional pairs, in their order, then pairs that are not named: with none left out twice."""
        endless = ""
        if additional is not False:
            value = self.visit(additional, f"{name}-additional-value")
            text = self._primitive("string")
            key = self._rule(f"{name}-additional-k", other_keys(named)) if named else text
            endless = self._rule(f"{name}-additional-kv", f'{key} ":" space {value}')
        after, begin = (f'("," space {endless})*', [f'{endless} ("," space {endless})*']) if endless else ("", [])
        for pair in reversed(optional):
            begin.insert(0, f"{pair} {after}".strip())
            after = self._rule(f"{pair.removesuffix('-kv')}-rest", f'("," space {pair})? {after}'.strip())
        return " | ".join(begin)


_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_MEANS = {"properties", "items", "prefixItems", "pattern", "allOf", "not", "if", "minLength", "maxLength"}


def _literal(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def _listed(schema: Mapping[str, Any], key: str, without: list[Any] | None = None) -> list[Any]:
    value = schema.get(key, without)
    if not isinstance(value, list) or (without is None and not value):
        raise ValueError(f"{key} is no list with anything in it")
    return value


def _bounds(schema: Mapping[str, Any], what: str) -> tuple[int, int | None]:
    least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}")
    if any(not isinstance(n, int) or isinstance(n, bool) for n in (least, 0 if most is None else most)):
        raise ValueError(f"min{what} and max{what} are whole numbers")
    if most is not None and most < least:
        raise ValueError(f"max{what} is less than min{what}")
    return least, most


def _limits(schema: Mapping[str, Any]) -> tuple[int | None, int | None]:
    found = {key: schema[key] for key in _LIMITS & schema.keys()}
    if any(not isinstance(n, int | float) or isinstance(n, bool) or n != int(n) for n in found.values()):
        raise ValueError("the limits of an integer are whole numbers")
    low, high = found.get("minimum"), found.get("maximum")
    low = int(found["exclusiveMinimum"]) + 1 if "exclusiveMinimum" in found else low
    high = int(found["exclusiveMaximum"]) - 1 if "exclusiveMaximum" in found else high
    return None if low is None else int(low), None if high is None else int(high)


def _times(item: str, least: int, most: int | None) -> str:
    if most is not None and most <= 0:
        return ""
    if (least, most) in ((0, None), (1, None), (0, 1)):
        return item + {(0, None): "*", (1, None): "+", (0, 1): "?"}[least, most]
    return f"{item}{{{least},{'' if most is None else most}}}"
