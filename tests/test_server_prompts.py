"""Prompts as Ollama makes them: its ChatML, the files' own templates, and what it cuts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from programs.serve import prompts
from programs.serve.jobs import ChatMessage, Generate, Sampling, ToolCall
from workbook import facts, models
from workbook.engines import llama
from workbook.errors import BadOption, ContextOverflow

QWEN_LIKE = (
    "{%- if tools %}<|im_start|>system\n# Tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think></think>"
    "{% else %}<think>\n{% endif %}"
)


@pytest.fixture(scope="module")
def model() -> Iterator[llama.Model]:
    with llama.Model(models.packaged(), n_ctx=256, n_threads=1) as loaded:
        yield loaded


def say(*pairs: tuple[str, str]) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage(role, content) for role, content in pairs)


def test_chatml_is_what_the_real_ollama_renders() -> None:
    # From ollama 0.32.15 with _debug_render_only, of the packaged model.
    messages = say(("system", "S"), ("user", "hi"), ("assistant", "ho"), ("tool", "42"), ("assistant", "par"))
    assert prompts.chatml(messages) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nho<|im_end|>\n"
        "<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\npar<|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompts.chatml(say(("user", "a"), ("user", "b"))).count("<|im_start|>") == 2


def test_the_packaged_models_template_is_replaced_by_chatml(model: llama.Model) -> None:
    prompt = prompts.prompt_of(model, Generate(messages=say(("user", "hi"))), 4096)
    assert len(prompt.tokens) == 10  # prompt_eval_count of the real one
    assert "helpful AI assistant" not in prompt.text
    assert prompts.stops_of(model.metadata["tokenizer.chat_template"]) == ("<|im_start|>", "<|im_end|>")


def test_a_template_with_tools_or_thinking_is_run_as_it_stands() -> None:
    assert prompts.template_kind(QWEN_LIKE) == "jinja"
    template = prompts.Template(QWEN_LIKE)
    asked = (*say(("user", "Weather?")), ChatMessage("assistant", tool_calls=(ToolCall("get", '{"city": "Dax"}'),)))
    asked += (ChatMessage("tool", "Sun."),)
    text = template.render(asked, tools='[{"type": "function", "function": {"name": "get"}}]', think=False)
    assert '"name": "get"' in text.split("<|im_end|>")[0]
    assert '<tool_call>{"name": "get", "arguments": {"city": "Dax"}}</tool_call>' in text
    assert text.endswith("<think></think>")
    assert template.render(say(("user", "hi")), think=True).rstrip().endswith("<think>")
    assert prompts.template_kind("") == "none"


@pytest.mark.parametrize("source", ["{{ messages[9].content.x }}", "{% for %}", "{{ raise_exception('no') }}"])
def test_a_template_that_fails_is_one_clear_refusal(source: str) -> None:
    with pytest.raises(BadOption, match="chat template refuses"):
        prompts.Template(source).render(say(("user", "hi")))


def test_a_template_reaches_nothing_of_this_process() -> None:
    with pytest.raises(BadOption):
        prompts.Template("{{ messages.__class__.__mro__[1].__subclasses__() }}").render(say(("user", "hi")))


@pytest.mark.parametrize(("num_ctx", "sent", "read"), list(facts.table("ollama_truncation")[
    ["num_ctx", "tokens_sent", "tokens_read"]].itertuples(index=False, name=None)))  # fmt: skip
def test_a_prompt_is_cut_as_the_real_one_was_seen_to(num_ctx: int, sent: int, read: int) -> None:
    tokens = list(range(sent))
    left = prompts.cut(tokens, num_ctx, 4)
    assert len(left) == read
    assert left[:4] == tokens[:4]
    assert left[-1] == tokens[-1]


def test_cutting_at_the_edges() -> None:
    tokens = list(range(21))
    assert prompts.cut(tokens, 4, 4) == [0, 1, 2]  # the real one reads 3 tokens at num_ctx 4
    assert prompts.cut(tokens, 22, 4) == tokens
    assert len(prompts.cut(tokens, 21, 4)) < 21
    assert prompts.cut(tokens, 16, -1) == list(range(15))
    assert prompts.cut(tokens, 16, 0)[0] != 0
    with pytest.raises(ContextOverflow, match="longer than the context length"):
        prompts.cut(tokens, 16, 4, shift=False)


def test_uncut_it_is_refused_in_llama_servers_words(model: llama.Model) -> None:
    job = Generate(prompt="one" + " one" * 300, truncate=False)
    with pytest.raises(ContextOverflow, match=r"request \(301 tokens\) exceeds the available context size \(256"):
        prompts.prompt_of(model, job, 128)


def test_old_messages_go_first_and_the_systems_stay() -> None:
    messages = say(("system", "S"), ("user", "old " * 50), ("assistant", "yes"), ("user", "new"))

    def fits(num_ctx: int) -> list[str]:
        left = prompts.fitting(messages, prompts.chatml, lambda text: len(text.split()), num_ctx)
        return [m.content for m in left]

    assert fits(1000) == [m.content for m in messages]
    assert fits(20) == ["S", "yes", "new"]
    assert fits(1) == ["S", "new"]


def test_context_goes_before_the_prompt(model: llama.Model) -> None:
    before = tuple(model.tokenize("<|im_start|>user\nhi<|im_end|>\n", special=True))
    prompt = prompts.prompt_of(model, Generate(messages=say(("user", "go on")), context=before), 4096)
    assert prompt.text.startswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>user\ngo on")
    assert prompt.tokens[: len(before)] == before


@pytest.mark.parametrize("token", [-1, 10**6])
def test_a_context_token_that_is_none_is_refused(model: llama.Model, token: int) -> None:
    with pytest.raises(BadOption, match="context"):  # llama.cpp would end the process
        prompts.prompt_of(model, Generate(messages=say(("user", "hi")), context=(1, token)), 4096)


def test_windows() -> None:
    assert prompts.window(100_000, 8192) == 8192
    assert prompts.window(1, 8192) == prompts.window(-5, 8192) == 4
    assert prompts.window(2, 512, encodes=True) == 2
    assert Sampling().num_keep == 4


def test_a_long_chat_is_not_rendered_once_a_message() -> None:
    rendered: list[int] = []

    def render(messages: Sequence[ChatMessage]) -> str:
        rendered.append(len(messages))
        return " ".join(m.content for m in messages)

    chat = [ChatMessage("system", "s"), *(ChatMessage("user", "one two") for _ in range(1000))]
    left = prompts.fitting(chat, render, lambda text: len(text.split()), 21)
    assert [m.role for m in left] == ["system", *["user"] * 10]
    assert len(rendered) < 20
    assert prompts.fitting([], render, len, 5) == []
