"""llama.cpp's own sampler chain: penalties, top-k, top-p, min-p, temperature, draw."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbook.engines import native
from workbook.engines.options import REPEAT_LAST_N, Options
from workbook.errors import BadOption, EngineError


@dataclass(frozen=True)
class SamplerSteps:
    """The steps of a chain, in llama.cpp's order and under its names; seed as llama.cpp takes it, 32 bits."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int
    repeat_penalty: float = 1.0
    repeat_last_n: int = REPEAT_LAST_N
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    typical_p: float = 1.0

    def samplers(self, n_vocab: int, penalized: Sequence[int]) -> list[Any]:
        """llama.cpp's samplers, which whoever adds them to a chain owns. ``penalized``: the tokens before."""
        lib, last_n = native.library(), self.repeat_last_n
        penalties = lib.llama_sampler_init_penalties(
            n_vocab, last_n, self.repeat_penalty, self.frequency_penalty, self.presence_penalty
        )
        for token in penalized[-last_n:] if last_n else ():
            lib.llama_sampler_accept(penalties, token)
        if self.temperature <= 0:
            return [penalties, lib.llama_sampler_init_greedy()]
        typical = [lib.llama_sampler_init_typical(self.typical_p, 1)] if self.typical_p != 1 else []
        return [
            penalties,
            lib.llama_sampler_init_top_k(self.top_k),
            *typical,
            lib.llama_sampler_init_top_p(self.top_p, 1),
            lib.llama_sampler_init_min_p(self.min_p, 1),
            lib.llama_sampler_init_temp(self.temperature),
            lib.llama_sampler_init_dist(self.seed),
        ]


def grammar_of(schema: Mapping[str, Any]) -> str:
    """The GBNF grammar of a JSON schema. Raises BadOption where llama.cpp's converter cannot read it."""
    native.library()
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as error:  # noqa: BLE001  the converter raises whatever the schema makes it stumble over
        raise BadOption(f"format: llama.cpp cannot use this JSON schema ({type(error).__name__}: {error}).") from None


class SamplerChain:
    """One sampler chain for one answer. ``penalized``: the tokens before, of which the last 64 count.

    The grammar comes first and never sees the prompt; the penalty does, as in llama-server.
    """

    def __init__(
        self, vocab: Any, n_vocab: int, options: Options, penalized: Sequence[int] = (), context: Any = None
    ) -> None:
        self._context = context
        self._lib = lib = native.library()
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if options.format is not None:
            grammar = lib.llama_sampler_init_grammar(vocab, grammar_of(options.format).encode(), b"root")
            if not grammar:
                self.close()
                raise EngineError("llama.cpp refused the grammar of this JSON schema.")
            lib.llama_sampler_chain_add(self._chain, grammar)
        o = options
        steps = SamplerSteps(o.temperature, o.top_k, o.top_p, o.min_p, o.seed, o.repeat_penalty)
        for sampler in steps.samplers(n_vocab, penalized):
            lib.llama_sampler_chain_add(self._chain, sampler)

    def sample(self) -> int:
        """Draw a token from the context's last logits, and count it as said."""
        return int(self._lib.llama_sampler_sample(self._chain, self._context, -1))

    def apply(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """What the chain leaves of these logits: ids and their probabilities, in the engine's order."""
        lib = self._lib
        table = (lib.llama_token_data * len(logits))()
        view = np.frombuffer(table, dtype=[("id", "i4"), ("logit", "f4"), ("p", "f4")])
        view["id"], view["logit"] = np.arange(len(logits)), logits
        array = lib.llama_token_data_array(
            data=ctypes.cast(table, lib.llama_token_data_p), size=len(logits), selected=-1, sorted=False
        )
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        kept = np.array([(array.data[i].id, array.data[i].p) for i in range(array.size)])
        return kept[:, 0].astype(np.int32), kept[:, 1].astype(np.float32)

    def close(self) -> None:
        """Free the chain and its samplers."""
        if self._chain:
            self._lib.llama_sampler_free(self._chain)
            self._chain = None

    def __enter__(self) -> SamplerChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
