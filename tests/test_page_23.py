"""Page 23: what it says of llama-cpp-python, of adapters, states and drafts, confronted with llama.cpp itself."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import nbformat
import numpy as np
import pytest

from workbook import facts, models, paths
from workbook.engines import Options
from workbook.engines.llama import Model

llama_cpp = pytest.importorskip("llama_cpp")

PAGE = paths.root() / "notebooks" / "2_apis" / "23_llama_cpp.ipynb"
CELLS = {cell.id: cell.source for cell in nbformat.read(PAGE, 4).cells if cell.cell_type == "code"}
KNOWN = {
    "contextlib": contextlib, "io": io, "json": json, "logging": logging, "re": re, "subprocess": subprocess,
    "sys": sys, "time": time, "Path": Path, "gguf": gguf, "np": np, "paths": paths, "cores": 1,
    "Llama": llama_cpp.Llama, "LlamaGrammar": llama_cpp.LlamaGrammar,
}  # fmt: skip


def run(*names: str, **given: Any) -> dict[str, Any]:
    """The names that these cells of the page leave behind."""
    space: dict[str, Any] = {**KNOWN, "path": models.packaged(), **given}
    for name in names:
        exec(compile(CELLS[name], name, "exec", dont_inherit=True), space)
    return space


@pytest.fixture(autouse=True)
def log_of_the_library() -> Iterator[None]:
    """llama.cpp logs to one place in a process: here the library's, as in the page, afterwards the engines' again."""
    from workbook.engines import native

    native.library()
    llama_cpp.llama_log_set(llama_cpp._logger.llama_log_callback, ctypes.c_void_p(0))
    yield
    llama_cpp.llama_log_set(native._keep_callback(llama_cpp), ctypes.c_void_p(0))


@pytest.fixture(scope="module")
def page() -> Iterator[dict[str, Any]]:
    space = run("load-def")
    space["m"] = space["load"](logits_all=True, verbose=False)
    yield space
    space["m"].close()


def test_quiet_loading_hides_the_reason_and_loud_loading_gives_it(page: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(models.packaged().read_bytes()[:20_000_000])
    for verbose in (False, True):
        log = io.StringIO()
        with pytest.raises(ValueError, match="Failed to load"):
            page["load"](log, tmp_path / "cut.gguf", verbose=verbose)
        assert bool(page["said"](log, "not within the file bounds")) is verbose


def test_the_table_of_defaults_is_whole() -> None:
    """Its rows for llama.cpp are held by the contract lane, against llama-server."""
    given = facts.table("sampling_defaults")
    assert given.groupby("program")["setting"].nunique().to_dict() == {"Ollama": 8, "llama.cpp": 8}
    assert not given.duplicated(["setting", "program"]).any()
    assert given[["value", "source", "as_of"]].notna().all().all()


def test_the_rule_of_the_penalty_is_llama_cpps(page: dict[str, Any]) -> None:
    """The page's two lines of numpy against llama.cpp's own sampler; and the library's silence on the prompt."""
    space = run("penalty", m=page["m"])
    with Model(models.packaged(), n_ctx=512, n_threads=1, flash_attn="off") as model:
        tokens = model.tokenize(space["parrot"])
        for penalty, expected in ((1.0, space["plain"]), (1.5, space["with_prompt"])):
            model.reset()
            model.decode(tokens)
            ids, _ = model.distribution(Options(temperature=0, repeat_penalty=penalty), penalized=tokens)
            assert model.text([int(ids[0])]) == expected
    assert space["plain"] == space["penalized"] != space["with_prompt"]


@pytest.mark.parametrize("kind", ["City", "Named"])
def test_the_library_holds_lengths_and_choices_and_drops_limits(page: dict[str, Any], kind: str) -> None:
    space = run("schema", "yes-no", "schema-answer", "schema-named", m=page["m"])
    text, _ = space["as_json"](space[kind], max_tokens=80)
    answer = json.loads(text)
    assert answer.keys() == space[kind].model_fields.keys()
    assert len(answer["name"]) <= 12
    assert "40" not in space["grammar"]
    assert "metropolis" in space["grammar"]


