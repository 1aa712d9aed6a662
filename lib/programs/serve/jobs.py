"""What travels between the HTTP side and a worker: jobs in, events out. Nothing here needs llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length", "repeats"]


@dataclass(frozen=True)
class Setting:
    """What a model is loaded with, under Ollama's names; another setting loads it again.

    num_ctx in tokens, capped at what the model was trained with. num_thread 0: the physical cores.
    num_gpu: layers on the GPU; -1 as many as fit.
    """

    num_ctx: int = 4096
    num_batch: int = 512
    num_thread: int = 0
    num_gpu: int = -1


@dataclass(frozen=True)
class Sampling:
    """How to sample, with Ollama's names and defaults.

    temperature 0 is greedy. seed -1: another each time. repeat_last_n -1: the whole window, 0: no penalty.
    num_predict -1: until the model ends, at most 10 x num_ctx. num_keep: tokens kept when a prompt is cut
    or the window is shifted; -1 all. stop: texts that end the answer.
    logprobs: give the logprob of each token; top_logprobs: and of the most likely ones, 0 to 20.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = -1
    num_predict: int = -1
    num_keep: int = 4
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0


@dataclass(frozen=True)
class ToolCall:
    """A call that the model made in an earlier turn. ``arguments``: JSON text of an object."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True)
class ChatMessage:
    """A message of a chat; role is "system", "user", "assistant" or "tool"."""

    role: str
    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(frozen=True)
class Generate:
    """An answer to a raw ``prompt``, or, when there are messages, to these through the model's template.

    context: tokens that go before the prompt (what an earlier generate returned). tools: JSON text of a list, or "".
    think: None where the request does not say; a level ("low", ...) for models that have levels.
    format: "" none, "json", or the JSON text of a schema. truncate: cut what does not fit; shift: go on
    past the window's end by forgetting its middle. with_context: Done carries the tokens of prompt and answer.
    """

    prompt: str = ""
    messages: tuple[ChatMessage, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    context: tuple[int, ...] = ()
    tools: str = ""
    think: bool | str | None = None
    format: str = ""
    truncate: bool = True
    shift: bool = True
    with_context: bool = False


@dataclass(frozen=True)
class Embed:
    """Vectors of these texts. dimensions 0: all; fewer are cut and normalised again.

    truncate False: a text that does not fit is refused (400) instead of cut.
    normalize False: refusals as the older /api/embeddings gives them (500 instead of 400 and 501); with
    truncate False, as it never cuts. Its vectors have length 1 too.
    """

    texts: tuple[str, ...]
    truncate: bool = True
    dimensions: int = 0
    normalize: bool = True


@dataclass(frozen=True)
class Load:
    """Only load the model (an empty prompt); answered by one Ready."""


Job = Generate | Embed | Load


@dataclass(frozen=True)
class Ready:
    """The model is loaded. ``num_ctx`` is the window it has (capped), n_ctx_train what it was trained with."""

    num_ctx: int
    n_ctx_train: int
    load_ns: int
    size_bytes: int = 0
    size_vram: int = 0


@dataclass(frozen=True)
class Begun:
    """The prompt as the model gets it, before it is computed; ``thinking``: it ends inside a thinking tag."""

    prompt: str
    n_prompt: int
    thinking: bool = False


@dataclass(frozen=True)
class Alternative:
    """A token the model could have said, as text (bytes that are no whole character become U+FFFD)."""

    token: str
    logprob: float


@dataclass(frozen=True)
class Scored:
    """A token the model said, its logprob, and the most likely ones in its place (it among them)."""

    token: str
    logprob: float
    top: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class Token:
    """The next piece of the answer: whole characters, no stop text. ``scored``: the tokens it is made of."""

    text: str
    scored: tuple[Scored, ...] = ()


@dataclass(frozen=True)
class Done:
    """The end of an answer, and what it cost.

    reason: "repeats" when one piece came more than 30 times: Ollama then ends the stream without a last line.
    n_prompt counts all tokens of the prompt (Ollama's prompt_eval_count), n_cached those not computed again;
    n_gen counts the token that ended the answer too (eval_count). prompt_ns, gen_ns: what was computed.
    context: tokens of prompt and answer, where asked for.
    """

    reason: FinishReason
    n_prompt: int
    n_cached: int
    n_gen: int
    load_ns: int
    prompt_ns: int
    gen_ns: int
    context: tuple[int, ...] = ()


@dataclass(frozen=True)
class Vectors:
    """One vector a text; n_prompt counts the tokens of all of them, the special ones too."""

    vectors: tuple[tuple[float, ...], ...]
    n_prompt: int
    load_ns: int = 0


@dataclass(frozen=True)
class Failed:
    """The job could not be done: the status and text an endpoint answers. ``runner.run`` raises it as Refused."""

    status: int
    message: str


Event = Ready | Begun | Token | Done | Vectors | Failed
