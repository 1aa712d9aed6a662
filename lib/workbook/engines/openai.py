"""Any OpenAI-compatible endpoint, through the official client: llama-server, vLLM, OpenAI, OpenRouter, Ollama's /v1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import openai

from workbook.engines.addresses import is_loopback, shown, tree_listening_on
from workbook.engines.engine import Answer, Collector, Engine, Info, Message, ModelEntry, Piece
from workbook.engines.options import Options
from workbook.errors import (
    BadOption,
    ContextOverflow,
    EngineError,
    EngineTimeout,
    KeyMissing,
    KeyWrong,
    ModelNotFound,
    NoModel,
    OutOfMemory,
    ServerNotFound,
    StreamBroken,
    WorkbookError,
)

OPENAI = "https://api.openai.com/v1"
_KEYS = {"openrouter.ai": "OPENROUTER_API_KEY"}


class OpenAICompatible(Engine):
    """A model behind ``OPENAI_BASE_URL``. The key comes from the environment only and is shown nowhere.

    What the protocol cannot say is marked: num_ctx is the server's own, and gen_ns is the
    client's clock, from the first to the last piece; prompt_ns stays None. Ollama's own /v1 has no
    top_k, min_p or repetition penalty and cuts a prompt that does not fit: use the engine "ollama" there.
    """

    name = "openai"

    def __init__(self, model: str | None = None, why: str = "asked for", base_url: str | None = None) -> None:
        self.base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
        host = urlsplit(self.base_url).hostname or ""
        self._local = is_loopback(self.base_url)
        self._strict = host.endswith("openai.com")  # refuses every field it does not know
        variable = _KEYS.get(host, "OPENAI_API_KEY")
        key = os.environ.get(variable)
        if not key and not self._local:
            raise KeyMissing(f"{host} needs a key: put it into the environment variable {variable} and start again.")
        self._client = openai.OpenAI(base_url=self.base_url, api_key=key or "none", max_retries=0, timeout=300)
        super().__init__("", why)
        self.model = self._choose(model)

    def _choose(self, model: str | None) -> str:
        if model is not None:
            return model  # gateways serve models that their list leaves out: the first call tells
        names = [m.name for m in self.models()]
        if not names:
            raise NoModel(f"the endpoint at {self._shown()} serves no model. Load one in the server.")
        if len(names) > 1 and not self._local:
            raise BadOption(f"{self._shown()} serves {len(names)} models: name one, e.g. WORKBOOK_MODEL={names[0]}.")
        return names[0]

    def _shown(self) -> str:
        return "api.openai.com" if self._strict else shown(self.base_url, "OPENAI_BASE_URL")

    def _events(self, request: str | list[Message], options: Options, stream: bool) -> Iterator[Piece | Answer]:
        clock, usage, reason = Collector(), None, None
        with self._said(options.timeout_s, begun=lambda: clock.first_ns is not None):
            answered = self._call(request, options, stream)
            for part in answered if stream else [answered]:
                usage = part.usage or usage
                for choice in part.choices[:1]:
                    reason = choice.finish_reason or reason
                    text, thinking = _content(choice)
                    if text or thinking:
                        yield clock.add(Piece(text=text or "", thinking=thinking or ""))
        if reason is None:
            raise StreamBroken(f"the endpoint at {self._shown()} ended the answer without its last line. Ask again.")
        details = getattr(usage, "prompt_tokens_details", None)
        yield clock.answer(
            self.name, self.model, "server", stream,
            finish_reason=reason, n_prompt=usage.prompt_tokens if usage else None,
            n_cached=details.cached_tokens if details else None, n_gen=usage.completion_tokens if usage else None,
        )  # fmt: skip

    def _call(self, request: str | list[Message], o: Options, stream: bool) -> Any:
        given: dict[str, Any] = {
            "model": self.model, "temperature": o.temperature, "top_p": o.top_p, "seed": o.seed,
            "stop": list(o.stop) or None, "stream": stream, "timeout": o.timeout_s, "extra_body": {},
        }  # fmt: skip
        if stream:
            given["stream_options"] = {"include_usage": True}
        if not self._strict:
            # llama-server calls it repeat_penalty, vLLM and OpenRouter repetition_penalty.
            given["extra_body"] = {
                "top_k": o.top_k or -1, "min_p": o.min_p, "repeat_penalty": o.repeat_penalty,
                "repetition_penalty": o.repeat_penalty, "chat_template_kwargs": {"enable_thinking": o.think},
            }  # fmt: skip
        given["max_completion_tokens" if self._strict and not isinstance(request, str) else "max_tokens"] = (
            o.num_predict
        )
        if o.format is not None:
            schema = {"name": "answer", "schema": dict(o.format), "strict": True}
            given["response_format"] = {"type": "json_schema", "json_schema": schema}
        if isinstance(request, str):
            given["extra_body"] |= {"response_format": given.pop("response_format", None)} if o.format else {}
            return self._client.completions.create(prompt=request, **given)
        return self._client.chat.completions.create(messages=cast(Any, request), **given)

    def embed(self, texts: Sequence[str], model: str | None = None) -> list[list[float]]:
        """Vectors of length 1 by ``model``, else by this engine's own."""
        with self._said():
            data = self._client.embeddings.create(model=model or self.model, input=list(texts)).data
        return [_unit(row.embedding) for row in data]

    def models(self) -> list[ModelEntry]:
        """What the endpoint lists."""
        with self._said(30):
            return [ModelEntry(name=m.id) for m in self._client.with_options(timeout=30).models.list().data]

    def info(self) -> Info:
        """What can be known: the protocol tells no version and no quantization."""
        return Info(
            engine=self.name, engine_version=None, model=self.model, why=self.why, base_url=self._shown(),
            pids=tree_listening_on(self.base_url),
        )  # fmt: skip

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @contextmanager
    def _said(self, timeout_s: float = 300, begun: Callable[[], bool] = bool) -> Iterator[None]:
        where = self._shown()
        try:
            yield
        except openai.AuthenticationError:
            raise KeyWrong(f"{where} refuses the key. Check the environment variable that holds it.") from None
        except openai.APITimeoutError:
            raise EngineTimeout(f"{where} sent nothing for {timeout_s:g} s. Raise timeout_s.") from None
        except openai.APIConnectionError:
            if begun():
                raise StreamBroken(f"{where} went away in mid-answer. See its log and ask again.") from None
            raise ServerNotFound(f"nothing answers at {where}. Start the server, or set OPENAI_BASE_URL.") from None
        except openai.APIStatusError as error:
            raise _refusal(error, self.model, where) from None
        except openai.APIError as error:
            raise StreamBroken(f"{where} broke the answer off: {' '.join(str(error.message).split())[:200]}.") from None
        except (ValueError, AttributeError, TypeError) as error:  # the client believes what it is sent
            raise EngineError(
                f"what answers at {where} does not speak OpenAI's API ({type(error).__name__})."
            ) from None


