"""The cell that asks a prompt of the connected engine, whichever that is."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from programs.bench import private, prompts
from programs.bench.cells import Attempt, llama_cpp_build
from programs.bench.fields import Outcome, Setup
from workbook.engines import Engine, Info, Message, Options
from workbook.engines.options import REPEAT_LAST_N

CHAT_PROMPT_ID = "chat-story"
_DIGITS = 6
_SYSTEM = {CHAT_PROMPT_ID: " You write stories."}


@dataclass(frozen=True)
class ChatCell:
    """One chat answer through the connected engine, streamed, of at most ``options.num_predict`` tokens.

    With ``setup.unique_prefix`` every repetition begins with other digits, which follow from ``salt``: a prompt that
    begins like an earlier one is partly in the engine's cache. Without, it is sent as it stands.
    ``unloaded``: the model was not loaded before repetition 0.
    """

    engine: Engine
    options: Options
    setup: Setup
    prompt: str
    salt: str = ""
    unloaded: bool = False

    @property
    def pids(self) -> tuple[int, ...]:
        return self.engine.info().pids

    def seed(self, rep: int) -> int:
        """Of the sampling."""
        return self.options.seed + rep

    def prefix(self, rep: int) -> str | None:
        """Digits; the first is another one than in the repetition before."""
        if not self.setup.unique_prefix:
            return None
        first = (random.Random(self.salt).randrange(10) + rep) % 10
        draw = random.Random(f"{self.salt} {rep}")
        return " ".join(str(digit) for digit in (first, *(draw.randrange(10) for _ in range(_DIGITS - 1))))

    def messages(self, rep: int) -> list[Message]:
        """The prompt, behind its prefix if it has one."""
        prefix, asked = self.prefix(rep), {"role": "user", "content": self.prompt}
        if prefix is None:
            return [asked]
        return [{"role": "system", "content": f"{prefix}.{_SYSTEM.get(self.setup.prompt_id, '')}"}, asked]

    def run(self, rep: int) -> Attempt:
        """Ask, and note on our clock when pieces come."""
        began = time.perf_counter_ns()
        first = first_text = last = None
        options = vars(self.options) | {"seed": self.seed(rep)}
        stream = self.engine.chat(self.messages(rep), stream=True, **options)
        for piece in stream.pieces():
            now = time.perf_counter_ns() - began
            if piece.text or piece.thinking:
                first, last = first or now, now
            if piece.text:
                first_text = first_text or now
        answer = stream.answer
        total = time.perf_counter_ns() - began
        streamed = last - first if first is not None and last is not None and last > first else None
        by_client = self.setup.method == "client-stream"
        empty = rep == 0 and self.unloaded and not by_client  # a model just loaded has nothing cached
        outcome = Outcome(
            n_prompt=answer.n_prompt,
            n_cached=0 if answer.n_cached is None and empty and answer.n_prompt is not None else answer.n_cached,
            n_gen=answer.n_gen,
            finish_reason=answer.finish_reason,
            token_count_source=answer.sources.get("n_gen"),
            load_ns=answer.load_ns,
            ttft_ns=first,
            ttf_answer_ns=first_text,
            prompt_ns=None if by_client else answer.prompt_ns or None,
            gen_ns=streamed if by_client else answer.gen_ns or None,
            stream_ns=streamed,
            total_ns=total,
        )
        return Attempt(outcome, answer)


def chat_cell(engine: Engine, gen_tokens: int, salt: str = "", unloaded: bool = False) -> ChatCell:
    """The recorder's own chat cell of a connected engine: greedy, a fixed number of tokens."""
    options = Options(temperature=0.0, num_predict=gen_tokens)
    return asking(engine, options, prompts.find(CHAT_PROMPT_ID), unique_prefix=True, salt=salt, unloaded=unloaded)


def asking(
    engine: Engine, options: Options, prompt: prompts.Text, unique_prefix: bool, salt: str = "", unloaded: bool = False
) -> ChatCell:
    """The cell that asks ``prompt`` with these options."""
    info = engine.info()
    sampling: dict[str, Any] = {
        "prompt_id": prompt.id,
        "prompt_sha256": prompt.sha256,
        "unique_prefix": unique_prefix,
        # What an OpenAI-compatible server's context is, it does not tell.
        "n_ctx": None if info.engine == "openai" else options.num_ctx,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "min_p": options.min_p,
        "repeat_penalty": options.repeat_penalty,
        "repeat_last_n": None if info.engine == "openai" else REPEAT_LAST_N,
        "max_tokens": options.num_predict,
        "thinking": options.think,
    }
    if info.base_url == "api.openai.com":  # it refuses these, so they are not sent
        sampling |= dict.fromkeys(("top_k", "min_p", "repeat_penalty"))
    setup = _setup(info).model_copy(update=sampling | vars(engine.context))
    setup = Setup.model_validate(setup.model_dump())
    return ChatCell(engine, options, setup, prompt.text, salt, unloaded)


def _setup(info: Info) -> Setup:
    """What is known of an engine and its model."""
    digest = (info.digest or "").removeprefix("sha256:")
    digest_or_none = digest if len(digest) == 64 else None
    return Setup(
        # Only our own API and Ollama's tell times; the OpenAI API does not.
        method="client-stream" if info.engine == "openai" else "server-timings",
        prompt_id=CHAT_PROMPT_ID,
        engine=info.engine,
        engine_version=info.engine_version,
        engine_build=llama_cpp_build() if info.engine == "embedded" else None,
        build_info=info.build_info[:1000] if info.build_info else None,
        model_name=private.text(info.model)[:100],
        file_sha256=digest_or_none if info.engine != "ollama" else None,
        ollama_digest=digest_or_none if info.engine == "ollama" else None,
        model_type=info.model_type,
        quant=info.quant,
        model_size_bytes=info.model_size_bytes,
        model_n_params=info.model_n_params,
    )
