"""What makes a repetition doubtful, and where its memory, energy and counts come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_samples import Scripted

from programs.bench import measure, noise, plan, recorder
from programs.bench.fields import Outcome, Resources, Setup
from workbook import models
from workbook.engines import Answer
from workbook.engines.embedded import Embedded

S = 10**9


@pytest.mark.parametrize(
    ("used", "says"),
    [
        ({"other_load_pct": 11.0}, "other programs"), ({"swap_delta_bytes": 10**8}, "100 MB went to swap"),
        ({"on_battery": True}, "battery"), ({"throttled": True}, "slowed itself"), ({"temp_max_c": 95.0}, "95 °C"),
        ({"cpu_freq_mean": 3000.0, "cpu_freq_min": 1500.0}, "fell to 1500 MHz"),
    ],
)  # fmt: skip
def test_noise_is_warned_of(used: dict[str, Any], says: str) -> None:
    (found,) = noise.warnings(Outcome(), Resources(**used))
    assert says in found


def test_quiet_and_unknown_are_not_warned_of() -> None:
    quiet = Resources(
        other_load_pct=9.0, swap_delta_bytes=-(10**9), on_battery=False, throttled=False, temp_max_c=80.0,
        cpu_freq_mean=3000.0, cpu_freq_min=2900.0,
    )  # fmt: skip
    good = Outcome(
        n_prompt=100, n_cached=5, gen_ns=S, stream_ns=S, n_gen=100, n_gen_tokenizer=101, finish_reason="length"
    )
    assert noise.warnings(good, quiet) == ()
    assert noise.warnings(Outcome(), Resources()) == ()


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"gen_ns": S, "stream_ns": 2 * S}, "the engine says 1.00 s of generation, the stream took 2.00 s"),
        ({"n_gen": 100, "n_gen_tokenizer": 120}, "counts 100 tokens, the model's tokenizer 120"),
        ({"n_gen": 100, "n_gen_tokenizer": 20}, "counts 100 tokens"),
        ({"n_prompt": 44, "n_cached": 43}, "43 of 44 prompt tokens were cached"),
        ({"finish_reason": "aborted"}, "without a last line"),
    ],
)
def test_figures_that_disagree_are_doubted(outcome: dict[str, Any], says: str) -> None:
    (found,) = noise.warnings(Outcome(**outcome), Resources())
    assert says in found


def test_a_machine_that_slept_makes_a_repetition_invalid() -> None:
    assert noise.invalid(10.0, 9.9) is None
    assert "slept" in (noise.invalid(3600.0, 10.0) or "")
    assert "slept" in (noise.invalid(1.0, 100.0) or ""), "a clock set back"


def test_tokens_counted_again_by_the_models_own_tokenizer() -> None:
    path = models.packaged()
    with Embedded(n_threads=1) as engine:
        assert measure.model_file(engine) == path
        answer = engine.chat("Say hello.", temperature=0, num_predict=20)
    counted, thought = measure.count_again(path, answer)
    assert counted == answer.n_gen
    assert thought is None
    loud = Answer("one two", "x", "m", thinking="three four five", finish_reason="stop")
    total, thought = measure.count_again(path, loud)
    assert thought is not None
    assert total == thought + 2 + 1, "two words, and the token that ends the answer"
    assert measure.count_again(None, answer) == (None, None)
    assert measure.count_again(Path(__file__), answer) == (None, None), "no model file"


def test_a_model_is_found_under_exactly_its_name() -> None:
    whole = models.local_ggufs()[0].name
    assert measure.model_file(Scripted(model=whole)) == models.packaged()
    assert measure.model_file(Scripted(model=whole[:8])) is None, "a name that begins alike may be another model"


class Loads:
    """A cell whose model takes a second to load, and again when the script says so."""

    pids, prefix, base_seed, cold, model_file = (), staticmethod(lambda rep: None), 42, True, None
    setup = Setup(method="server-timings", prompt_id="chat-story", engine="ollama", model_name="m")

    def __init__(self, *load_ns: int) -> None:
        self.load_ns = load_ns

    def run(self, rep: int) -> tuple[Outcome, None]:
        return Outcome(load_ns=self.load_ns[rep], n_gen=2, gen_ns=S), None


def test_cold_and_warm_are_told_apart(tmp_path: Path) -> None:
    asked = plan.usual("m", 3)
    kept = recorder.Recorder(tmp_path, "here", asked.hash("ollama"))
    work: Any = Loads(S, 10**6, S - 10**6, 10**6)
    records = list(kept.repeat(work, asked.cells()[2], 3))
    assert [r.cold for r in records] == [True, False, True, False]
    assert [("loaded again" in " ".join(r.warnings)) for r in records] == [False, False, True, False]
    assert [r.seed for r in records] == [42, 43, 44, 45]
