"""Kill a plan's run at random instants, over and over, and say what was lost: ``kill_runs.py FOLDER KILLS SEED [broken]``.

A child runs the plan with an engine that answers at once, and says each repetition once it is kept; the parent kills it
(SIGKILL) after a random while, reads the file, and starts the next child, which goes on. ``broken`` keeps records in
memory for a while: the harness must notice. Forks, so not for Windows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from bench_samples import Scripted

from programs.bench import plan, recorder, session, store
from programs.bench.fields import Record

PLAN = plan.Plan.model_validate({"name": "killed", "repetitions": 6, "models": ["a", "b"], "prompts": ["chat-story"]})
CELLS = PLAN.cells()
NAMED = PLAN.hash("openai")
WHOLE = len(CELLS) * (PLAN.repetitions + 1)
FACTS = recorder.machine_facts("killed")
_waiting: list[Record] = []


def late(path: Path, record: Record) -> None:
    """A store that says it has kept what it still holds."""
    _waiting.append(record)
    if len(_waiting) == 3:
        with path.open("ab") as out:
            out.write(b"".join(r.line().encode() + b"\n" for r in _waiting))
        _waiting.clear()


def child(folder: Path, said: int) -> None:
    """Run what is left of the plan; each kept repetition is told through ``said``."""
    recorder.machine_facts = lambda _: FACTS
    session.connected = lambda _, model: Scripted(pace_s=0.0, model=model)
    kept = recorder.Recorder(folder, "killed", NAMED)
    for cell, record in session.PlanSession(PLAN, "openai", kept).steps():
        os.write(said, f"{kept.run_id} {cell.hash} {record.rep_index}\n".encode())


def once(folder: Path, wait_s: float | None) -> set[str]:
    """Fork, wait, kill; what the child had said by then. ``wait_s`` None: let it end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            child(folder, writing)
        except BaseException:  # noqa: BLE001  the parent's code must not run on in the child
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    if wait_s is not None:
        time.sleep(wait_s)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as told:
        return set(told.read().decode().splitlines())


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """How many repetitions were said, lost, there twice; how many files and lines could not be read."""
    draw, said = random.Random(seed), set()
    recorder.machine_facts = lambda _: FACTS
    found = {"kills": kills, "said": 0, "lost": 0, "twice": 0, "unreadable": 0, "cut": 0, "whole_runs": 0}
    began = time.monotonic()
    once(folder / "whole", None)
    window_s = (time.monotonic() - began) / 2
    for number in range(kills):
        host = folder / f"{number // 50:03}"  # a young folder: each child reads all of it
        said |= {f"{number // 50:03} {line}" for line in once(host, draw.uniform(0.0, window_s))}
        window_s *= 1 if said else 1.5  # the machine may have slowed down since
        run = recorder.Recorder(host, "killed", NAMED)
        if not any(run.left(cell, PLAN.repetitions) for cell in CELLS):
            found["whole_runs"] += 1
            run.path.rename(run.path.with_name(f"{number}-{run.path.name}"))
            _hide(run.path.with_name(f"{number}-{run.path.name}"))
    have: list[str] = []
    for path in sorted(folder.rglob("*.jsonl*")):
        loaded = store.read(path)
        have += [f"{path.parent.parent.name} {r.run_id} {r.cell_hash} {r.rep_index}" for r in loaded.records]
        found["cut"] += sum(problem.cut for problem in loaded.problems)
        found["unreadable"] += sum(problem.line == 0 for problem in loaded.problems)
    found["said"], found["lost"] = len(said), len(said - set(have))
    found["twice"] = len(have) - len(set(have))
    return found


def _hide(path: Path) -> None:
    """Out of the next runs' sight: a whole run is done."""
    path.rename(path.with_suffix(".jsonl-done"))


if __name__ == "__main__":
    if sys.argv[4:] == ["broken"]:
        store.append = late
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
