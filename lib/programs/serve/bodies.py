"""The bodies that requests have, as Ollama's api/types.go has them; OpenAI's are brought into the same fields."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

import pydantic_core
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request

from programs.serve.cards import Entry
from programs.serve.runner import FOREVER, Refused, Setting

WHERE = "https://ollama.com/download"
MAX_CHARS = 4_000_000
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ns|us|µs|ms|s|m|h)")


def seconds(value: Any) -> float:
    """A keep_alive in seconds: a number of them, or "1h30m"; below 0 for ever. Raises ValueError."""
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if parts and "".join(map("".join, parts)) == value.lstrip("-"):
            value = sum(float(number) * _UNITS[unit] for number, unit in parts) * (-1 if value[0] == "-" else 1)
    if not isinstance(value, int | float):
        raise ValueError("give seconds as a number, or a duration such as 5m")
    return value if 0 <= value < 9e9 else FOREVER


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


KeepAlive = Annotated[float | None, BeforeValidator(seconds)]
Think = bool | Literal["low", "medium", "high", "max"] | None
Stops = Annotated[list[Annotated[str, Field(max_length=1_000)]], BeforeValidator(_list), Field(max_length=64)]
Texts = Annotated[list[str], BeforeValidator(_list), Field(max_length=2_048)]
Factor = Annotated[float, Field(ge=-1e4, le=1e4)]


class Body(BaseModel):
    """A part of a request's body. Unknown fields are passed over, as Ollama does; null is the same as left out."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


class SamplingAsked(Body):
    """Ollama's options and their defaults; llama.cpp's server knows most of them by the same names.

    num_predict -1: until the model ends, at most 10 x num_ctx. num_keep: tokens kept when a prompt is cut.
    """

    model_config = ConfigDict(strict=False, allow_inf_nan=False)
    temperature: float = Field(0.8, ge=0, le=1e4)
    top_k: int = Field(40, ge=-1, lt=2**31)
    top_p: Factor = 0.9
    min_p: Factor = 0.0
    typical_p: Factor = 1.0
    repeat_last_n: int = Field(64, ge=-1, lt=2**20)
    repeat_penalty: Factor = 1.0
    presence_penalty: Factor = 0.0
    frequency_penalty: Factor = 0.0
    seed: int = Field(-1, ge=-(2**63), lt=2**63)
    num_predict: int = Field(-1, ge=-2, lt=2**31)
    num_keep: int = Field(4, ge=-1, lt=2**31)
    stop: Stops = []
    num_ctx: int = Field(4096, ge=0, lt=2**31)
    num_batch: int = Field(512, ge=1, le=2048)
    num_thread: int = Field(0, ge=0, le=512)
    num_gpu: int = Field(-1, ge=-1, le=10_000)

    def for_llama(self) -> dict[str, Any]:
        """The fields of a request to llama.cpp's server that say how to sample."""
        made = self.model_dump(exclude={"num_predict", "num_keep", "num_ctx", "num_batch", "num_thread", "num_gpu"})
        seed = self.seed & 0xFFFFFFFF if self.seed >= 0 else 0xFFFFFFFF
        return made | {"seed": seed, "stop": [stop for stop in self.stop if stop]}

    def setting(self, entry: Entry) -> Setting:
        """What the model is loaded with."""
        return Setting(entry.window(self.num_ctx), self.num_batch, self.num_thread, self.num_gpu)


class FunctionGiven(Body):
    """The function of a tool, whose ``parameters`` are a JSON schema, or of a call, whose arguments OpenAI has as text."""

    name: str = Field(min_length=1, max_length=256)
    description: str = ""
    parameters: dict[str, Any] = {}
    arguments: dict[str, Any] | str = {}


class ToolGiven(Body):
    """A tool that a request offers, or in an earlier message a call of one."""

    id: str = ""
    type: str = Field("function", pattern="^function$")
    function: FunctionGiven

    def offered(self) -> dict[str, Any]:
        """The tool as llama.cpp's server takes it."""
        return {"type": "function", "function": self.function.model_dump(exclude={"arguments"})}

    def called(self, at: int) -> dict[str, Any]:
        """The call as llama.cpp's server takes it. Raises Refused (400)."""
        given, name = self.function.arguments, self.function.name
        try:
            text = json.dumps(json.loads(given) if isinstance(given, str) else given, ensure_ascii=False)
        except (ValueError, RecursionError):
            raise Refused(400, f"messages: the arguments of the call of {name[:60]!r} are no JSON") from None
        return {"type": "function", "id": self.id or f"call_{at}", "function": {"name": name, "arguments": text}}


