"""One contract, every engine: embedded, the real Ollama, and its OpenAI-compatible endpoint."""

import jsonschema
import numpy as np
import pytest
from calls import SCHEMA
from servers import NAME, free_port, llama_serving, ollama_serving

from workbook import errors
from workbook.engines import connect
from workbook.engines.embedded import Embedded

QUESTION = "Name three colours."


def _connected(name):
    return connect(name, None if name == "embedded" else NAME, quiet=True)


@pytest.fixture(params=["embedded", "ollama", "openai"])
def engine(request, at_ollama):
    with _connected(request.param) as ready:
        yield ready


@pytest.fixture(params=["embedded", "ollama"])
def whole_engine(request, at_ollama):
    """Without Ollama's /v1: it has no raw prompt and no repetition penalty, and cuts what does not fit in silence."""
    with _connected(request.param) as ready:
        yield ready


def test_an_answer_and_its_figures(engine):
    answer = engine.chat(QUESTION, temperature=0, num_predict=16)
    assert answer.text.strip()
    assert answer.finish_reason in ("stop", "length")
    assert answer.n_prompt > 5
    assert 0 < answer.n_gen <= 16
    assert answer.total_ns > 0
    assert 0 not in (answer.prompt_ns, answer.gen_ns), "what is not known is None, never 0"
    assert answer.thinking is None
    told = {k for k, v in vars(answer).items() if (k.endswith("_ns") or k.startswith("n_")) and v is not None}
    assert told == set(answer.sources)


def test_a_stream_says_the_same_in_pieces(engine):
    whole = engine.chat(QUESTION, temperature=0, num_predict=16)
    stream = engine.chat(QUESTION, temperature=0, num_predict=16, stream=True)
    pieces = list(stream)
    assert len(pieces) > 3
    assert "".join(pieces) == stream.answer.text == whole.text
    assert 0 < stream.answer.ttft_ns <= stream.answer.total_ns
    assert stream.answer.tg_ts > 0


def test_a_raw_prompt_greedily_continued_is_the_same_everywhere(whole_engine, at_ollama):
    ours = Embedded(n_threads=1).complete("The capital of France is", temperature=0, num_predict=8)
    theirs = whole_engine.complete("The capital of France is", temperature=0, num_predict=8)
    assert theirs.text == ours.text
    assert theirs.n_prompt == ours.n_prompt


def test_the_repetition_penalty_sees_the_prompt_everywhere(whole_engine):
    prompt = "red red red red red red red red"
    assert whole_engine.complete(prompt, temperature=0, num_predict=4).text.split()[0] == "red"
    assert "red" not in whole_engine.complete(prompt, temperature=0, num_predict=4, repeat_penalty=10.0).text.split()


def test_a_seed_repeats_itself(engine):
    first, second = (engine.chat(QUESTION, seed=7, temperature=1.2, num_predict=10).text for _ in range(2))
    other = engine.chat(QUESTION, seed=8, temperature=1.2, num_predict=10).text
    assert first == second != other


def test_length_and_stop(engine):
    cut = engine.chat("Count from 1 to 100.", temperature=0, num_predict=5)
    assert (cut.finish_reason, cut.n_gen) == ("length", 5)
    spoken = engine.chat(QUESTION, temperature=0, num_predict=24).text
    stop = spoken.split()[3]
    assert engine.chat(QUESTION, temperature=0, num_predict=24, stop=[stop]).text == spoken[: spoken.index(stop)]


def test_json_to_a_schema(engine):
    jsonschema.validate(engine.chat("Name a big city.", temperature=1.0, format=SCHEMA, num_predict=60).json(), SCHEMA)
    with pytest.raises(errors.NotJSON):
        engine.chat("Name a big city.", temperature=0, format=SCHEMA, num_predict=2).json()
    with pytest.raises(errors.BadOption):
        engine.chat("hi", format={"type": "nonsense"})


def test_embeddings_agree(engine):
    texts = ["a cat", "Un chat dort sur le canapé.", "income tax law"]
    ours = np.array(Embedded().embed(texts))
    theirs = np.array(engine.embed(texts, model="all-minilm"))
    assert np.linalg.norm(theirs, axis=1) == pytest.approx(1, abs=1e-3)
    assert (ours * theirs).sum(axis=1).min() > 0.999


def test_a_prompt_that_does_not_fit_is_refused_and_not_cut(whole_engine):
    with pytest.raises(errors.ContextOverflow) as caught:
        whole_engine.chat("word " * 9000, num_ctx=512, num_predict=4)
    assert "\n" not in str(caught.value)


