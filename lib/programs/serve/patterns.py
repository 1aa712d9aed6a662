"""A schema's ``pattern`` (a regular expression) as a GBNF expression, and the keys that are none of some names."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

_CLASSES = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t"}
_ANY = r'[^"\\\x7F\x00-\x1F]'
_DEEPEST, _LONGEST_SHARED = 50, 24
_TIMES = re.compile(r"\{\d{1,6}(?:,\d{0,6})?\}|[*+?]")
_UNSAFE = {"\\": r"\\", "]": r"\]", "[": r"\[", "-": r"\x2D", "^": r"\x5E"}  # llama.cpp knows no \^
_QUOTED = {"\\": "\\\\", '"': '\\"'}


def to_expression(pattern: str) -> str:
    """What the pattern matches, between quotes. Raises ValueError for what regular expressions have and GBNF has not."""
    if not (pattern.startswith("^") and pattern.endswith("$")) or len(pattern) < 2:
        raise ValueError("Pattern must start with '^' and end with '$'")
    reader = _Reader(pattern[1:-1])
    body = reader.alternatives(0)
    if reader.at < len(reader.text):
        raise ValueError(f"the pattern closes a bracket that is not open at {reader.at + 1}")
    return rf'"\"" ({body}) "\""' if body else r'"\"" "\""'


class _Reader:
    """A pattern read from left to right; what it can say inside a JSON string is all that it says."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def alternatives(self, depth: int) -> str:
        """Sequences apart by ``|``, up to a closing bracket or the end."""
        if depth > _DEEPEST:
            raise ValueError("the pattern is nested too deep")
        found = [self._sequence(depth)]
        while self._peek() == "|":
            self.at += 1
            found.append(self._sequence(depth))
        return " | ".join(one or '""' for one in found) if len(found) > 1 else found[0]

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _sequence(self, depth: int) -> str:
        items = []
        while self._peek() not in ("", "|", ")"):
            item = self._item(depth)
            times = _TIMES.match(self.text, self.at)
            if times:
                self.at = times.end()
                if self._peek() in ("*", "+", "?", "{"):
                    raise ValueError("the pattern repeats a repetition, which is not supported")
            items.append(item + (times[0] if times else ""))
        return " ".join(items)

    def _item(self, depth: int) -> str:
        char = self._peek()
        self.at += 1
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._set()
        if char == ".":
            return _ANY
        if char == "\\":
            return self._escaped()
        if char in "*+?{^$":
            raise ValueError(f"the pattern has {char!r} where it cannot be read")
        return _literal(char)

    def _group(self, depth: int) -> str:
        if self._peek() == "?":
            if self.text[self.at : self.at + 2] != "?:":
                raise ValueError("the pattern looks ahead or names a group, which is not supported")
            self.at += 2
        inside = self.alternatives(depth + 1)
        if self._peek() != ")":
            raise ValueError("Unbalanced parentheses")
        self.at += 1
        return f"({inside})" if inside else '""'

    def _escaped(self) -> str:
        char = self._peek()
        self.at += 1
        if char in _CLASSES:
            return f"[{_CLASSES[char]}]"
        if not char or char.isalnum():
            raise ValueError(f"the pattern's \\{char} is not supported")
        return _literal(char)

    def _set(self) -> str:
        negated = self._peek() == "^"
        self.at += negated
        parts: list[str] = []
        while (char := self._peek()) != "]":
            self.at += 1
            if not char:
                raise ValueError("Unbalanced square brackets")
            if char == "\\":
                escaped = self._peek()
                self.at += 1
                if not escaped or (escaped.isalnum() and escaped not in _CLASSES):
                    raise ValueError(f"the pattern's \\{escaped} is not supported")
                parts.append(_CLASSES.get(escaped) or _UNSAFE.get(escaped, escaped))
            else:
                # A hyphen between two characters is a range, else it is a hyphen.
                is_range = char == "-" and parts and self._peek() not in ("]", "")
                parts.append("-" if is_range else _UNSAFE.get(char, char))
        self.at += 1
        if not parts:
            raise ValueError("the pattern has an empty set")
        if any(not part.isprintable() for part in parts):
            raise ValueError("the pattern has a control character in a set")
        if not negated and '"' in parts:
            raise ValueError("the pattern has a quotation mark in a set, which is not supported")
        return f"[^{''.join(parts)}" + r'"\\\x7F\x00-\x1F]' if negated else f"[{''.join(parts)}]"


def other_keys(names: Iterable[str]) -> str:
    """A JSON string that is none of these names, nor begins with much of one. It uses the rule ``char``."""
    every = {json.dumps(name, ensure_ascii=False)[1:-1] for name in names}
    return rf'"\"" {_parting(every, 0)} "\""'


def _parting(names: Collection[str], at: int) -> str:
    """What may follow the ``at`` characters that these names begin with, so that it becomes none of them."""
    following = sorted({name[at] for name in names if len(name) > at})
    parts = [
        f'"{_QUOTED.get(char, char)}" {_parting([name for name in names if name[at : at + 1] == char], at + 1)}'
        for char in (following if at < _LONGEST_SHARED else ())
    ]
    but = "".join(_UNSAFE.get(char, char) for char in following if char not in '"\\')
    parts.append(rf'[^"\\\x7F\x00-\x1F{but}] char*')
    return f"({' | '.join(parts)})" + ("" if any(len(name) == at for name in names) else "?")


def _literal(char: str) -> str:
    """A character as it stands in a JSON string."""
    if char in ('"', "\\"):
        return '"\\\\' + ("\\" + char) + '"'
    if not char.isprintable():
        raise ValueError("the pattern has a control character")
    return f'"{char}"'
