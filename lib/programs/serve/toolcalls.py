"""Tool calls found in a model's answer while it streams, as Ollama's parser does (its tools/tools.go)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from programs.serve.bodies import parse
from programs.serve.runner import Refused
from programs.serve.thinking import overlap

# What stands before a call in the templates that are known; a template with none of them calls in bare JSON.
TAGS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<|tool_call|>", "functools")

LONGEST = 16_384  # characters of one call; it is read again with every piece


@dataclass(frozen=True)
class Call:
    """A call of the tool ``name``; ``index`` counts the calls of one answer."""

    index: int
    name: str
    arguments: dict[str, Any]


def tag_of(template: str) -> str:
    """The text that begins a tool call under this chat template."""
    return next((tag for tag in TAGS if tag in template), "{")


_PROPERTY = ("anyOf", "type", "items", "description", "enum", "properties", "required")


def described(function: dict[str, Any]) -> dict[str, Any]:
    """A tool as Ollama writes it into a prompt: its own fields in its own order, and no others."""
    given = function.get("parameters") or {}
    parameters = {"type": given.get("type", ""), **_kept(given, ("$defs", "items", "required"))}
    parameters["properties"] = _properties(given.get("properties"))
    own = {"name": function.get("name", ""), **_kept(function, ("description",)), "parameters": parameters}
    return {"type": "function", "function": own}


def _kept(given: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: given[key] for key in keys if given.get(key) not in (None, "", [])}


def _properties(given: Any, depth: int = 0) -> Any:
    if not isinstance(given, dict) or depth > 32:
        return None
    return {name: _property(value, depth + 1) if isinstance(value, dict) else value for name, value in given.items()}


def _property(given: dict[str, Any], depth: int) -> dict[str, Any]:
    kept = _kept(given, _PROPERTY)
    if isinstance(kept.get("type"), list) and len(kept["type"]) == 1:
        kept["type"] = kept["type"][0]
    if isinstance(kept.get("anyOf"), list):
        kept["anyOf"] = [_property(one, depth + 1) if isinstance(one, dict) else one for one in kept["anyOf"][:64]]
    if "properties" in kept:
        kept["properties"] = _properties(kept["properties"], depth)
    return kept


class ToolParser:
    """Feed it pieces; it gives the calls that are complete, and the text that belongs to none."""

    def __init__(self, tag: str, names: tuple[str, ...]) -> None:
        self._tag, self._names = tag, tuple(name for name in names if name)
        self._held = ""
        self._found = 0
        self._state: Literal["before", "calling", "done"] = "before"

    def add(self, piece: str) -> tuple[list[Call], str]:
        """The calls completed by this piece, and the text that is now certain to be none."""
        if self._state == "done":
            return [], piece
        self._held += piece
        content = ""
        if self._state == "before":
            at = self._held.find(self._tag)
            cut = at if at >= 0 else len(self._held) - overlap(self._held, self._tag)
            content, self._held = self._held[:cut], self._held[cut:]
            if self._tag in "{[" and content.strip():  # bare JSON is a call only where the answer begins with it
                self._state, held, self._held = "done", self._held, ""
                return [], content + held
            if at < 0:
                return [], content
            self._state = "calling"
        if len(self._held) > LONGEST:
            self._state, content, self._held = "done", content + self._held, ""
            return [], content
        calls = []
        while (call := self._next()) is not None:
            calls.append(call)
        if self._tag in "{[" and self._closed():
            self._state, content, self._held = "done", content + self._held, ""
        return calls, content

    def rest(self) -> str:
        """The text held back when the answer ended: JSON that named no tool."""
        return self._held if not self._found and self._tag in "{[" else ""

    def _next(self) -> Call | None:
        name, after_name = self._name()
        if not name:
            return None
        arguments, end = _arguments(name, self._held)
        if arguments is None:
            return None
        self._held = self._held[max(end, after_name) :]
        self._found += 1
        return Call(self._found - 1, name, arguments)

    def _name(self) -> tuple[str, int]:
        """The first tool named, the longest where several begin there; none while the last word may go on."""
        if any(overlap(self._held, name[:-1]) for name in self._names):
            return "", 0
        found = [(self._held.find(name), -len(name), name) for name in self._names if name in self._held]
        if not found:
            return "", 0
        at, _, name = min(found)
        return name, at + len(name)

    def _closed(self) -> bool:
        opening, closing = ("{", "}") if self._tag == "{" else ("[", "]")
        depth = 0
        for char in _outside_strings(self._held):
            depth += (char[1] == opening) - (char[1] == closing)
            if char[1] == closing and depth == 0:
                return True
        return False


def _outside_strings(text: str) -> list[tuple[int, str]]:
    kept, quoted, escaped = [], False, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif not quoted:
            kept.append((at, char))
    return kept


def _arguments(name: str, text: str) -> tuple[dict[str, Any] | None, int]:
    """The first object that can be the arguments of ``name``, and where it ends."""
    start, depth = -1, 0
    for at, char in _outside_strings(text):
        if char == "{":
            start = at if depth == 0 else start
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            if depth == 0 and start >= 0:
                given = object_in(text[start : at + 1])
                if given is not None:
                    found, inner = _inner(name, given, 0)
                    return (inner if found else given), at + 1
                start = -1
    return None, 0


def object_in(text: Any) -> dict[str, Any] | None:
    """The JSON object that a text begins with; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        value = parse(text.encode())  # as a body: what it gives can be written again
    except Refused:
        return None
    return value if isinstance(value, dict) else None


def _inner(name: str, given: dict[str, Any], depth: int) -> tuple[bool, dict[str, Any] | None]:
    """The arguments inside the object that names the tool; (True, None): it is named, without any."""
    for key in ("arguments", "parameters") if "name" in given else (name,):
        value = given.get(key)
        if (found := value if isinstance(value, dict) else object_in(value)) is not None:
            return True, found
    if "name" in given:
        return True, None
    for value in given.values() if depth < 8 else ():
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, dict):
                hit, found = _inner(name, child, depth + 1)
                if hit:
                    return True, found
    return False, None
