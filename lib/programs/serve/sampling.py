"""One answer's sampler as llama-server has it: the chain first, the grammar only on what it chose."""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from programs.serve.jobs import Alternative, Sampling, Scored
from workbook.engines import native
from workbook.engines.llama import Model
from workbook.engines.sampler_chain import SamplerSteps
from workbook.errors import BadOption

_NO_SEED = 0xFFFFFFFF
_ENTRY = [("id", "i4"), ("logit", "f4"), ("p", "f4")]


class TokenSampler:
    """Draws the tokens of one answer. The penalties see the prompt, the grammar does not.

    A token that the grammar refuses is drawn again among those it allows: so a seed gives what Ollama's gives,
    and most tokens cost no look at the whole vocabulary.
    Raises BadOption when llama.cpp refuses the grammar.
    """

    def __init__(self, model: Model, sampling: Sampling, prompt: Sequence[int], grammar: str = "") -> None:
        self._lib = lib = native.library()
        self._model = model
        self._grammar: Any = None
        self._table: Any = None
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for sampler in _steps(sampling).samplers(model.n_vocab, prompt):
            lib.llama_sampler_chain_add(self._chain, sampler)
        if grammar:
            self._grammar = lib.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
            if not self._grammar:
                self.close()
                raise BadOption("llama.cpp refuses the grammar of this format.")
            self._table = (lib.llama_token_data * model.n_vocab)()

    def sample(self) -> int:
        """Draw a token from the model's last logits, and count it as said."""
        lib = self._lib
        if self._grammar is None:
            return int(lib.llama_sampler_sample(self._chain, self._model.context, -1))
        token = self._draw()
        if not self._allows(token):
            token = self._draw(self._grammar)
        lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def _draw(self, first: Any = None) -> int:
        lib, table = self._lib, self._table
        view = np.frombuffer(table, dtype=_ENTRY)
        view["id"], view["logit"] = np.arange(len(view)), self._model.logits()
        array = lib.llama_token_data_array(
            data=ctypes.cast(table, lib.llama_token_data_p), size=len(view), selected=-1, sorted=False
        )
        for sampler in (first, self._chain):
            if sampler is not None:
                lib.llama_sampler_apply(sampler, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _allows(self, token: int) -> bool:
        lib = self._lib
        one = (lib.llama_token_data * 1)(lib.llama_token_data(token, 1.0, 0.0))
        array = lib.llama_token_data_array(
            data=ctypes.cast(one, lib.llama_token_data_p), size=1, selected=-1, sorted=False
        )
        lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return bool(array.data[0].logit != -np.inf)

    def close(self) -> None:
        """Free the chain and the grammar."""
        for name in ("_chain", "_grammar"):
            if getattr(self, name):
                self._lib.llama_sampler_free(getattr(self, name))
            setattr(self, name, None)

    def __enter__(self) -> TokenSampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _steps(s: Sampling) -> SamplerSteps:
    seed = s.seed & 0xFFFFFFFF
    return SamplerSteps(
        temperature=s.temperature, top_k=s.top_k, top_p=s.top_p, min_p=s.min_p,
        seed=secrets.randbelow(_NO_SEED) if seed == _NO_SEED else seed,
        repeat_penalty=s.repeat_penalty, repeat_last_n=s.repeat_last_n,
        presence_penalty=s.presence_penalty, frequency_penalty=s.frequency_penalty, typical_p=s.typical_p,
    )  # fmt: skip


def scored(model: Model, token: int, n_top: int) -> Scored:
    """The logprob of ``token`` under the model itself, before any sampling step, and of the ``n_top`` most likely."""
    logits = model.logits()
    logprobs = logits - _log_sum_exp(logits)
    top: tuple[Alternative, ...] = ()
    if n_top:
        best = np.argpartition(-logits, n_top)[:n_top]
        best = best[np.argsort(-logits[best], kind="stable")]
        top = tuple(Alternative(_text(model, int(i)), float(logprobs[i])) for i in best)
    return Scored(_text(model, token), float(logprobs[token]), top)


def _log_sum_exp(logits: NDArray[np.float32]) -> np.float32:
    most = logits.max()
    return np.float32(most + np.log(np.exp(logits - most).sum(dtype=np.float32)))


def _text(model: Model, token: int) -> str:
    return model.piece(token).decode("utf-8", "replace")
