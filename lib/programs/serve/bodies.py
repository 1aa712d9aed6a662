"""The bodies that requests have: Ollama's (its api/types.go) and OpenAI's; checked, with one line for what is wrong."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

import pydantic_core
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request

from programs.serve.runner import FOREVER, Refused

MAX_TEXTS, MAX_CONTEXT, MAX_CHARS = 2_048, 1 << 20, 4_000_000
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ns|us|µs|ms|s|m|h)")


def seconds(value: Any) -> float | None:
    """A keep_alive in seconds: a number of them, or "1h30m"; below 0 for ever; None where it is not said.

    Raises ValueError.
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        made = value
    else:
        text = value if isinstance(value, str) and len(value) < 60 else ""
        sign, parts = (-1 if text.startswith("-") else 1), _DURATION.findall(text)
        if "".join(number + unit for number, unit in parts) != text.lstrip("+-") or not text:
            raise ValueError("give seconds as a number, or a duration such as 5m")
        made = sign * sum(float(number) * _UNITS[unit] for number, unit in parts)
    return FOREVER if made is not None and (made < 0 or made > 9e9) else made


def _level(value: Any) -> Any:
    if value is None or isinstance(value, bool) or value in ("high", "medium", "low", "max"):
        return value
    raise ValueError("give true, false, high, medium, low or max")


