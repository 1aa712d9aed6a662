"""A loaded model's answers: the prompt's common beginning kept, the window shifted, every token an event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from programs.serve import templates
from programs.serve.grammars import grammar_for
from programs.serve.jobs import Begun, Done, FinishReason, Generate, Scored, Token
from programs.serve.sampling import TokenSampler, scored
from workbook.engines import native
from workbook.engines.llama import Model
from workbook.engines.pieces import Pieces

MOST_REPEATS = 30
_WINDOWS = 10  # an answer without a limit ends after so many windows


class ModelSession:
    """One model and what its context holds. ``cancelled()`` is asked before every batch and every token.

    ``num_ctx`` is the window that prompts are cut to; the context may be a little larger (a multiple of 256).
    """

    def __init__(self, model: Model, num_ctx: int, cancelled: Callable[[], bool]) -> None:
        self.model, self.num_ctx, self._cancelled = model, num_ctx, cancelled
        self._past: list[int] = []
        self._shifts = bool(native.library().llama_memory_can_shift(model.memory)) if model.memory else False

    def generate(self, job: Generate, load_ns: int) -> Iterator[Begun | Token | Done]:
        """The events of one answer; ends without Done when cancelled.

        Raises BadOption, ContextOverflow (both a 400) or EngineError.
        """
        model = self.model
        grammar = grammar_for(job.format)
        prompt = templates.prompt_of(model, job, self.num_ctx)
        yield Begun(prompt.text, len(prompt.tokens), prompt.thinking)
        with TokenSampler(model, job.sampling, prompt.tokens, grammar) as sampler:
            started = time.perf_counter_ns()
            n_cached = self._prefill(prompt.tokens)
            if n_cached is None:
                return
            answer = _Answer(self, sampler, job, len(prompt.tokens), started)
            yield from answer.tokens()
        if answer.reason is None:
            return
        said = tuple(templates.tokens_of(model, prompt.text + answer.text)) if job.with_context else ()
        yield Done(
            answer.reason, len(prompt.tokens), n_cached, answer.n_gen, load_ns, answer.prompt_ns, answer.gen_ns, said
        )

    def cancelled(self) -> bool:
        """Whether whoever asked has left."""
        return self._cancelled()

    def _prefill(self, tokens: Sequence[int]) -> int | None:
        """Compute the prompt but for the beginning that is there already; how many that were. None: cancelled."""
        same, past = 0, self._past
        while same < min(len(tokens) - 1, len(past)) and tokens[same] == past[same]:
            same += 1
        self.model.reset(same)
        same = self.model.n_past
        del past[same:]
        for at in range(same, len(tokens), self.model.n_batch):
            if self._cancelled():
                return None
            part = tokens[at : at + self.model.n_batch]
            self.model.decode(part)
            past += part
        return same

    def extend(self, token: int, n_keep: int, shift: bool) -> bool:
        """Put ``token`` into the context, forgetting the middle when it is full; False: it is full and stays so."""
        if self.model.n_past + 1 >= self.model.n_ctx and not (shift and self._shifts and self._shift(n_keep)):
            return False
        self.model.decode([token])
        self._past.append(token)
        return True

    def _shift(self, n_keep: int) -> bool:
        """Forget the older half of what may be forgotten, as llama-server does."""
        lib, model, n_past = native.library(), self.model, self.model.n_past
        gone = (n_past - n_keep) // 2
        if gone < 1:
            return False
        lib.llama_memory_seq_rm(model.memory, 0, n_keep, n_keep + gone)
        lib.llama_memory_seq_add(model.memory, 0, n_keep + gone, n_past, -gone)
        model.n_past -= gone
        del self._past[n_keep : n_keep + gone]
        return True


class _Answer:
    """Token by token. ``reason`` None at the end: cancelled."""

    def __init__(
        self, session: ModelSession, sampler: TokenSampler, job: Generate, n_prompt: int, started: int
    ) -> None:
        self._session, self._sampler, self._job, self._started = session, sampler, job, started
        keep, most = job.sampling.num_keep, _WINDOWS * session.num_ctx
        keep = n_prompt if keep < 0 else keep + session.model.adds_bos
        self._keep = min(keep, session.model.n_ctx - 4)
        wanted = job.sampling.num_predict
        self._most = min(wanted, most) if wanted > 0 else most  # 0 is not sent on by Ollama: it means no limit too
        template = session.model.metadata.get("tokenizer.chat_template", "")
        stop = job.sampling.stop or templates.stops_of(template)
        # Thinking tags are left in the text: whoever asked tells them apart.
        self._pieces = Pieces(stop, tags=False)
        self._waiting: list[Scored] = []
        self._last, self._repeats = "", 0
        self.reason: FinishReason | None = None
        self.text, self.n_gen, self.prompt_ns, self.gen_ns = "", 0, 0, 0

    def tokens(self) -> Iterator[Token]:
        first_at = 0
        while not self._session.cancelled():
            token = self._sampler.sample()
            now = time.perf_counter_ns()
            first_at = first_at or now
            self.prompt_ns, self.gen_ns, self.n_gen = first_at - self._started, now - first_at, self.n_gen + 1
            yield from self._said(token)
            if self.reason is None and self.n_gen >= self._most:
                self.reason = "length"
            if self.reason is None and not self._session.extend(token, self._keep, self._job.shift):
                self.reason = "length"
            if self.reason is not None:
                if self.reason != "repeats":
                    yield from self._token("".join(p.text for p in self._pieces.end()))
                return

    def _said(self, token: int) -> Iterator[Token]:
        model, sampling = self._session.model, self._job.sampling
        if model.is_end(token):
            self.reason = "stop"
            return
        if sampling.logprobs:
            self._waiting.append(scored(model, token, sampling.top_logprobs))
        piece = "".join(p.text for p in self._pieces.feed(model.piece(token, special=False)))
        if self._pieces.whole:
            self._count(piece.strip())
        if self._pieces.stopped:
            self.reason = "stop"
        if self.reason != "repeats":
            yield from self._token(piece)

    def _token(self, text: str) -> Iterator[Token]:
        if text:
            self.text += text
            made, self._waiting = tuple(self._waiting), []
            yield Token(text, made)

    def _count(self, piece: str) -> None:
        self._repeats = self._repeats + 1 if piece == self._last else 0
        self._last = piece
        if self._repeats > MOST_REPEATS:
            self.reason = "repeats"
