"""Page 23: its rules for adapters and for drafts, confronted with llama.cpp itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import page_cells
import pytest

from workbook import models

llama_cpp = pytest.importorskip("llama_cpp")

CELLS = page_cells.load("2_apis/23_llama_cpp.ipynb")


def run(*ids: str, **given: Any) -> Any:
    opened = {name: getattr(llama_cpp, name) for name in ("Llama", "LlamaGrammar")}
    return page_cells.run(CELLS, *ids, **(opened | {"path": models.packaged(), "cores": 1} | given))


@pytest.fixture(autouse=True)
def log_of_the_library() -> Iterator[None]:
    """llama.cpp logs to one place in a process: here the library's, as in the page, afterwards the engines' again."""
    from workbook.engines import native

    native.library()
    llama_cpp.llama_log_set(llama_cpp._logger.llama_log_callback, ctypes.c_void_p(0))
    yield
    llama_cpp.llama_log_set(native._keep_callback(llama_cpp), ctypes.c_void_p(0))


def test_alpha_over_rank_is_the_factor(tmp_path: Path) -> None:
    """An adapter of rank 2 and alpha 8, against the formula of the page and of exercise 23.3."""
    texts = {"france": "The capital of France is", "story": "Once upon a time"}
    first = run("load-def")["load"](verbose=False)
    adapted = run("load-def", "untie", "final-state", "adapter", folder=tmp_path, m=first, **texts)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, adapted["A"].shape[1])).astype(np.float32)
    b = rng.normal(size=(adapted["B"].shape[0], 2)).astype(np.float32)
    file = adapted["folder"] / "two.gguf"
    writer = gguf.GGUFWriter(file, adapted["arch"])
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    writer.add_tensor("output.weight.lora_a", a)
    writer.add_tensor("output.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    load = adapted["load"]
    model = load(file=adapted["target"], logits_all=True, lora_path=str(file), lora_scale=0.5, verbose=False)
    change = adapted["logits"](model, "Two and two make") - adapted["logits"](adapted["m"], "Two and two make")
    product = b @ (a @ adapted["final_state"]("Two and two make"))
    model.close()
    assert np.allclose(change, 0.5 * 8 / 2 * product, atol=1e-3 * abs(product).max())
    assert not np.allclose(change, 0.5 * 8 * product, atol=1e-1)
    adapted["m"].close()


def test_passes_are_what_the_model_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page counts passes by the drafts asked for; here by the calls of the model itself."""
    calls: list[int] = []
    evaluate = llama_cpp.Llama.eval
    monkeypatch.setattr(
        llama_cpp.Llama, "eval", lambda self, tokens: (calls.append(len(tokens)), evaluate(self, tokens))
    )
    space = run("load-def", "draft-def")
    answer, _, passes, proposed = space["with_drafts"]("red green blue red green blue red green", 24)
    n = answer["usage"]["completion_tokens"]
    assert passes == len(calls)
    assert proposed == sum(calls[1:]) - len(calls[1:])
    assert 0 < n - passes <= proposed