def _stops(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


KeepAlive = Annotated[float | None, BeforeValidator(seconds)]
Think = Annotated[bool | str | None, BeforeValidator(_level)]
Stops = Annotated[list[Annotated[str, Field(max_length=1_000)]], BeforeValidator(_stops), Field(max_length=64)]


class Body(BaseModel):
    """A request's body. Unknown fields are passed over, as Ollama does; null is the same as left out."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


class SamplingAsked(Body):
    """Ollama's options and their defaults; llama.cpp's server knows most of them by the same names.

    num_predict -1: until the model ends, at most 10 x num_ctx. num_keep: tokens kept when a prompt is cut.
    num_thread 0: the physical cores. num_gpu: layers on the GPU, -1 as many as fit.
    """

    model_config = ConfigDict(strict=False, frozen=True, extra="ignore", allow_inf_nan=False)
    temperature: float = Field(0.8, ge=0, le=1e4)
    top_k: int = Field(40, ge=-1, lt=2**31)
    top_p: float = Field(0.9, ge=-1e4, le=1e4)
    min_p: float = Field(0.0, ge=-1e4, le=1e4)
    typical_p: float = Field(1.0, ge=-1e4, le=1e4)
    repeat_last_n: int = Field(64, ge=-1, lt=2**20)
    repeat_penalty: float = Field(1.0, ge=-1e4, le=1e4)
    presence_penalty: float = Field(0.0, ge=-1e4, le=1e4)
    frequency_penalty: float = Field(0.0, ge=-1e4, le=1e4)
    seed: int = Field(-1, ge=-(2**63), lt=2**63)
    num_predict: int = Field(-1, ge=-2, lt=2**31)
    num_keep: int = Field(4, ge=-1, lt=2**31)
    stop: Stops = Field(default_factory=list)
    num_ctx: int = Field(4096, ge=0, lt=2**31)
    num_batch: int = Field(512, ge=1, le=2048)
    num_thread: int = Field(0, ge=0, le=512)
    num_gpu: int = Field(-1, ge=-1, le=10_000)

    def for_llama(self) -> dict[str, Any]:
        """The fields of a request to llama.cpp's server that say how to sample."""
        names = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty")
        made = {name: getattr(self, name) for name in (*names, "presence_penalty", "frequency_penalty")}
        seed = self.seed & 0xFFFFFFFF if self.seed >= 0 else 0xFFFFFFFF
        return made | {"seed": seed, "stop": [stop for stop in self.stop if stop]}


class CalledFunction(Body):
    """The function of a call in an earlier message; OpenAI's arguments are JSON text."""

    name: str = ""
    arguments: dict[str, Any] | str = Field(default_factory=dict)


class GivenCall(Body):
    """A call in an earlier message."""

    id: str = ""
    function: CalledFunction = CalledFunction()


class MessageGiven(Body):
    """A message of a chat. OpenAI's content may be a list of parts."""

    role: str = ""
    content: str | list[dict[str, Any]] = ""
    thinking: str = ""
    images: list[str] = Field(default_factory=list)
    tool_calls: list[GivenCall] = Field(default_factory=list, max_length=256)
    tool_name: str = ""
    tool_call_id: str = ""
    name: str = ""

    def for_llama(self) -> dict[str, Any]:
        """The message as llama.cpp's server takes it. Raises Refused: 501 for what is no text."""
        if self.images or any(part.get("type") in ("image_url", "input_audio") for part in self._parts()):
            raise not_done("images and sound")
        texts = [part.get("text") for part in self._parts()]
        if not all(isinstance(text, str) for text in texts):
            raise Refused(400, "messages: content is text, or a list of parts of type text")
        made: dict[str, Any] = {"role": self.role.lower() or "user", "content": "\n".join(map(str, texts))}
        if self.tool_calls:
            made["tool_calls"] = [_call(call, f"call_{at}") for at, call in enumerate(self.tool_calls)]
        more = {"name": self.tool_name or self.name, "tool_call_id": self.tool_call_id}
        return made | {key: value for key, value in more.items() if value}

    def _parts(self) -> list[dict[str, Any]]:
        return [{"text": self.content}] if isinstance(self.content, str) else self.content


def _call(call: GivenCall, id_: str) -> dict[str, Any]:
    given = call.function.arguments
    try:
        text = json.dumps(json.loads(given) if isinstance(given, str) else given, ensure_ascii=False)
    except ValueError:
        raise Refused(400, f"messages: the arguments of the call of {call.function.name[:60]!r} are no JSON") from None
    return {"type": "function", "id": call.id or id_, "function": {"name": call.function.name, "arguments": text}}


class ToolFunction(Body):
    """A tool's name, what it does and takes; ``parameters`` is a JSON schema."""

    name: str = Field(min_length=1, max_length=256)
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class ToolOffered(Body):
    """A tool that a request offers."""

    type: str = Field("function", pattern="^function$")
    function: ToolFunction


class _Asked(Body):
    model: str = ""
    stream: bool = True
    format: Any = None
    keep_alive: KeepAlive = None
    options: dict[str, Any] = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


class GenerateRequest(_Asked):
    """POST /api/generate"""

    prompt: str = Field("", max_length=MAX_CHARS)
    suffix: str = ""
    system: str = Field("", max_length=MAX_CHARS)
    template: str = ""
    context: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(default_factory=list, max_length=MAX_CONTEXT)
    raw: bool = False
    images: list[str] = Field(default_factory=list)


class ChatRequest(_Asked):
    """POST /api/chat"""

    messages: list[MessageGiven] = Field(default_factory=list, max_length=4_096)
    tools: list[ToolOffered] = Field(default_factory=list, max_length=128)


class EmbedRequest(Body):
    """POST /api/embed, and, with ``prompt``, the older POST /api/embeddings"""

    model: str = ""
    input: str | Annotated[list[str], Field(max_length=MAX_TEXTS)] = ""
    prompt: str = ""
    truncate: bool = True
    dimensions: int = Field(0, ge=0)
    keep_alive: KeepAlive = None
    options: dict[str, Any] = Field(default_factory=dict)
    encoding_format: str = Field("float", pattern="^(float|base64)$")


class ShowRequest(Body):
    """POST /api/show"""

    model: str = ""
    name: str = ""
    system: str = ""


class StreamOptions(Body):
    """Whether a stream ends with the counts of tokens."""

    include_usage: bool = False


class ResponseFormat(Body):
    """How an answer is written: "text", "json_object", or "json_schema" with its schema."""

    type: str = ""
    json_schema: dict[str, Any] = Field(default_factory=dict)


class CompletionRequest(Body):
    """POST /v1/completions"""

    model: str = ""
    prompt: str = Field("", max_length=MAX_CHARS)
    suffix: str = ""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = None
    max_completion_tokens: int | None = None  # Ollama passes over it
    seed: int | None = None
    stop: Stops = Field(default_factory=list)
    temperature: float = 1.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logprobs: Any = None

    def options(self) -> dict[str, Any]:
        """The same wishes as Ollama's options."""
        names = ("seed", "stop", "temperature", "top_p", "frequency_penalty", "presence_penalty")
        made = {name: getattr(self, name) for name in names}
        return made | {"num_predict": self.max_tokens or self.max_completion_tokens}


class ChatCompletionRequest(CompletionRequest):
    """POST /v1/chat/completions"""

    messages: list[MessageGiven] = Field(min_length=1, max_length=4_096)
    response_format: ResponseFormat = ResponseFormat()
    tools: list[ToolOffered] = Field(default_factory=list, max_length=128)
    reasoning: dict[str, Any] = Field(default_factory=dict)
    reasoning_effort: str = ""
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)

    def as_chat(self) -> ChatRequest:
        """The same request to /api/chat. Raises Refused (400)."""
        effort = self.reasoning_effort or str(self.reasoning.get("effort", ""))
        levels: dict[str, Any] = {"": None, "none": False, "minimal": "low", "xhigh": "max"}
        if effort not in (*levels, "low", "medium", "high", "max"):
            raise Refused(400, f"reasoning_effort: {effort[:60]!r} is none of none, minimal, low, medium, high, max")
        form = self.response_format
        schema = form.json_schema.get("schema") if form.type == "json_schema" else None
        return ChatRequest.model_construct(
            model=self.model, messages=self.messages, tools=self.tools, stream=self.stream, options=self.options(),
            format="json" if form.type == "json_object" else schema, think=levels.get(effort, effort),
            logprobs=self.logprobs, top_logprobs=self.top_logprobs,
        )  # fmt: skip


B = TypeVar("B", bound=BaseModel)


async def received(request: Request, model: type[B]) -> B:
    """The body of a request. Raises Refused (400) with the first thing that is wrong."""
    raw = await request.body()
    if not raw.strip():
        raise Refused(400, "missing request body")
    try:
        given = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, f"the body is no JSON: {str(error)[:200]}") from None
    return checked(model, given)


def checked(model: type[B], given: Any) -> B:
    """``given`` as ``model``. Raises Refused (400)."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"]) or "the body"
        raise Refused(400, f"{place}: {first['msg'][:200]}") from None


def not_done(what: str) -> Refused:
    """The refusal (501) of what the real Ollama does, and this does not."""
    return Refused(501, f"workbook serve, a stand-in for Ollama, does not do {what}; Ollama does: {WHERE}")


WHERE = "https://ollama.com/download"
