"""Record the committed example set anew, on a quiet machine: ``.venv/bin/python tests/performance/record_example.py``.

Two runs with two threads, so that readers see how far two runs of one set-up lie apart, then one with a single thread.
Other numbers of threads may be given, one a run.
"""

from __future__ import annotations

import sys

from programs.bench.protocol import record_this_machine

from workbook import paths
from workbook.engines.embedded import Embedded

HOST = "example-2-cores"


def main(threads: list[int]) -> None:
    """Replace the records of ``data/results/example``."""
    folder = paths.data() / "results" / "example"
    old = sorted(folder.rglob("*.jsonl"))
    for n_threads in threads:
        with Embedded(n_threads=n_threads) as engine:
            done = record_this_machine(engine, results=folder, host=HOST, n_threads=n_threads)
        print(done)
        if done.interrupted:
            return
    for path in old:
        path.unlink()


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [2, 2, 1])
