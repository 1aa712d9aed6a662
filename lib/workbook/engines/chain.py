"""llama.cpp's own sampler chain: penalties, top-k, top-p, min-p, temperature, draw."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbook.engines import native
from workbook.engines.types import Options
from workbook.errors import BadOption, EngineError

REPEAT_LAST_N = 64
"""How many tokens back the repetition penalty looks: the default of llama.cpp and of Ollama."""


def grammar_of(schema: Mapping[str, Any]) -> str:
    """The GBNF grammar of a JSON schema. Raises BadOption where llama.cpp's converter cannot read it."""
    native.library()
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as error:  # noqa: BLE001  the converter raises whatever the schema makes it stumble over
        raise BadOption(f"format: llama.cpp cannot use this JSON schema ({type(error).__name__}: {error}).") from None


class Chain:
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
        for sampler in self._steps(n_vocab, options, penalized):
            lib.llama_sampler_chain_add(self._chain, sampler)

    def _steps(self, n_vocab: int, o: Options, penalized: Sequence[int]) -> list[Any]:
        lib = self._lib
        penalties = lib.llama_sampler_init_penalties(n_vocab, REPEAT_LAST_N, o.repeat_penalty, 0.0, 0.0)
        for token in penalized[-REPEAT_LAST_N:]:
            lib.llama_sampler_accept(penalties, token)
        if o.temperature == 0:
            return [penalties, lib.llama_sampler_init_greedy()]
        return [
            penalties,
            lib.llama_sampler_init_top_k(o.top_k),
            lib.llama_sampler_init_top_p(o.top_p, 1),
            lib.llama_sampler_init_min_p(o.min_p, 1),
            lib.llama_sampler_init_temp(o.temperature),
            lib.llama_sampler_init_dist(o.seed),
        ]

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

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
