"""Ollama, through its official client."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import httpx
import ollama

from workbook.engines.addresses import shown, tree_listening_on
from workbook.engines.engine import Answer, Collector, Context, Engine, Info, Message, ModelEntry, Piece
from workbook.engines.options import REPEAT_LAST_N, Options
from workbook.errors import (
    BadOption,
    ContextOverflow,
    EngineError,
    EngineTimeout,
    ModelNotFound,
    NoModel,
    OutOfMemory,
    ServerNotFound,
    StreamBroken,
    WorkbookError,
)

_CONNECT_S = 5.0
_NONSENSE = (ValueError, TypeError, AttributeError)  # what the client raises on JSON of another shape


def address() -> str:
    """Where Ollama is expected: ``OLLAMA_HOST`` as Ollama reads it, else http://127.0.0.1:11434. Raises BadOption."""
    try:
        return str(ollama.Client()._client.base_url).rstrip("/")
    except (ValueError, httpx.InvalidURL):
        raise BadOption("OLLAMA_HOST is not an address. Write it as 127.0.0.1:11434, or unset it.") from None


def answers(within_s: float) -> bool:
    """Whether an Ollama answers at ``address()`` within ``within_s`` seconds."""
    client = _Client(timeout=within_s)
    try:
        client.list()
    except (ConnectionError, httpx.HTTPError, ollama.ResponseError, *_NONSENSE):
        return False
    finally:
        client.close()  # type: ignore[no-untyped-call]
    return True


def _by_newline(response: httpx.Response) -> None:
    """Lines end at ``\\n`` alone: httpx splits at U+0085 and U+2028 too, which may stand inside of JSON."""

    def lines() -> Iterator[str]:
        held = b""
        for raw in response.iter_bytes():
            *whole, held = (held + raw).split(b"\n")
            yield from (line.decode() for line in whole)
        if held:
            yield held.decode()

    response.iter_lines = lines  # type: ignore[method-assign]


class _Client(ollama.Client):
    """The official client, but: lines end where they end, and a prompt that does not fit is refused, not cut in silence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, event_hooks={"response": [_by_newline]}, **kwargs)

    def _request(self, cls: Any, *args: Any, **kwargs: Any) -> Any:
        if args[1:2] in (("/api/chat",), ("/api/generate",)):
            kwargs["json"] = {**kwargs["json"], "truncate": False, "shift": False}
        return super()._request(cls, *args, **kwargs)

    def version(self) -> str:
        """The server's version, for which the client has no call of its own."""
        return str(self._request_raw("GET", "/api/version").json()["version"])  # type: ignore[no-untyped-call]


