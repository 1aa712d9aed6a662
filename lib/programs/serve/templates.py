"""From a request to the tokens the model reads: templates as Ollama 0.32 chooses them, cut where it cuts."""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from programs.serve.jobs import ChatMessage, Generate
from workbook.errors import BadOption, ContextOverflow

if TYPE_CHECKING:  # the HTTP side reads this module too, and needs no llama.cpp
    from workbook.engines.llama import Model

Kind = Literal["chatml", "jinja", "none"]

CHATML_STOP = ("<|im_start|>", "<|im_end|>")
"""What Ollama sets with the ChatML template it puts in place of a file's own; a request's stop replaces it."""

CHATML_TEMPLATE = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
NO_TEMPLATE = "{{ .Prompt }}"

TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)
_SMALLEST_CTX = 4
_LARGEST_CTX = 1 << 20  # tokens, for a file that does not say what it was trained with


def template_kind(template: str) -> Kind:
    """Which template answers for a file's own: ChatML where that is what it writes, as Ollama recognises it.

    A template that knows tools or thinking is run as it stands: ChatML alone would lose them.
    """
    if not template:
        return "none"
    plain = not any(word in template for word in ("tools", "tool_call", "think"))
    return "chatml" if plain and "<|im_start|>" in template and "<|im_end|>" in template else "jinja"


def stops_of(template: str) -> tuple[str, ...]:
    """The texts that end an answer where a request names none: they come with the template that answers."""
    return CHATML_STOP if template_kind(template) == "chatml" else ()


def chatml(messages: Sequence[ChatMessage]) -> str:
    """The messages in ChatML, without a system prompt of its own; neighbours of one role become one."""
    merged: list[ChatMessage] = []
    for message in messages:
        if merged and merged[-1].role == message.role != "tool":
            merged[-1] = replace(merged[-1], content=f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    turns = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in merged)
    return f"{turns}<|im_start|>assistant\n"


def begun_in(messages: Sequence[ChatMessage], source: str) -> str | None:
    """The assistant's own words that end the messages, where this template lets an answer go on from them."""
    ends = len(messages) > 1 and messages[-1].role == "assistant" and template_kind(source) == "jinja"
    return messages[-1].content if ends else None


@dataclass(frozen=True)
class Template:
    """How a model's messages become a prompt. ``source``: the file's own Jinja template, "" if it has none."""

    source: str
    bos: str = ""
    eos: str = ""

    @classmethod
    def of(cls, model: Model) -> Template:
        """The template in the model's file."""
        bos = model.piece(model.bos).decode("utf-8", "replace") if model.bos >= 0 else ""
        eos = model.piece(model.eos).decode("utf-8", "replace") if model.eos >= 0 else ""
        return cls(model.metadata.get("tokenizer.chat_template", ""), bos, eos)

    def render(self, messages: Sequence[ChatMessage], tools: str = "", think: bool | str | None = None) -> str:
        """The prompt for these messages, ready for the answer. Raises BadOption when the template refuses them."""
        kind = template_kind(self.source)
        if kind == "chatml":
            return chatml(messages)
        if kind == "none":
            return "".join(m.content for m in messages)
        return self._jinja(messages, tools, think)

    def _jinja(self, messages: Sequence[ChatMessage], tools: str, think: bool | str | None) -> str:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        more: dict[str, Any] = {"tools": json.loads(tools)} if tools else {}
        if think is not None:
            more["enable_thinking"] = bool(think)
            more |= {"reasoning_effort": think} if isinstance(think, str) else {}
        try:
            write = Jinja2ChatFormatter(template=self.source, eos_token=self.eos, bos_token=self.bos)
            begun = begun_in(messages, self.source)
            if begun is not None:  # as llama-server: what is begun goes on after the thinking
                messages, more = messages[:-1], more | {"enable_thinking": False}
            return str(write(messages=[_plain(m) for m in messages], **more).prompt) + (begun or "")
        except Exception as error:  # noqa: BLE001  a template is a program from a file: it may raise anything
            raise BadOption(f"the model's chat template refuses these messages: {error}") from None