def test_impossible_requests_are_one_line(engine):
    with pytest.raises(errors.BadOption):
        engine.chat("hi", tempo=3)
    with pytest.raises(errors.EngineTimeout, match="timeout_s"):
        engine.chat("word " * 1500, timeout_s=0.01, num_predict=4)
    assert engine.chat("hi", num_predict=2, temperature=0).text, "and the next request is answered"


def test_thinking_is_refused_by_a_model_that_cannot(at_ollama):
    for name in ("embedded", "ollama"):
        with _connected(name) as engine, pytest.raises(errors.BadOption, match="think"):
            engine.chat("hi", think=True)


def test_info_tells_what_answers(engine):
    info = engine.info()
    assert info.engine == engine.name
    assert info.model in str(info)
    if engine.name != "openai":
        assert (info.quant, info.model_n_params) == ("Q4_1", 134_515_008)
    assert info.pids, "the processes to watch are known on one's own machine"
    assert any(NAME in m.name or "SmolLM2" in m.name for m in engine.models())


def test_connect_takes_the_ollama_that_answers_or_says_that_none_does(at_ollama, monkeypatch, capsys):
    engine = connect()
    assert engine.name == "ollama"
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{free_port()}")
    engine = connect()
    assert engine.name == "embedded"
    assert "no Ollama at 127.0.0.1" in capsys.readouterr().out
    with pytest.raises(errors.ServerNotFound, match="ollama serve"):
        connect("ollama")


def test_connect_to_an_ollama_without_models(ollama_there, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("WORKBOOK_ENGINE", raising=False)
    with ollama_serving(tmp_path, with_models=False) as empty:
        monkeypatch.setenv("OLLAMA_HOST", empty.url)
        assert connect().name == "embedded"
        assert "has no model" in capsys.readouterr().out
        with pytest.raises(errors.NoModel, match="ollama pull"):
            connect("ollama")


def test_an_unknown_model_is_answered_with_the_nearest(at_ollama):
    assert connect("ollama", "registry.ollama.ai/library/SmolLM2:135m").model == NAME
    with pytest.raises(errors.ModelNotFound, match=r"Did you mean smollm2:135m\?"):
        connect("ollama", "smolm2:135m")
    with pytest.raises(errors.ModelNotFound, match="Nor has Ollama"):
        connect(model="no-such-model")
    with pytest.raises(errors.ModelNotFound):
        connect("openai", "no-such-model", quiet=True).chat("hi")


def test_a_server_that_dies_in_mid_stream_is_told_so(ollama, tmp_path, monkeypatch):
    for name in ("ollama", "openai"):
        with ollama_serving(tmp_path / name, like=ollama) as doomed:
            monkeypatch.setenv("OLLAMA_HOST", doomed.url)
            monkeypatch.setenv("OPENAI_BASE_URL", doomed.url + "/v1")
            pieces = iter(connect(name, NAME, quiet=True).chat("Tell a long story.", stream=True, num_predict=1500))
            assert next(pieces)
            doomed.kill()
            with pytest.raises(errors.StreamBroken, match="mid-answer"):
                list(pieces)
            with pytest.raises(errors.ServerNotFound):
                connect(name)


def test_keys_missing_wrong_and_right(llama_server_there, tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.KeyMissing, match="OPENAI_API_KEY"):
        connect("openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openrouter.ai/api/v1")
    with pytest.raises(errors.KeyMissing, match="OPENROUTER_API_KEY"):
        connect("openai")
    with llama_serving(tmp_path, key="open-sesame-1234") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "open-simsim-5678")
        with pytest.raises(errors.KeyWrong) as caught:
            connect("openai", "smollm2", quiet=True).chat("hi")
        assert "simsim" not in str(caught.value)
        monkeypatch.setenv("OPENAI_API_KEY", "open-sesame-1234")
        engine = connect("openai", quiet=True)
        plain = engine.chat(QUESTION, temperature=0, num_predict=12)
        assert plain.text.strip()
        prompt = "red red red red red red red red"
        assert "red" in engine.complete(prompt, temperature=0, num_predict=4).text
        assert "red" not in engine.complete(prompt, temperature=0, num_predict=4, repeat_penalty=10.0).text
        jsonschema.validate(engine.chat("A city.", format=SCHEMA, num_predict=80).json(), SCHEMA)
        with pytest.raises(errors.ContextOverflow):
            engine.chat("word " * 3000, num_predict=4)