class Ollama(Engine):
    """A model of an Ollama server. ``model`` None takes the last one installed that can answer.

    Raises ServerNotFound, NoModel or ModelNotFound at once.
    """

    name = "ollama"

    def __init__(
        self, model: str | None = None, why: str = "asked for", host: str | None = None, n_threads: int | None = None
    ) -> None:
        self.url = host or address()
        named = os.environ.get("WORKBOOK_THREADS", "")
        self.context = Context(n_threads=n_threads or (int(named) if named.isdecimal() else 0) or None)
        self._client = self._timed(Options().timeout_s)
        super().__init__("", why)
        self.model = self._choose(model)

    def _choose(self, model: str | None) -> str:
        names = [m.name for m in self.models()]
        if not names:
            raise NoModel(
                f"Ollama answers at {shown(self.url, 'OLLAMA_HOST')} and has no model. Install one: ollama pull mistral"
            )
        if model is not None:
            wanted = _listed_as(model).lower()
            found = next((name for name in names if name.lower() == wanted), None)
            if found is None:
                raise ModelNotFound.named(model, names, f"Install it with: ollama pull {model}")
            return found
        for name in names:
            # Names that end so are answered by Ollama's own service: whoever wants that names one.
            if not name.endswith("cloud") and "completion" in self._capabilities(name):
                return name
        raise NoModel("Ollama has no model that writes text on this machine. Install one: ollama pull mistral")

    def _capabilities(self, name: str) -> list[str]:
        with self._said():
            return list(self._client.show(name).capabilities or ["completion"])

    def _events(self, request: str | list[Message], options: Options, stream: bool) -> Iterator[Piece | Answer]:
        clock, last = Collector(), None
        call = self._call(request, options, stream)
        with self._said(options.timeout_s, streaming=True):
            parts = call() if stream else iter([call()])
            for part in parts:
                last = part
                text, thinking = _content(part)
                if text or thinking:
                    yield clock.add(Piece(text=text or "", thinking=thinking or ""))
        if last is None:
            raise StreamBroken("Ollama ended the answer before it began. Ask again; its log says more.")
        yield clock.answer(
            self.name, self.model, "server", stream,
            # Ollama ends an answer that repeats itself more than 30 times without a last line.
            finish_reason=last.done_reason if last.done else "aborted",
            n_prompt=last.prompt_eval_count, n_gen=last.eval_count, load_ns=last.load_duration,
            prompt_ns=last.prompt_eval_duration, gen_ns=last.eval_duration, total_ns=last.total_duration,
        )  # fmt: skip

    def _call(self, request: str | list[Message], o: Options, stream: bool) -> Any:
        sampling = {
            "temperature": o.temperature, "top_k": o.top_k, "top_p": o.top_p, "min_p": o.min_p, "seed": o.seed,
            "repeat_penalty": o.repeat_penalty, "repeat_last_n": REPEAT_LAST_N, "num_predict": o.num_predict,
            "num_ctx": o.num_ctx,
            # What we send replaces the stops of the Modelfile, which a chat template may rely on.
            "stop": [*o.stop, *(() if isinstance(request, str) else self._own_stops())],
        }  # fmt: skip
        if self.context.n_threads:
            sampling["num_thread"] = self.context.n_threads
        given: dict[str, Any] = {
            "model": self.model, "options": sampling, "stream": stream,
            "format": dict(o.format) if o.format is not None else None,
        }  # fmt: skip
        client = self._timed(o.timeout_s)
        if isinstance(request, str):
            return lambda: client.generate(prompt=request, raw=True, **given)
        return lambda: client.chat(messages=request, think=o.think, **given)

    @cache  # noqa: B019  a client a time limit: a handful of entries
    def _timed(self, timeout_s: float) -> _Client:
        return _Client(self.url, timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S)))

    @cache  # noqa: B019  one engine, one model: a handful of entries
    def _own_stops(self) -> tuple[str, ...]:
        with self._said():
            lines = (self._client.show(self.model).parameters or "").splitlines()
        pairs = [shlex.split(line) for line in lines if line.startswith("stop")]
        return tuple(pair[1] for pair in pairs if len(pair) == 2)

    def embed(self, texts: Sequence[str], model: str | None = None) -> list[list[float]]:
        """Vectors of length 1, by ``model``, else by the first embedding model that is installed."""
        installed = [m.name for m in self.models()]
        name = model or next((n for n in installed if "embedding" in self._capabilities(n)), self.model)
        with self._said():
            return [list(v) for v in self._client.embed(model=name, input=list(texts)).embeddings]

    def models(self) -> list[ModelEntry]:
        """The models that are installed, the newest first."""
        with self._said(_CONNECT_S):
            listed = self._client.list().models
        return [
            ModelEntry(
                name=str(m.model), size_bytes=m.size, digest=m.digest,
                quant=(m.details.quantization_level or None) if m.details else None,
                model_type=(m.details.family or None) if m.details else None,
            )
            for m in listed
        ]  # fmt: skip

    def info(self) -> Info:
        """Engine and model, as the server describes them."""
        with self._said():
            version, details = self._client.version(), self._client.show(self.model)
        entry = next((m for m in self.models() if m.name == self.model), ModelEntry(self.model))
        facts = details.modelinfo or {}
        context = [v for k, v in facts.items() if k.endswith(".context_length")]
        return Info(
            engine=self.name, engine_version=version, model=self.model, why=self.why, quant=entry.quant,
            model_type=entry.model_type, digest=entry.digest, model_size_bytes=entry.size_bytes,
            model_n_params=facts.get("general.parameter_count"), n_ctx_train=context[0] if context else None,
            base_url=shown(self.url, "OLLAMA_HOST"), pids=tree_listening_on(self.url),
        )  # fmt: skip

    def unload(self) -> None:
        """Ask Ollama to free the model now."""
        with self._said():
            self._client.generate(model=self.model, prompt="", keep_alive=0)

    def close(self) -> None:
        """Close the connection; the server keeps its model as long as it likes."""
        self._client.close()  # type: ignore[no-untyped-call]

    @contextmanager
    def _said(self, timeout_s: float | None = None, streaming: bool = False) -> Iterator[None]:
        """What the client or the server raises, in one line of ours."""
        where = shown(self.url, "OLLAMA_HOST")
        try:
            yield
        except ollama.ResponseError as error:
            raise _refusal(error, self.model) from None
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout):
            raise ServerNotFound(
                f"no Ollama answers at {where}. Start it (ollama serve), or set OLLAMA_HOST."
            ) from None
        except httpx.TimeoutException:
            limit = timeout_s or Options().timeout_s
            raise EngineTimeout(
                f"Ollama sent nothing for {limit:g} s. Raise timeout_s, or take a smaller model."
            ) from None
        except (httpx.HTTPError, httpx.StreamError):
            doing = "in mid-answer" if streaming else "in mid-call"
            raise StreamBroken(
                f"Ollama at {where} went away {doing}. See its log, start it again and ask again."
            ) from None
        except _NONSENSE as error:
            what = type(error).__name__
            raise EngineError(f"what answers at {where} does not speak Ollama's API ({what}).") from None


def _content(part: Any) -> tuple[str | None, str | None]:
    if isinstance(part, ollama.ChatResponse):
        return part.message.content, part.message.thinking
    return part.response, part.thinking


def _listed_as(model: str) -> str:
    """How Ollama's list shows a model that may be named in full: without its own registry, with a tag."""
    name = model
    for own in ("https://", "registry.ollama.ai/", "library/"):
        name = name.removeprefix(own)
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def _refusal(error: ollama.ResponseError, model: str) -> WorkbookError:
    """What an Ollama server refused, as one of our errors."""
    words = _innermost(str(error.error))
    low = words.lower()
    if "context" in low and ("exceed" in low or "length" in low or "size" in low):
        return ContextOverflow(f"the prompt does not fit num_ctx: {words}. Shorten it or raise num_ctx.")
    if "memory" in low:
        return OutOfMemory(f"Ollama has no room for {model}: {words}. Take a smaller model or num_ctx.")
    if error.status_code == 404 and "not found" in low and "model" in low:
        return ModelNotFound(f"Ollama no longer has {model!r}. Install it with: ollama pull {model}")
    if error.status_code == 404:
        return EngineError(f"what answers there does not know this call of Ollama's API: {words}.")
    if error.status_code == 400:
        return BadOption(f"Ollama refuses the request: {words}.")
    return EngineError(f"Ollama failed: {words}. Its log says more.")


def _innermost(words: str) -> str:
    """The message inside the JSON that llama-server's errors travel in."""
    with suppress(ValueError, KeyError, TypeError):
        words = str(json.loads(words)["error"]["message"])
    return " ".join(words.split())[:300].rstrip(".")
