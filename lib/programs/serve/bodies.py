"""JSON in and out as Ollama writes it: what a body must be, what is said when it is not, what an answer leaves out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from starlette.requests import Request

from programs.serve.runner import Refused

MAX_DEPTH, MAX_VALUES = 64, 1_200_000
_SPACE = re.compile(r"[ \t\r\n]*")
_HALF = re.compile("[\ud800-\udfff]")
_LITERALS = {"n": "null", "t": "true", "f": "false"}


class Body(BaseModel):
    """A request's body. Unknown fields are passed over, as Ollama does; null is the same as left out."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        names = {(field.alias or name).casefold(): field.alias or name for name, field in cls.model_fields.items()}
        exact = {key: value for key, value in given.items() if key in names.values()}
        # Go reads names in letters of either case
        loose = {names.get(key.casefold(), key): value for key, value in given.items()}
        return {key: value for key, value in (loose | exact).items() if value is not None}


class AnswerBody(BaseModel):
    """An answer's body. A field that is empty is left out, unless ``always`` names it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())
    always: ClassVar[frozenset[str]] = frozenset()
    inline: ClassVar[bool] = False  # its fields stand among those of the answer that holds it

    def plain(self) -> dict[str, Any]:
        """The fields as JSON has them, in their order."""
        made: dict[str, Any] = {}
        for key, value in self.__dict__.items():
            if isinstance(value, AnswerBody) and value.inline:
                made |= value.plain()
            elif value or key in self.always:
                made[self.name_in_json(key)] = _plain(value)
        return made

    @classmethod
    def name_in_json(cls, name: str) -> str:
        """The field's name in JSON."""
        return cls.model_fields[name].serialization_alias or name


B = TypeVar("B", bound=Body)


def dumps(answer: AnswerBody | Mapping[str, Any]) -> str:
    """One line of JSON as Go writes it: no spaces, and < > & escaped."""
    text = json.dumps(_plain(answer), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plain(value: Any) -> Any:
    if isinstance(value, AnswerBody):
        return value.plain()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value] if value and not isinstance(value[0], float) else value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def now() -> str:
    """The time in UTC as Ollama writes it."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, without zeros at the end of its fraction."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


async def received(request: Request, model: type[B], empty: str = "missing request body", package: str = "api") -> B:
    """The body of a request as ``read`` gives it; a large one is read in a thread."""
    raw = await request.body()
    large = len(raw) > 64 << 10  # then it takes longer to read than to hand to a thread
    return await asyncio.to_thread(read, raw, model, empty, package) if large else read(raw, model, empty, package)


def read(raw: bytes, model: type[B], empty: str = "missing request body", package: str = "api") -> B:
    """The body as ``model``. Raises Refused (400) in the words of Ollama's JSON reader."""
    given = parse(raw, empty)
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise Refused(400, f"json: cannot unmarshal {kind(given)} into Go value of type {package}.{model.__name__}")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Refused(400, _mismatch(error, model)) from None


def parse(raw: bytes, empty: str = "missing request body") -> Any:
    """The first JSON value of ``raw``; what follows it is passed over. Raises Refused (400)."""
    text = raw.decode("utf-8", errors="replace")
    start = _SPACE.match(text).end()  # type: ignore[union-attr]  # it matches the empty text too
    if start == len(text):
        raise Refused(400, empty)
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise Refused(400, _syntax(text, error)) from None
    except RecursionError:
        raise Refused(400, "invalid character '[' exceeded max depth") from None
    except ValueError as error:  # a number Python or we do not take
        raise Refused(400, str(error)) from None
    return _clean(value)


def kind(value: Any) -> str:
    """The JSON kind of a value, as Go names it in its errors."""
    names = ((bool, "bool"), (str, "string"), (int | float, "number"), (list, "array"), (dict, "object"))
    return next((name for type_, name in names if isinstance(value, type_)), "null")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"json: cannot unmarshal number {text[:40]} into Go value of type float64")
    return value


