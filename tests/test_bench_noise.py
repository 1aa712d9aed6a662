"""What makes a repetition doubtful, and where its memory, energy and counts come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench_samples import Scripted

from programs.bench import counts, energy, memory, noise, recorder
from programs.bench.cells import Attempt
from programs.bench.fields import Outcome, Resources, Setup
from programs.bench.here import machine_facts
from programs.bench.sampler import Sampler
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


def rapl(root: Path, name: str = "package-0", uj: str = "1000000", most: str = "5000000") -> Path:
    zone = root / "intel-rapl:0"
    zone.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", name), ("energy_uj", uj), ("max_energy_range_uj", most)):
        (zone / file).write_text(text + "\n")
    return zone


def test_energy_by_rapl(tmp_path: Path) -> None:
    zone = rapl(tmp_path)
    counter = energy.Energy(tmp_path)
    (zone / "energy_uj").write_text("4000000\n")
    assert counter.used(0.001).joules == pytest.approx(3.0)
    (zone / "energy_uj").write_text("500000\n")
    assert counter.used(0.001).joules == pytest.approx(4.5, abs=1e-4), "it went past its limit and began again"
    assert "too long" in (counter.used(60.0).why_not or "")
    fields = counter.used(0.001).beside(2000.0, 0.001)
    assert fields["energy_j"] == pytest.approx(4.5 + 2.0, abs=1e-4)
    assert (fields["energy_source"], fields["energy_missing"]) == ("rapl + nvidia-smi", None)
    (zone / "energy_uj").write_text("what")
    assert counter.used(0.001).joules is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda root: None, "no energy counters"), (lambda root: rapl(root, name="core"), "no energy counters"),
        (lambda root: rapl(root, uj="x"), "cannot be read"), (lambda root: rapl(root, most="0"), "cannot be read"),
        (lambda root: (rapl(root) / "energy_uj").unlink(), "cannot be read"),
    ],
)  # fmt: skip
def test_energy_that_cannot_be_read_is_null_with_its_reason(tmp_path: Path, make: Any, says: str) -> None:
    make(tmp_path)
    fields = energy.Energy(tmp_path).used(1.0).beside(None, 1.0)
    assert (fields["energy_j"], fields["power_mean_w"], fields["energy_source"]) == (None, None, None)
    assert says in fields["energy_missing"]


def test_energy_that_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rapl(tmp_path)

    def closed(path: Path) -> int:
        raise PermissionError(path.name)

    monkeypatch.setattr(energy, "_number", closed)
    assert "only root" in (energy.Energy(tmp_path).used(1.0).why_not or "")


def test_throttling_is_counted_over_all_cores(tmp_path: Path) -> None:
    assert energy.throttle_count(tmp_path) is None
    for core, count in ((0, "3"), (1, "4"), (2, "?")):
        folder = tmp_path / f"cpu{core}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(count)
    assert energy.throttle_count(tmp_path) == 7


def test_memory_by_the_kernels_words(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "status").write_text("Name:\tx\nRssAnon:\t 100 kB\nRssFile:\t 30 kB\nRssShmem:\t 2 kB\nThreads:\t4\n")
    assert memory.split(7, tmp_path) == memory.Split(102 * 1024, 30 * 1024)
    assert memory.split(8, tmp_path) == memory.Split()
    assert memory.shared_fairly([7], tmp_path) == memory.Shared()
    (folder / "smaps_rollup").write_text(
        "0-1 ---p\nPss:  50 kB\nPrivate_Clean: 5 kB\nPrivate_Dirty: 20 kB\nRss: junk kB\n"
    )
    assert memory.shared_fairly([7, 8], tmp_path) == memory.Shared(50 * 1024, 25 * 1024)


MAPS = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sum(weights[i] for i in range(0, len(weights), 4096))
own = bytearray(60 * 2**20); own[::4096] = b"x" * len(own[::4096])
print("on", flush=True); input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone splits resident memory")
def test_mapped_weights_are_told_apart_from_the_engines_own_memory(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"w" * (200 * 2**20))
    child = subprocess.Popen([sys.executable, "-c", MAPS, str(weights)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"on"
        with Sampler([child.pid]) as sampler:
            pass
        used = sampler.resources()
    finally:
        child.kill()
        child.communicate(timeout=20)
    own, mapped, rss = used.rss_anon_peak_bytes, used.rss_file_peak_bytes, used.rss_peak_bytes
    assert own is not None
    assert mapped is not None
    assert rss is not None
    assert 60 * 2**20 <= own < 100 * 2**20
    assert 200 * 2**20 <= mapped < 240 * 2**20
    assert rss == pytest.approx(own + mapped, rel=0.05)
    assert used.pss_end_bytes is not None
    assert 255 * 2**20 < used.pss_end_bytes <= rss


def test_tokens_counted_again_by_the_models_own_tokenizer() -> None:
    path = models.packaged()
    with Embedded(n_threads=1) as engine:
        assert counts.model_file(engine) == path
        answer = engine.chat("Say hello.", temperature=0, num_predict=20)
    counted, thought = counts.again(path, answer)
    assert counted == answer.n_gen
    assert thought is None
    loud = Answer("one two", "x", "m", thinking="three four five", finish_reason="stop")
    total, thought = counts.again(path, loud)
    assert thought is not None
    assert total == thought + 2 + 1, "two words, and the token that ends the answer"
    assert counts.again(None, answer) == (None, None)
    assert counts.again(Path(__file__), answer) == (None, None), "no model file"


def test_a_model_is_found_under_exactly_its_name() -> None:
    whole = models.local_ggufs()[0].name
    assert counts.model_file(Scripted(model=whole)) == models.packaged()
    assert counts.model_file(Scripted(model=whole[:8])) is None, "a name that begins alike may be another model"


class Loads:
    """A cell whose model takes a second to load, and again when the script says so."""

    pids = ()
    setup = Setup(method="server-timings", prompt_id="chat-story", engine="ollama", model_name="m")

    def __init__(self, *load_ns: int) -> None:
        self.load_ns = load_ns

    def seed(self, rep: int) -> int:
        return 42 + rep

    def prefix(self, rep: int) -> str | None:
        return None

    def run(self, rep: int) -> Attempt:
        return Attempt(Outcome(load_ns=self.load_ns[rep], n_gen=2, gen_ns=S))


def test_cold_and_warm_are_told_apart(tmp_path: Path) -> None:
    kept = recorder.Recorder(tmp_path / "x.jsonl", "0" * 12, machine_facts("here"))
    work = recorder.Work(Loads(S, 10**6, S - 10**6, 10**6), cold=True)
    records = list(kept.repeat(work, range(4)))
    kept.gpu.close()
    assert [r.cold for r in records] == [True, False, True, False]
    assert [("loaded again" in " ".join(r.warnings)) for r in records] == [False, False, True, False]
    assert [r.seed for r in records] == [42, 43, 44, 45]