def test_a_refused_answer_is_told_and_not_taken(page: dict[str, Any]) -> None:
    space = run("schema", "yes-no", "schema-answer", m=page["m"])
    space["ask"] = lambda *_, **__: '{"name": "Paris", "size": "city", "millions": 41}'
    _, city = space["as_json"](space["City"])
    assert city.startswith("millions Input should be")
    space["ask"] = lambda *_, **__: '{"name": "Paris", "size": "city", "millions": 2}'
    assert space["as_json"](space["City"])[1].millions == 2


@pytest.mark.parametrize(
    ("grammar", "lives"),
    [('root ::= "a" | [0-9]', True), ("root ::= [", False), ('root ::= "a" root?', True), ("root ::= root", False)],
)
def test_a_grammar_is_tried_where_a_crash_costs_nothing(grammar: str, lives: bool) -> None:
    exit_code, _ = run("child")["try_grammar"](grammar)
    assert (exit_code == 0) is lives


def test_a_saved_state_is_the_kv_cache_and_little_more(page: dict[str, Any]) -> None:
    m = page["load"](verbose=False)
    m.eval(m.tokenize(b"Three blind mice. " * 20))
    state = m.save_state()
    header = gguf.GGUFReader(models.packaged()).fields
    layers, heads, kv, width = (
        header[f"llama.{name}"].contents()
        for name in ("block_count", "attention.head_count", "attention.head_count_kv", "embedding_length")
    )
    cache = state.n_tokens * layers * 2 * kv * (width // heads) * 2
    assert cache < len(state.llama_state) < 1.01 * cache
    m.close()


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    space = run("load-def", "untie", "final-state", "adapter", **_prompts(), **_made(tmp_path_factory.mktemp("lora")))
    yield space
    space["m"].close()


def _prompts() -> dict[str, str]:
    return {"france": "The capital of France is", "story": "Once upon a time"}


def _made(folder: Path) -> dict[str, Any]:
    first = run("load-def")["load"](verbose=False)
    return {"folder": folder, "m": first}


def test_an_untied_copy_is_the_same_model(adapted: dict[str, Any], page: dict[str, Any]) -> None:
    text = "Water boils at"
    assert np.array_equal(adapted["logits"](adapted["m"], text), adapted["logits"](page["m"], text))


@pytest.mark.parametrize("scale", [3.0, -5.0])
def test_an_adapter_adds_what_the_formula_says(adapted: dict[str, Any], scale: float) -> None:
    file = str(adapted["folder"] / "lyon.gguf")
    model = adapted["load"](file=adapted["target"], logits_all=True, lora_path=file, lora_scale=scale, verbose=False)
    text = "Two and two make"
    change = adapted["logits"](model, text) - adapted["logits"](adapted["m"], text)
    predicted = scale * adapted["B"][:, 0] * (adapted["A"] @ adapted["final_state"](text))
    model.close()
    assert abs(change - predicted).max() < 1e-3
    assert abs(predicted).max() > 0.1
    assert abs(change + predicted).max() > 0.2  # the wrong sign is seen


def test_alpha_over_rank_is_the_factor(adapted: dict[str, Any]) -> None:
    """An adapter of rank 2 and alpha 8, against the formula of the page and of exercise 23.3."""
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


def test_passes_are_what_the_model_computed(page: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_reason_of_a_refused_cache_type_stands_in_the_log(page: dict[str, Any]) -> None:
    log = io.StringIO()
    with pytest.raises(ValueError, match="Failed to create"):
        page["load"](log, type_v=int(gguf.GGMLQuantizationType.Q8_0))
    assert page["said"](log, "requires flash_attn")