def _plain(message: ChatMessage) -> dict[str, Any]:
    """A message as templates know it (OpenAI's fields); past thinking is left out, as Ollama leaves it."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"type": "function", "id": c.id, "function": {"name": c.name, "arguments": json.loads(c.arguments)}}
            for c in message.tool_calls
        ]
    if message.tool_name:
        plain["name"] = message.tool_name
    if message.tool_call_id:
        plain["tool_call_id"] = message.tool_call_id
    return plain


def fitting(
    messages: Sequence[ChatMessage], render: Callable[[Sequence[ChatMessage]], str], count: Callable[[str], int],
    num_ctx: int,
) -> Sequence[ChatMessage]:  # fmt: skip
    """The messages without the oldest ones that do not fit; the system's and the last one always stay."""

    def left(first: int) -> Sequence[ChatMessage]:
        return [m for m in messages[:first] if m.role == "system"] + list(messages[first:])

    def fits(first: int) -> bool:
        return count(render(left(first))) <= num_ctx

    if len(messages) < 2 or fits(0):
        return messages
    # Fewer messages never take more tokens: so a long chat is not rendered once for each of its messages.
    return left(bisect.bisect_left(range(len(messages) - 1), True, lo=1, key=fits))


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as text and as the tokens the model reads, cut to its window."""

    text: str
    tokens: tuple[int, ...]
    thinking: bool


def prompt_of(model: Model, job: Generate, num_ctx: int) -> RenderedPrompt:
    """What the model reads for this job in a window of ``num_ctx``.

    Raises ContextOverflow (a 400) where it is not to be cut, BadOption where the template refuses the messages.
    """
    text = job.prompt
    if job.messages:
        template = Template.of(model)

        def render(messages: Sequence[ChatMessage]) -> str:
            return template.render(messages, job.tools, job.think)

        kept = job.messages
        if job.truncate:
            kept = tuple(fitting(kept, render, lambda text: _count(model, text, num_ctx), num_ctx))
        if any(not 0 <= token < model.n_vocab for token in job.context):  # llama.cpp would end the process
            raise BadOption(f"context: the model's tokens are 0 to {model.n_vocab - 1}")
        text = model.text(job.context) + render(kept)
    tokens = tokens_of(model, text)
    if not tokens:
        raise BadOption("the prompt has no tokens.")
    if job.truncate:
        tokens = cut(
            tokens, num_ctx, job.sampling.num_keep + (model.adds_bos and job.sampling.num_keep >= 0), job.shift
        )
    elif len(tokens) >= model.n_ctx:
        raise ContextOverflow(_exceeds(len(tokens), model.n_ctx))
    return RenderedPrompt(text, tuple(tokens), text.rstrip().endswith("<think>"))


def tokens_of(model: Model, text: str) -> list[int]:
    """The tokens of a prompt, special ones read as such, one beginning-of-text token where the model has one."""
    bos = model.piece(model.bos).decode("utf-8", "replace") if model.adds_bos and model.bos >= 0 else ""
    if bos and text.startswith(bos):
        text = text[len(bos) :]
    return model.tokenize(text, special=True, bos=True)


def _count(model: Model, text: str, num_ctx: int) -> int:
    """The tokens of a text; where its bytes fit already, their number: a token is a byte at least."""
    size = len(text.encode()) + 1
    return size if size <= num_ctx else len(model.tokenize(text, special=True))


def cut(tokens: Sequence[int], num_ctx: int, num_keep: int, shift: bool = True) -> list[int]:
    """A prompt that does not fit, cut as Ollama does: the first ``num_keep`` tokens, then the end, half a window free.

    num_keep -1 keeps as many as can be. Raises ContextOverflow when the window may not be shifted.
    """
    limit = num_ctx - 1
    if len(tokens) <= limit:
        return list(tokens)
    if not shift:
        raise ContextOverflow(TOO_LONG)
    keep = min(len(tokens) if num_keep < 0 else num_keep, limit)
    left = num_ctx - max((num_ctx - keep) // 2, 1)
    return list(tokens[:keep]) + list(tokens[len(tokens) - (left - keep) :] if left > keep else [])


def window(num_ctx: int, n_ctx_train: int, encodes: bool = False) -> int:
    """The window a request for ``num_ctx`` gets: at most what the model was trained with, at least 4 tokens, as Ollama.

    Where it only cuts texts for vectors (``encodes``), it may be smaller.
    """
    return max(1 if encodes else _SMALLEST_CTX, min(num_ctx, n_ctx_train if n_ctx_train > 0 else _LARGEST_CTX))


def as_llama_server(message: str, kind: str = "invalid_request_error", more: Mapping[str, Any] | None = None) -> str:
    """A refusal as Ollama passes it on: llama-server's own JSON, as text."""
    error = {"code": 400, "message": message, "type": kind, **(more or {})}
    return json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False)


def _exceeds(n_prompt: int, n_ctx: int) -> str:
    return as_llama_server(
        f"request ({n_prompt} tokens) exceeds the available context size ({n_ctx} tokens), try increasing it",
        "exceed_context_size_error",
        {"n_prompt_tokens": n_prompt, "n_ctx": n_ctx},
    )
