"""``make perf``: a million repetitions summarised. Time and peak memory, printed and judged by nobody.

Each step runs in a process of its own, whose peak memory is its own. ``WORKBOOK_PERF_RECORDS`` (default
100000,300000,1000000) sets the sizes. "First" reads every line strictly and makes the index; it is done once, and
again for files that changed. "Summary" is ``workbook results summary`` from then on.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from programs.bench import store
from programs.bench.fields import Outcome, Record
from workbook import paths

SIZES = [int(size) for size in os.environ.get("WORKBOOK_PERF_RECORDS", "100000,300000,1000000").split(",")]
PER_FILE, DAMAGED_EACH = 250, 1000  # lines of a file; every so many files one has a damaged line
STEP = """
import sys, time
from programs.cli import app
began = time.perf_counter()
try:
    app(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
took, cpu = time.perf_counter() - began, time.process_time()
import psutil
peak = getattr(psutil.Process().memory_info(), "peak_wset", None)
if peak is None:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(f"{took} {cpu} {peak} {code or 0}", file=sys.stderr)
"""


def generate(folder: Path, count: int) -> float:
    """Write ``count`` records of four hosts and five models; how many GB they are."""
    template = store.load(paths.data() / "results" / "example").records[1]
    rng = random.Random(7)
    written = size = 0
    models = {
        name: template.model_copy(update={"model_name": name}) for name in ("a:1b", "b:3b", "c:7b", "d:8b", "e:14b")
    }
    bases = {name: json.loads(_line(model)) for name, model in models.items()}
    while written < count:
        run_id, host, name = f"{rng.randrange(16**12):012x}", f"host-{rng.randrange(4)}", rng.choice(list(bases))
        lines = []
        for rep in range(min(PER_FILE, count - written)):
            took = rng.randrange(10**9, 2 * 10**9)
            outcome = Outcome(n_prompt=512, n_cached=0, n_gen=0, prompt_ns=took, total_ns=took)
            changed = {"run_id": run_id, "host": host, "rep_index": rep, "is_warmup": rep == 0, "prompt_ns": took}
            changed |= {"total_ns": outcome.total_ns, "pp_ts": 512 / took * 1e9}
            lines.append(json.dumps(bases[name] | changed, separators=(",", ":")))
        if (written // PER_FILE) % DAMAGED_EACH == 0:
            lines[-1] = lines[-1][:200]
        path = folder / host / f"20260101T000000Z-{run_id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written, size = written + len(lines), size + path.stat().st_size
    return size / 1e9


def _line(record: Record) -> str:
    return record.model_copy(update={"config_hash": record.hash()}).line()


def step(folder: Path, cache: Path, *words: str) -> tuple[float, float, float, str]:
    """Seconds, seconds of processor time (all of the process) and peak GB of one command in a process of its own, and what it printed."""
    env = {**os.environ, "WORKBOOK_CACHE": str(cache)}
    command = [sys.executable, "-c", STEP, "results", *words, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1800)
    took, cpu, peak, code = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr[-500:]
    return float(took), float(cpu), float(peak) / 1e9, done.stdout


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", SIZES)
def test_summary_of_many_repetitions(tmp_path: Path, count: int) -> None:
    size = generate(tmp_path / "results", count)
    print(f"\n{count} repetitions, {size:.2f} GB of JSON")
    said = {}
    for what in ("first", "summary", "summary"):
        took, cpu, peak, said[what] = step(tmp_path / "results", tmp_path / "cache", "summary")
        each = cpu / count * 1e6
        print(f"    {what:<8} {took:7.2f} s  processor {cpu:7.2f} s = {each:6.2f} µs a repetition  peak {peak:.2f} GB")
    assert said["first"] == said["summary"]
    assert f"{-(-count // PER_FILE // DAMAGED_EACH)} lines are left out" in said["summary"]
    index_gb = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.parquet")) / 1e9
    print(f"    the index takes {index_gb:.3f} GB")
