"""The embedded engine on the packaged model, against llama-cpp-python's own calls, which are another build."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from llama_cpp import Llama

from workbook import models
from workbook.engines import Context, cpp_server, llama
from workbook.engines.embedded import Embedded
from workbook.errors import (
    BadOption,
    ContextOverflow,
    DamagedModel,
    EngineError,
    EngineTimeout,
    ModelNotFound,
    NotJSON,
    OutOfMemory,
    StreamBroken,
)

sys.path.insert(0, str(Path(__file__).parent / "contract"))
from toolish import THOUGHT, written

PROMPT = "The capital of France is"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine():
    with Embedded(n_threads=1) as ready:
        yield ready


@pytest.fixture(scope="module")
def oracle():
    ready = Llama(str(models.packaged()), n_ctx=512, n_threads=1, verbose=False)
    yield ready
    ready.close()


@pytest.mark.parametrize("prompt", ["Water boils at", "1, 2, 3, 4,"])  # at others, roundings part in near ties
def test_greedy_text_and_counts_equal_the_high_level_call(engine, oracle, prompt):
    ours = engine.complete(prompt, temperature=0, num_predict=24)
    theirs = oracle.create_completion(prompt, temperature=0, max_tokens=24, repeat_penalty=1.0)
    assert ours.text == theirs["choices"][0]["text"]
    assert ours.n_prompt == theirs["usage"]["prompt_tokens"]
    assert ours.n_gen == theirs["usage"]["completion_tokens"]
    assert ours.finish_reason == theirs["choices"][0]["finish_reason"]


def test_chat_uses_the_models_own_template(engine, oracle):
    messages = [{"role": "user", "content": "Name three colours."}]
    ours = engine.chat(messages, temperature=0, num_predict=16)
    theirs = oracle.create_chat_completion(messages, temperature=0, max_tokens=16, repeat_penalty=1.0)
    assert ours.n_prompt == theirs["usage"]["prompt_tokens"]
    assert ours.text.strip() == theirs["choices"][0]["message"]["content"].strip()


def test_a_stream_is_the_same_answer_in_pieces(engine):
    whole = engine.chat("Count to ten.", temperature=0, num_predict=20)
    stream = engine.chat("Count to ten.", temperature=0, num_predict=20, stream=True)
    pieces = list(stream)
    assert len(pieces) > 5
    assert "".join(pieces) == whole.text == stream.answer.text
    assert 0 < stream.answer.ttft_ns < stream.answer.total_ns
    assert whole.ttft_ns is None, "without a stream nobody saw the first piece"
    known = {k for k, v in vars(stream.answer).items() if k.endswith("_ns") or k.startswith("n_") if v is not None}
    assert known == set(stream.answer.sources)


def test_what_the_last_request_computed_is_not_computed_again_and_changes_nothing(engine):
    engine.unload()
    first = engine.complete("One two three four five six", temperature=0, num_predict=8)
    again = engine.complete("One two three four five six", temperature=0, num_predict=8)
    assert first.n_cached == 0
    assert again.n_cached == first.n_prompt - 1
    assert again.text == first.text


def test_leaving_a_stream_stops_it_and_the_next_answer_is_right(engine):
    expected = engine.complete(PROMPT, temperature=0, num_predict=12).text
    stream = engine.complete("Once upon a time", stream=True, num_predict=2000)
    for _ in zip(stream, range(3), strict=False):
        pass
    stream.close()
    assert engine.complete(PROMPT, temperature=0, num_predict=12).text == expected


@pytest.mark.parametrize("between", ["complete", "another num_ctx", "unload"])
def test_a_stream_that_another_request_interrupts_says_so(engine, between):
    stream = iter(engine.complete(PROMPT, stream=True, temperature=0, num_predict=50))
    next(stream)
    if between == "unload":
        engine.unload()
    else:
        engine.complete("Other", temperature=0, num_predict=2, num_ctx=2048 if between == "complete" else 512)
    with pytest.raises(StreamBroken, match="another request"):
        list(stream)
    assert engine.complete(PROMPT, temperature=0, num_predict=2).text.strip().startswith("Paris")


def test_a_model_that_is_dropped_is_freed():
    freed = []
    model = llama.Model(n_ctx=64, n_threads=1)
    weakref.finalize(model, freed.append, True)
    end = model._end
    del model
    gc.collect()
    assert freed == [True]
    assert not end.alive
    with llama.Model(n_ctx=64, n_threads=1) as closed:
        pass
    closed.close()  # twice is once
    for ask in (lambda: closed.text([1, 2]), lambda: closed.tokenize("a"), lambda: closed.decode([1])):
        with pytest.raises(EngineError, match="closed"):  # not a crash of the process
            ask()


def test_embed_refuses_what_makes_no_embeddings(engine, tmp_path):
    with pytest.raises(BadOption, match="makes no embeddings"):
        engine.embed(["a"], model="SmolLM2-135M-Instruct.Q4_1")


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """A model whose template knows thinking, and a talk that shows it how."""
    with Embedded(n_threads=1) as ready:
        ready.path = written(tmp_path_factory.mktemp("thinker") / "thinker.gguf")
        yield ready


def test_thinking_stands_apart_or_is_left_out(thinker):
    asked = {"temperature": 0, "num_predict": 40}
    stream = thinker.chat(THOUGHT, think=True, stream=True, **asked)
    pieces = list(stream.pieces())
    assert "".join(p.thinking for p in pieces) == stream.answer.thinking
    assert (stream.answer.thinking.strip(), stream.answer.text) == ("I know Berlin.", "In Germany.")
    plain = thinker.chat(THOUGHT, **asked)
    assert (plain.thinking, plain.text.strip()) == (None, "In Germany.")
    constrained = thinker.chat(THOUGHT, think=True, format={"enum": ["here", "there"]}, **asked)
    assert (constrained.thinking, constrained.json() in ("here", "there")) == (None, True)


def test_a_seed_repeats_and_another_does_not(engine):
    draws = {seed: engine.complete("Colours:", seed=seed, temperature=1.5, num_predict=12).text for seed in (1, 2, 3)}
    assert len(set(draws.values())) == 3
    assert engine.complete("Colours:", seed=2, temperature=1.5, num_predict=12).text == draws[2]


def test_the_repetition_penalty_sees_the_prompt(engine):
    prompt = "red red red red red red red red"
    assert engine.complete(prompt, temperature=0, num_predict=4).text.split()[0] == "red"
    assert "red" not in engine.complete(prompt, temperature=0, num_predict=4, repeat_penalty=10.0).text.split()


def test_every_step_of_the_chain_is_sent(engine):
    free = engine.complete(PROMPT, temperature=0, num_predict=8).text
    for narrow in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        wide = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temperature": 5.0, "num_predict": 8}
        assert engine.complete(PROMPT, **{**wide, **narrow}).text == free
        assert engine.complete(PROMPT, **wide).text != free


def test_stop_and_length(engine):
    stopped = engine.complete("1, 2, 3, 4,", temperature=0, stop=["8"], num_predict=40)
    assert (stopped.finish_reason, stopped.text.strip()) == ("stop", "5, 6, 7,")
    cut = engine.complete("1, 2, 3, 4,", temperature=0, num_predict=5)
    assert (cut.finish_reason, cut.n_gen) == ("length", 5)
    full = engine.complete("1, 2, 3, 4,", temperature=0, num_predict=500, num_ctx=32)
    assert full.finish_reason == "length"
    assert full.n_prompt + full.n_gen == 32, "num_ctx itself, not what llama.cpp rounds it up to"
    spoken = engine.chat("What is 2 + 2?", temperature=0, num_predict=40, stop=["", "4"])
    assert (spoken.finish_reason, "4" in spoken.text) == ("stop", False)


def test_json_follows_the_schema(engine):
    answer = engine.chat("Name a big city.", temperature=1.0, format=SCHEMA, num_predict=80)
    jsonschema.validate(answer.json(), SCHEMA)
    with pytest.raises(NotJSON, match="num_predict"):
        engine.chat("Name a big city.", format=SCHEMA, num_predict=3).json()


def test_errors_are_one_line_with_what_to_do(engine, tmp_path):
    damaged = tmp_path / "half.gguf"
    damaged.write_bytes(models.packaged().read_bytes()[:200_000])
    cases = [
        (ContextOverflow, "num_ctx", lambda: engine.chat("word " * 100, num_ctx=64)),
        (OutOfMemory, "smaller", lambda: Embedded().chat("hi", num_ctx=2**24)),
        (OutOfMemory, "smaller", lambda: Embedded().chat("hi", num_ctx=2**23)),
        (ContextOverflow, "8192", lambda: engine.complete("word " * 8200, num_ctx=16384)),
        (BadOption, "think", lambda: engine.chat("hi", think=True)),
        (BadOption, "schema", lambda: engine.chat("hi", format={"type": "nonsense"})),
        (BadOption, "empty", lambda: engine.complete("")),
        (BadOption, "content", lambda: engine.chat([{"role": "user"}])),
        (BadOption, "refuses", lambda: engine.complete("half a pair: \ud800")),
        (ContextOverflow, "512", lambda: engine.embed(["a cat", "word " * 600])),
        (DamagedModel, "half.gguf", lambda: cpp_server.load(damaged, 256, engine.context)),
        (BadOption, "flash_attn", lambda: cpp_server.load(models.packaged(), 256, Context(flash_attn="perhaps"))),
        (BadOption, "flash_attn", lambda: llama.Model(flash_attn="perhaps")),
        (BadOption, "ggml", lambda: llama.Model(type_k="q9")),
        (ModelNotFound, "Installed", lambda: Embedded("no-such-model")),
        (DamagedModel, "half.gguf", lambda: llama.Model(damaged)),
        (EngineTimeout, "timeout_s", lambda: engine.complete("word " * 1200, timeout_s=0.001)),
    ]
    for kind, word, provoke in cases:
        with pytest.raises(kind) as caught:
            provoke()
        line = str(caught.value)
        assert word in line
        assert "\n" not in line
        assert str(tmp_path) not in line
        assert line.rstrip().endswith((".", ")")) or "http" in line
    assert engine.complete(PROMPT, temperature=0, num_predict=2).text, "the engine goes on after each of them"


@pytest.mark.skipif(os.name != "posix", reason="a signal for one thread")
def test_ctrl_c_is_heard_while_a_prompt_is_read(engine):
    main, started = threading.main_thread().ident, time.monotonic()
    threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        engine.complete("word " * 6000, num_ctx=8192)  # 20 s and more
    assert time.monotonic() - started < 10
    assert engine.complete(PROMPT, temperature=0, num_predict=2).text.strip().startswith("Paris")


ENDS = """
import os, sys
from workbook.engines import connect
engine = connect("embedded", quiet=True)
assert os.environ["GOMP_SPINCOUNT"] == "1000"
stream = iter(engine.chat("Count to a hundred.", stream=True, num_predict=60))
engine.embed(["a cat"])
print(next(stream), flush=True)
{end}
"""


def test_twenty_processes_two_at_once_answer_and_end():
    env = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | {"WORKBOOK_THREADS": "2"}
    for turn in range(10):
        ends = ("", "list(stream)", "raise SystemExit(0)", "del engine, stream", "engine.unload()")
        both = [
            subprocess.Popen([sys.executable, "-c", ENDS.format(end=end)], env=env, stdout=subprocess.PIPE, text=True)
            for end in (ends[turn % 5], ends[0])
        ]
        for process in both:
            said, _ = process.communicate(timeout=60)
            assert (process.returncode, bool(said.strip())) == (0, True)


def test_embeddings_are_of_length_one_and_near_in_meaning(engine):
    cat, kitten, tax = np.array(engine.embed(["a cat", "a small kitten", "income tax law"]))
    assert np.linalg.norm(cat) == pytest.approx(1, abs=1e-4)
    assert cat @ kitten > cat @ tax + 0.2
    assert engine.embed([]) == []


def test_info_names_the_file_by_its_hash(engine):
    info = engine.info()
    assert (info.quant, info.digest, info.model_n_params) == ("Q4_1", models.SMOLLM2_SHA256, 134_515_008)
    assert "AVX" in info.build_info or "NEON" in info.build_info
    assert any(m.name.startswith("SmolLM2") for m in engine.models())


def test_the_log_is_kept_and_not_shown(capfd):
    with llama.Model(n_ctx=64, n_threads=1) as model:
        model.decode(model.tokenize(PROMPT))
    assert capfd.readouterr() == ("", "")
    assert "llama_model_loader" in llama.log()


@pytest.mark.parametrize("text", ["", "été", "🐦 bleu", "a\x00b", "<|im_start|>", "日本語", " spaces  and\n\ttabs "])
def test_tokens_carry_the_text_whole(text):
    with llama.Model(n_ctx=64, n_threads=1) as model:
        assert model.text(model.tokenize(text)) == text


def test_logits_do_not_depend_on_the_batch(engine):
    tokens = list(range(100, 160))
    with llama.Model(n_ctx=128, n_threads=1, n_batch=64) as a, llama.Model(n_ctx=128, n_threads=1, n_batch=7) as b:
        a.decode(tokens)
        b.decode(tokens)
        assert int(a.logits().argmax()) == int(b.logits().argmax())
        assert np.abs(a.logits() - b.logits()).max() < 0.5
        before = a.logits()
        a.reset(keep=30)
        a.decode(tokens[30:])
        assert np.abs(a.logits() - before).max() < 0.5
        assert a.n_past == 60