class MessageGiven(Body):
    """A message of a chat. OpenAI's content may be a list of parts."""

    role: str = ""
    content: str | list[dict[str, Any]] = ""
    images: list[str] = []
    tool_calls: list[ToolGiven] = Field([], max_length=256)
    tool_name: str = ""
    tool_call_id: str = ""
    name: str = ""

    def for_llama(self) -> dict[str, Any]:
        """The message as llama.cpp's server takes it. Raises Refused: 501 for what is no text."""
        parts = [{"text": self.content}] if isinstance(self.content, str) else self.content
        if self.images or any(part.get("type") in ("image_url", "input_audio") for part in parts):
            raise not_done("images and sound")
        texts = [part.get("text") for part in parts]
        if not all(isinstance(text, str) for text in texts):
            raise Refused(400, "messages: content is text, or a list of parts of type text")
        made: dict[str, Any] = {"role": self.role.lower() or "user", "content": "\n".join(map(str, texts))}
        calls = [call.called(at) for at, call in enumerate(self.tool_calls)]
        more = {"tool_calls": calls, "name": self.tool_name or self.name, "tool_call_id": self.tool_call_id}
        return made | {key: value for key, value in more.items() if value}


class ModelAsked(Body):
    """What every request has, and all of POST /api/show."""

    model: str = ""
    keep_alive: KeepAlive = None
    options: dict[str, Any] = {}
    truncate: bool = True


class AnswerRequest(ModelAsked):
    """What is common to the requests for an answer. include_usage: OpenAI's, whether a stream ends with the counts."""

    stream: bool = True
    include_usage: bool = False
    format: Any = None
    think: Think = None
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


class GenerateRequest(AnswerRequest):
    """POST /api/generate"""

    prompt: str = Field("", max_length=MAX_CHARS)
    suffix: str = ""
    system: str = Field("", max_length=MAX_CHARS)
    template: str = ""
    context: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field([], max_length=1 << 20)
    raw: bool = False
    images: list[str] = []


class ChatRequest(AnswerRequest):
    """POST /api/chat"""

    messages: list[MessageGiven] = Field([], max_length=4_096)
    tools: list[ToolGiven] = Field([], max_length=128)


class EmbedRequest(ModelAsked):
    """POST /api/embed, /v1/embeddings, and, with ``prompt``, the older /api/embeddings"""

    input: Texts = []
    prompt: str = ""
    dimensions: int = Field(0, ge=0)
    encoding_format: str = Field("float", pattern="^(float|base64)$")


def from_openai(given: Any) -> Any:
    """OpenAI's request in Ollama's fields, whose model then says what is wrong in them. Raises Refused (400)."""
    if not isinstance(given, dict):
        return given
    made = {name: given.get(name) for name in ("model", "messages", "prompt", "suffix", "tools", "top_logprobs")}
    names = ("seed", "stop", "temperature", "top_p", "frequency_penalty", "presence_penalty")
    options = {"temperature": 1.0, "top_p": 1.0} | {name: given[name] for name in names if given.get(name) is not None}
    options["num_predict"] = given.get("max_tokens") or given.get("max_completion_tokens")  # the latter, Ollama drops
    return made | {
        "stream": given.get("stream") or False, "include_usage": _within(given, "stream_options", "include_usage"),
        "options": options, "format": _format(given.get("response_format")), "think": _effort(given),
        "logprobs": "messages" in given and given.get("logprobs"),  # a text completion has none
    }  # fmt: skip


def _within(given: dict[str, Any], key: str, name: str) -> Any:
    inner = given.get(key)
    return inner.get(name) if isinstance(inner, dict) else None


def _format(given: Any) -> Any:
    try:
        kind = given["type"] if given else "text"
        if kind == "json_schema":
            return dict(given["json_schema"]["schema"])
        return {"text": None, "json_object": "json"}[kind]
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "response_format: its type is text, json_object, or json_schema with a schema") from None


def _effort(given: dict[str, Any]) -> Any:
    effort = given.get("reasoning_effort") or _within(given, "reasoning", "effort")
    names = {"none": False, "minimal": "low", "xhigh": "max"}
    return names.get(effort, effort) if isinstance(effort, str) else effort


B = TypeVar("B", bound=BaseModel)


async def received(request: Request) -> Any:
    """The body of a request. Raises Refused (400)."""
    raw = await request.body()
    if not raw.strip():
        raise Refused(400, "missing request body")
    try:
        return pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, f"the body is no JSON: {str(error)[:200]}") from None


def checked(model: type[B], given: Any) -> B:
    """``given`` as ``model``. Raises Refused (400) with the first thing that is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"]) or "the body"
        raise Refused(400, f"{place}: {first['msg'][:200]}") from None


def not_done(what: str) -> Refused:
    """The refusal (501) of what the real Ollama does, and this does not."""
    return Refused(501, f"workbook serve, a stand-in for Ollama, does not do {what}; Ollama does: {WHERE}")