def _whole(text: str) -> int:
    if len(text) > 300:
        raise ValueError(f"json: cannot unmarshal number {text[:40]}… into Go value of type float64")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"invalid character {text[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_whole, parse_constant=_constant)


def _clean(value: Any) -> Any:
    """``value`` with half characters replaced. Raises Refused if it is nested too deeply or too much. No recursion."""
    top = [value]
    waiting: list[tuple[Any, int]] = [(top, 0)]
    count = 0
    while waiting:
        holder, depth = waiting.pop()
        count += len(holder)
        if count > MAX_VALUES:
            raise Refused(400, f"the body has more than {MAX_VALUES} values, the most that are read here")
        if depth > MAX_DEPTH:
            raise Refused(400, f"invalid character '[' exceeded max depth ({MAX_DEPTH} here)")
        for key, item in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(item, str) and not item.isascii():
                holder[key] = _HALF.sub("\ufffd", item)  # as Go reads them: they cannot be written as UTF-8
            elif isinstance(item, dict | list):
                waiting.append((item, depth + 1))
            if isinstance(key, str) and _HALF.search(key):
                holder[_HALF.sub("\ufffd", key)] = holder.pop(key)
    return top[0]


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    """What Go says of the mistake that Python's reader found."""
    at, said = error.pos, error.msg
    if "escape" in said and text[at : at + 1] == "\\":
        at += 1  # Python points at the backslash, Go at what follows it
    if said.startswith("Unterminated") or at >= len(text):
        return "unexpected EOF"
    if said.startswith("Expecting value") and text[at] in _LITERALS:
        literal = _LITERALS[text[at]]
        same = next((n for n in range(len(literal)) if text[at + n : at + n + 1] != literal[n]), 0)
        if at + same >= len(text):
            return "unexpected EOF"
        return f"invalid character {_quoted(text[at + same])} in literal {literal} (expecting {literal[same]!r})"
    return f"invalid character {_quoted(text[at])} {_where(text, at, said)}"


def _quoted(char: str) -> str:
    return {"'": "'\\''", '"': "'\"'"}.get(char) or repr(char)


def _where(text: str, at: int, said: str) -> str:
    if said.startswith("Expecting property name") or "trailing comma" in said:
        return "looking for beginning of object key string"
    if said.startswith("Expecting ':'"):
        return "after object key"
    if said.startswith("Expecting ','"):
        return "after object key:value pair" if _inside(text[:at]) == "{" else "after array element"
    if "control character" in said:
        return "in string literal"
    if "escape" in said:
        return "in string escape code"
    return "looking for beginning of value"


def _inside(text: str) -> str:
    """The bracket that is open at the end of ``text``."""
    is_open: list[str] = []
    for found in re.finditer(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', text):
        if found[0] in "[{":
            is_open.append(found[0])
        elif found[0] in "]}" and is_open:
            is_open.pop()
    return is_open[-1] if is_open else "{"


_GO_TYPES = {
    "string_type": "string",
    "int_type": "int",
    "int_from_float": "int",
    "bool_type": "bool",
    "float_type": "float64",
    "dict_type": "map[string]interface {}",
}
_GO_LISTS = {"messages": "[]api.Message", "tools": "api.Tools", "images": "[]api.ImageData", "context": "[]int"}
_GO_ITEMS = {"messages": "api.Alias", "tools": "api.Tool"}


def _mismatch(error: ValidationError, model: type[Body]) -> str:
    """What Go says of the first field that has another type."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":  # from a validator of ours, in Ollama's words
        return str(first["ctx"]["error"])
    names = [part for part in first["loc"] if isinstance(part, str)]
    name = names[-1] if names else ""
    if first["type"] == "list_type":
        wanted = _GO_LISTS.get(name, "[]string")
    else:
        wanted = _GO_TYPES.get(first["type"]) or _GO_ITEMS.get(name, name)
    value = first["input"]
    fraction = wanted == "int" and isinstance(value, float)
    what = f"number {value}" if fraction else kind(value)
    return f"json: cannot unmarshal {what} into Go struct field {model.__name__}.{'.'.join(names)} of type {wanted}"
