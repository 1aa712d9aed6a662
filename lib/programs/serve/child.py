"""The process that has the model: llama.cpp's own server on a port of its own. It ends with its standard input."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from workbook.engines import cpp_server, llama
from workbook.engines.engine import Context
from workbook.errors import WorkbookError


def main() -> None:
    """Load what the first line of the standard input names, say where it answers, and wait until the input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the parent, which ends this process
    given = json.loads(sys.stdin.readline())
    try:
        server = _loaded(given)
        said = {"url": server.listening_address, "gpu": cpp_server.has_gpu()}
    except WorkbookError as error:
        said = {"error": str(error)}
    print(json.dumps(said), flush=True)
    while os.read(0, 1):
        pass
    os._exit(0)  # at once, whatever llama.cpp is computing


def _loaded(given: dict[str, Any]) -> Any:
    context = Context(
        n_batch=given["num_batch"],
        n_threads=given["num_thread"] or llama.usable_cores(),
        n_gpu_layers=given["num_gpu"] if given["num_gpu"] >= 0 else None,
    )
    options = {name: given[name] for name in ("embedding", "chat_template", "key")}
    return cpp_server.load(Path(given["path"]), given["num_ctx"], context, ctx_shift=True, **options)


if __name__ == "__main__":
    main()
