"""Two sides: intervals against scipy, tables and known truths; what may not be compared; what a name stands for."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from bench_samples import run, sample
from scipy import stats as oracle

from programs.bench import compare as sides
from programs.bench import records, store
from programs.bench.fields import Record
from workbook.errors import BadOption, NotComparable

ONE, TWO, THREE = "a" * 12, "b" * 12, "c" * 12
STEADY = [100.0, 101, 99, 100.5, 99.5]


# Critical values of Mann and Whitney's U, two-sided 5%, as tables print them: the largest U that is significant.
@pytest.mark.parametrize(
    ("n_a", "n_b", "critical"),
    [(4, 4, 0), (5, 5, 2), (4, 7, 3), (6, 6, 5), (8, 8, 13), (10, 10, 23), (5, 10, 8), (15, 15, 64), (20, 20, 127), (10, 20, 55),
     (1, 1, -1), (3, 3, -1), (2, 7, -1), (1, 30, -1)],
)  # fmt: skip
def test_the_published_table(n_a: int, n_b: int, critical: int) -> None:
    assert sides.excluded(n_a, n_b) == sides.excluded(n_b, n_a) == critical + 1
    if critical < 0:
        assert sides.interval([1.0] * n_a, [5.0] * n_b) is None


@pytest.mark.parametrize(("n_a", "n_b"), [(4, 4), (5, 9), (20, 20)])
def test_the_chances_against_scipy(n_a: int, n_b: int) -> None:
    rng = np.random.default_rng(n_a * n_b)
    below = np.cumsum(sides.chances_of_u(n_a, n_b))
    assert below[-1] == pytest.approx(1)
    for shift in (0.0, 0.7, 3.0):
        u, p = oracle.mannwhitneyu(rng.normal(size=n_a), rng.normal(size=n_b) + shift, method="exact")
        assert min(1, 2 * below[int(min(u, n_a * n_b - u))]) == pytest.approx(p, rel=1e-9)


def test_the_interval_is_what_the_test_of_scipy_does_not_reject() -> None:
    rng = np.random.default_rng(3)
    a, b = np.exp(rng.normal(0, 0.1, 7)), np.exp(rng.normal(0.2, 0.1, 9))
    found = sides.interval(a, b)
    assert found is not None
    for factor, rejected in ((0.9999, True), (1.0001, False)):
        assert (oracle.mannwhitneyu(a * found[0] * factor, b, method="exact").pvalue < 0.05) == rejected
        assert (oracle.mannwhitneyu(a * found[1] / factor, b, method="exact").pvalue < 0.05) == rejected


def test_a_ratio_worked_by_hand() -> None:
    a, b = [10.0, 10.1, 9.9, 10.2, 9.8], [20.0, 20.2, 19.8, 20.4, 19.6]
    ratios = sorted(y / x for x in a for y in b)
    assert sides.interval(a, b) == pytest.approx((ratios[2], ratios[-3]))


def test_the_interval_holds_as_often_as_it_says() -> None:
    """2000 pairs of samples whose true ratio is known: 95% within three standard errors, or a little more."""
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(2000):
        a, b = 100 * np.exp(0.05 * rng.standard_t(3, 5)), 110 * np.exp(0.05 * rng.standard_t(3, 5))
        low, high = sides.interval(a, b) or (0, 0)
        missed += not low <= 1.1 <= high
    assert missed / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_many_values_use_the_normal_approximation() -> None:
    exact = int(np.searchsorted(np.cumsum(sides.chances_of_u(60, 60)), 0.025, side="right"))
    middle, sd = 60 * 60 / 2, (60 * 60 * 121 / 12) ** 0.5
    assert abs(exact - (middle - 1.96 * sd)) < 2
    assert sides.excluded(61, 61) > exact
    rng = np.random.default_rng(0)
    low, high = sides.interval(rng.normal(100, 5, 400), rng.normal(102, 5, 400)) or (0, 9)
    assert high - low < 0.03
    assert low < 1.02 < high


def guarded(*found: Record, by: str = "run_id") -> list[str]:
    return sides.require_comparable(records.frame(found), by)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "client-stream"), ("n_prompt", 121), ("n_threads", 1), ("quant", "Q8_0"), ("prompt_id", "tg128"),
        ("model_name", "other"), ("engine", "embedded"), ("type_k", "q8_0"), ("max_tokens", 12), ("temperature", 1.0),
        ("host", "other"), ("cores", 4), ("flash_attn", "on"), ("on_battery", True), ("n_threads", None), ("quant", None),
    ],
)  # fmt: skip
def test_the_guard_names_what_differs(field: str, value: object) -> None:
    known = {"type_k": "f16", "flash_attn": "off", "on_battery": False}
    with pytest.raises(NotComparable, match=rf"differ in {field} \("):
        guarded(sample(**known), sample(run_id=TWO, **known | {field: value}))


def test_only_what_is_compared_may_differ() -> None:
    one, two = sample(), sample(run_id=TWO, n_threads=1)
    guarded(one, two, by="n_threads")
    with pytest.raises(NotComparable, match="n_threads"):
        guarded(one, two, by="quant")
    faster = sample(host="other", cores=16, kernel="9", build_info="AVX512 = 1")
    guarded(one, faster, by="host")
    with pytest.raises(NotComparable, match="n_threads"):
        guarded(two, faster, by="host")
    with pytest.raises(NotComparable, match="method"):
        guarded(one, sample(method="client-stream"), by="method")
    with pytest.raises(NotComparable, match=r"and \d+ fields more"):
        guarded(one, sample(host="other", cores=16, kernel="9", n_threads=1, quant="F16"))


def test_what_one_side_does_not_tell_is_named_and_forbids_nothing() -> None:
    old = sample(engine_build=None, on_battery=None)
    assert guarded(old, sample(run_id=TWO, engine_build="b10488", on_battery=False)) == ["engine_build", "on_battery"]
    assert guarded(old, sample(run_id=TWO, engine_build=None, on_battery=None)) == []
    with pytest.raises(NotComparable, match=r"engine_build \(b10488, b9, unknown\)"):
        guarded(old, sample(engine_build="b10488"), sample(engine_build="b9"))


def keep(folder: Path, run_id: str, rates: list[float], **changes: object) -> None:
    for record in run(rates, run_id=run_id, **changes):
        store.append(folder / "x" / f"{run_id}.jsonl", record)


def compare(folder: Path, a: str, b: str, where: list[str] | None = None, **how: object) -> sides.Comparison:
    return sides.compare(records.load(folder, where), a, b, **how)  # type: ignore[arg-type]


def of(found: sides.Comparison, figure: str = "tg_ts") -> list[Any]:
    return list(found.effects[found.effects["figure"] == figure].itertuples())


def test_two_runs(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, [2 * rate for rate in STEADY], ttft_ns=600_000_000, ttf_answer_ns=600_000_000)
    store.append(tmp_path / "x" / f"{TWO}.jsonl", sample(run_id=TWO, rep_index=0, is_warmup=True, gen_ns=1))
    found = compare(tmp_path, "aaa", "b")
    (tg,) = of(found)
    assert (tg.n_a, tg.n_b, tg.ratio) == (5, 5, pytest.approx(2, rel=1e-3))
    assert set(found.effects["verdict"]) == {"no verdict"}, "one run a side, however far apart"
    assert "No verdict before 4 runs a side, recorded in turns" in str(found)


def test_four_runs_a_side_are_a_verdict(tmp_path: Path) -> None:
    for i, rate in enumerate([100.0, 110, 95, 105]):
        keep(tmp_path, f"{i}" * 12, [rate] * 5, n_threads=1)
        slow = {"ttft_ns": 600_000_000, "ttf_answer_ns": 600_000_000}
        keep(tmp_path, f"{i + 4}" * 12, [2 * rate] * 5, n_threads=2, **slow)
    found = compare(tmp_path, "1", "2", kind="n_threads")
    assert [e.verdict for e in of(found)] == ["B faster"]
    assert [e.verdict for e in of(found, "ttft")] == ["B slower"], "a longer time is slower"
    assert [e.verdict for e in of(found, "pp_ts")] == ["undecided"]
    assert "No verdict" not in str(found)
    assert [e.verdict for e in of(compare(tmp_path, "2", "1", kind="n_threads"))] == ["B slower"]


def test_three_repetitions_a_side_decide_nothing(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY[:3])
    keep(tmp_path, TWO, [9 * rate for rate in STEADY[:3]])
    found = compare(tmp_path, ONE, TWO)
    assert set(found.effects["verdict"]) == {"no verdict"}
    assert "too few" in str(found)


def test_what_differs_in_more_is_refused_and_shown_on_request(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, [2 * rate for rate in STEADY], n_threads=4)
    with pytest.raises(NotComparable, match=r"n_threads \(2, 4\)"):
        compare(tmp_path, ONE, TWO)
    found = compare(tmp_path, ONE, TWO, anyway=True)
    assert found.differing == ("n_threads (2, 4)",)
    assert "! differs as well: n_threads (2, 4)" in str(found)


def test_settings_within_a_run_are_paired(tmp_path: Path) -> None:
    for run_id, faster in ((ONE, 1.0), (TWO, 2.0)):
        keep(tmp_path, run_id, [faster * rate for rate in STEADY], thinking=False)
        keep(tmp_path, run_id, [10 * faster * rate for rate in STEADY], thinking=True)
    tg = of(compare(tmp_path, ONE, TWO))
    assert [effect.cell for effect in tg] == ["chat-story thinking=False", "chat-story thinking=True"]
    assert [effect.ratio for effect in tg] == pytest.approx([2, 2], rel=1e-3)
    (only,) = of(compare(tmp_path, ONE, TWO, where=["thinking=true"]))
    assert only.median_a == pytest.approx(1000, rel=1e-3)


def test_hosts_and_models(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY, host="left", cores=2, kernel="6")
    keep(tmp_path, TWO, [2 * rate for rate in STEADY], host="right", cores=16, kernel="7")
    keep(tmp_path, THREE, STEADY, host="left", cores=2, kernel="6", model_name="other:7b", quant="Q8_0")
    hosts = compare(tmp_path, "left", "right", where=["model_name=smollm2:135m"])
    assert [e.ratio for e in of(hosts)] == [pytest.approx(2, rel=1e-3)]
    models = compare(tmp_path, "smollm2:135m", "other:7b", where=["host=left"])
    assert [e.ratio for e in of(models)] == [1]
    with pytest.raises(NotComparable, match="host"):
        compare(tmp_path, "smollm2:135m", "other:7b")


def test_many_runs_of_a_side_are_compared_as_runs(tmp_path: Path) -> None:
    """Repetitions of a run are alike, runs differ: pooled repetitions would claim what runs do not show."""
    for i, rate in enumerate([90.0, 110, 95, 105]):
        keep(tmp_path, f"{i}" * 12, [rate + d / 100 for d in range(5)], host="left")
        keep(tmp_path, f"{i + 4}" * 12, [rate + 3 + d / 100 for d in range(5)], host="right")
    (tg,) = of(compare(tmp_path, "left", "right"))
    assert (tg.of_runs, tg.n_a, tg.n_b, tg.verdict) == (True, 4, 4, "undecided")


def test_names_that_fit_nothing_too_much_or_several_things(tmp_path: Path) -> None:
    keep(tmp_path, "ab" * 6, STEADY)
    keep(tmp_path, "ac" * 6, STEADY, host="cafe")
    keep(tmp_path, "ca" * 6, STEADY, host="abba", model_name="abba")
    for a, b in (("nothing", "ab"), ("example", "smollm2:135m")):
        with pytest.raises(BadOption, match="results list"):
            compare(tmp_path, a, b)
    with pytest.raises(BadOption, match="2 runs begin with 'a'"):
        compare(tmp_path, "a", "ca")
    keep(tmp_path, "abba" * 3, STEADY)
    keep(tmp_path, "cafe" * 3, STEADY)
    with pytest.raises(BadOption, match="--by"):
        compare(tmp_path, "abba", "cafe")
    assert compare(tmp_path, "abba", "cafe", kind="run").a == "abba" * 3
    with pytest.raises(BadOption, match="no field 'colour'"):
        compare(tmp_path, "ab", "ac", kind="colour")
    with pytest.raises(BadOption, match="fit no n_threads"):
        compare(tmp_path, "2", "9", kind="n_threads")


def test_nothing_in_common(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, STEADY, prompt_id="other")
    with pytest.raises(NotComparable, match="A has chat-story; B has other"):
        compare(tmp_path, ONE, TWO)
    keep(tmp_path, THREE, STEADY, n_cached=None, ttft_ns=None, ttf_answer_ns=None, n_gen=None)
    with pytest.raises(NotComparable, match="no figure in common"):
        compare(tmp_path, ONE, THREE)


def test_what_does_not_count_does_not_enter(tmp_path: Path) -> None:
    for number, run_id in enumerate((ONE, TWO), 1):
        keep(tmp_path, run_id, [number * rate for rate in STEADY])
        others = [
            {"cold": True},
            {"invalid": "the laptop slept"},
            {"status": "timeout", "error": "late"},
            {"n_gen": None},
        ]
        for rep, changes in enumerate(others, 7):
            store.append(tmp_path / "x" / f"{run_id}.jsonl", sample(run_id=run_id, rep_index=rep, gen_ns=1, **changes))
    (tg,) = of(compare(tmp_path, ONE, TWO))
    assert (tg.n_a, tg.n_b) == (5, 5)
    assert (tg.median_a, tg.median_b) == pytest.approx((median(STEADY), 2 * median(STEADY)))
    store.mark(TWO, "the laptop slept", folder=tmp_path)
    with pytest.raises(NotComparable, match=f"{TWO}: no repetition that counts"):
        compare(tmp_path, ONE, TWO)