def _content(choice: Any) -> tuple[str | None, str | None]:
    """Text and thinking of a choice: a chat's delta or message, or a completion's text."""
    part = getattr(choice, "delta", None) or getattr(choice, "message", None)
    if part is None:
        return choice.text, None
    return part.content, getattr(part, "reasoning_content", None) or getattr(part, "reasoning", None)


def _unit(vector: Sequence[float]) -> list[float]:
    length = sum(x * x for x in vector) ** 0.5 or 1.0
    return [x / length for x in vector]


def _refusal(error: openai.APIStatusError, model: str, where: str) -> WorkbookError:
    """What an OpenAI-compatible endpoint refused, as one of our errors."""
    words = " ".join(str(error.message).split())[:300].rstrip(".")
    low = words.lower()
    if "context" in low and any(w in low for w in ("exceed", "length", "maximum", "size")):
        return ContextOverflow(
            f"the prompt does not fit the server's context: {words}. Shorten it, or serve with more."
        )
    if error.status_code == 404 and "model" in low:
        return ModelNotFound(f"{where} does not serve {model!r}: {words}. See engine.models().")
    if "out of memory" in low or "more system memory" in low:
        return OutOfMemory(f"{where} has no room for {model}: {words}.")
    if error.status_code == 403:
        return KeyWrong(f"{where} refuses the key for this: {words}.")
    if error.status_code in (400, 422):
        return BadOption(f"{where} refuses the request: {words}.")
    return EngineError(f"{where} failed with status {error.status_code}: {words}.")
