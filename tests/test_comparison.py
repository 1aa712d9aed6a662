"""Two sides: what differs and how surely, what may not be compared, and what a name stands for."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
from bench_samples import run, sample

from programs.bench import comparison, index, marks, stats, store
from workbook.errors import BadOption, NotComparable

ONE, TWO, THREE = "a" * 12, "b" * 12, "c" * 12
STEADY = [100.0, 101, 99, 100.5, 99.5]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path_factory.mktemp("cache")))


def keep(folder: Path, run_id: str, rates: list[float], **changes: object) -> None:
    path = folder / "x" / f"{run_id}.jsonl"
    for record in run(rates, run_id=run_id, **changes):
        store.append(path, record)


def compare(folder: Path, a: str, b: str, **how: object) -> comparison.Comparison:
    return comparison.compare(index.open_index(folder), a, b, **how)  # type: ignore[arg-type]


def test_two_runs(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, [2 * rate for rate in STEADY])
    store.append(tmp_path / "x" / f"{TWO}.jsonl", sample(run_id=TWO, rep_index=0, is_warmup=True, gen_ns=1))
    found = compare(tmp_path, "aaa", "b")
    rows = {row.metric.field: row for row in found.rows}
    tg = rows["tg_ts"]
    assert (tg.effect.n_a, tg.effect.n_b, tg.verdict) == (5, 5, "B faster")
    assert tg.effect.ratio == pytest.approx(2, rel=1e-3)
    assert (rows["pp_ts"].effect.ratio, rows["pp_ts"].verdict) == (1.0, "undecided")
    assert "tg_ts" in str(found)
    assert "another run may lie further off" in str(found)
    assert {row.metric.field: row.verdict for row in compare(tmp_path, "b", "a").rows}["tg_ts"] == "B slower"


def test_a_longer_time_is_slower(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, STEADY, ttft_ns=600_000_000, ttf_answer_ns=600_000_000)
    verdicts = {row.metric.name: row.verdict for row in compare(tmp_path, ONE, TWO).rows}
    assert verdicts == {"pp_ts": "undecided", "tg_ts": "undecided", "ttft": "B slower"}


def test_three_repetitions_a_side_decide_nothing(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY[:3])
    keep(tmp_path, TWO, [9 * rate for rate in STEADY[:3]])
    found = compare(tmp_path, ONE, TWO)
    assert {row.verdict for row in found.rows} == {"undecided"}
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
    tg = [row for row in compare(tmp_path, ONE, TWO).rows if row.metric.field == "tg_ts"]
    assert [row.cell for row in tg] == ["chat-story thinking=False", "chat-story thinking=True"]
    assert [row.effect.ratio for row in tg] == pytest.approx([2, 2], rel=1e-3)
    (only,) = [r for r in compare(tmp_path, ONE, TWO, where={"thinking": "true"}).rows if r.metric.field == "tg_ts"]
    assert only.effect.median_a == pytest.approx(1000, rel=1e-3)


def test_hosts_and_models(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY, host="left", cores=2, kernel="6")
    keep(tmp_path, TWO, [2 * rate for rate in STEADY], host="right", cores=16, kernel="7")
    keep(tmp_path, THREE, STEADY, host="left", cores=2, kernel="6", model_name="other:7b", quant="Q8_0")
    hosts = compare(tmp_path, "left", "right", where={"model_name": "smollm2:135m"})
    assert hosts.by == "host"
    assert {row.verdict for row in hosts.rows} == {"B faster", "undecided"}
    models = compare(tmp_path, "smollm2:135m", "other:7b", where={"host": "left"})
    assert (models.by, {row.verdict for row in models.rows}) == ("model_name", {"undecided"})
    with pytest.raises(NotComparable, match="host"):
        compare(tmp_path, "smollm2:135m", "other:7b")


def test_many_runs_of_a_side_are_compared_as_runs(tmp_path: Path) -> None:
    """Repetitions of a run are alike, runs differ: pooled repetitions would claim what runs do not show."""
    offsets = [90.0, 110, 95, 105]
    for i, rate in enumerate(offsets):
        keep(tmp_path, f"{i}" * 12, [rate + d / 100 for d in range(5)], host="left")
        keep(tmp_path, f"{i + 4}" * 12, [rate + 3 + d / 100 for d in range(5)], host="right")
    tg = next(row for row in compare(tmp_path, "left", "right").rows if row.metric.field == "tg_ts")
    assert (tg.effect.units, tg.effect.n_a, tg.effect.n_b, tg.verdict) == ("runs", 4, 4, "undecided")


def test_runs_marked_invalid_are_left_out(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, STEADY)
    marks.add(tmp_path / "x" / f"{TWO}.jsonl", TWO, "the laptop slept")
    with pytest.raises(NotComparable, match=f"{TWO}: no repetition that counts"):
        compare(tmp_path, ONE, TWO)


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
    assert compare(tmp_path, "abba", "cafe", kind="run").by == "run_id"
    with pytest.raises(BadOption, match="run, host, model"):
        compare(tmp_path, "ab", "ac", kind="engine")
    with pytest.raises(BadOption, match="no field"):
        compare(tmp_path, "abab", "acac", where={"surprise": "1"})


def test_nothing_in_common(tmp_path: Path) -> None:
    keep(tmp_path, ONE, STEADY)
    keep(tmp_path, TWO, STEADY, prompt_id="other")
    with pytest.raises(NotComparable, match="A has chat-story; B has other"):
        compare(tmp_path, ONE, TWO)
    keep(tmp_path, THREE, STEADY, n_cached=None, ttft_ns=None, ttf_answer_ns=None, n_gen=None)
    with pytest.raises(NotComparable, match="no figure in common"):
        compare(tmp_path, ONE, THREE)


def test_the_committed_set_says_what_its_page_says(tmp_path: Path) -> None:
    from workbook import paths

    folder = paths.data() / "results" / "example"
    first, second, single = index.open_index(folder).run_files()
    assert compare(folder, first, second).rows
    with pytest.raises(NotComparable, match="n_threads"):
        compare(folder, first, single)


def test_the_figures_are_those_of_the_strict_reader(tmp_path: Path) -> None:
    for number, run_id in enumerate((ONE, TWO), 1):
        path = tmp_path / f"{run_id}.jsonl"
        for rep, rate in enumerate(STEADY):
            store.append(
                path, sample(run_id=run_id, rep_index=rep, is_warmup=rep == 0, gen_ns=round(1e10 / rate * number))
            )
        store.append(path, sample(run_id=run_id, rep_index=7, cold=True, gen_ns=1))
        store.append(path, sample(run_id=run_id, rep_index=8, invalid="the laptop slept", gen_ns=1))
        store.append(path, sample(run_id=run_id, rep_index=9, status="timeout", error="late", gen_ns=1))
        store.append(path, sample(run_id=run_id, rep_index=10, n_gen=None, gen_ns=None))
    strict = store.load(tmp_path).valid
    rows = compare(tmp_path, ONE, TWO).rows
    assert [row.metric for row in rows] == list(stats.METRICS)
    for row in rows:
        a, b = (stats.values([r for r in strict if r.run_id == side], row.metric) for side in (ONE, TWO))
        assert (row.effect.n_a, row.effect.n_b) == (len(a), len(b))
        assert (row.effect.median_a, row.effect.median_b) == pytest.approx((median(a), median(b)))
