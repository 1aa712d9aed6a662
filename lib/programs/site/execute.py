"""Execute one page in a kernel of its own, under a time limit, and note what it cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

import ipykernel.kernelspec
import nbclient
import psutil
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets import Type

from workbook import paths
from workbook.errors import PageStopped
from workbook.leaks import KEY_NAMES

OLLAMA_MODEL = "smollm2:135m"  # Ollama's name for the packaged model
CELL_TIMEOUT_S = 120
START_TIMEOUT_S = 60
LOOK_AGAIN_MS = 500
WATCH_S = 0.2

SHOWN_ALIKE = {
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "COLUMNS": "100",
    "LINES": "40",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns of frozen modules at its start
}
"""What makes a page look the same on every machine."""

OF_THIS_USER = ("PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONDEVMODE", "FORCE_COLOR", "NO_COLOR")
"""Settings that change what a page prints, or (PYTHONOPTIMIZE) that take its asserts away."""

# IPython's setting for figures: without the name of matplotlib's version, or each version would store another file.
FIGURES = 'c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Software": None}}\n'


@dataclass(frozen=True)
class Cost:
    """What an execution took. ``peak_rss_bytes``: the kernel with its children, not a server elsewhere."""

    seconds: float
    peak_rss_bytes: int


class ThisPython(KernelSpecManager):  # type: ignore[misc, unused-ignore]
    """Knows one kernel: the Python that runs this. A kernel of the same name elsewhere is another Python."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernel of this very environment, whatever the name."""
        return KernelSpec(resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict())


class Channel(AsyncZMQSocketChannel):
    """A channel that looks again. An asyncio socket of ZeroMQ can miss the one sign that a message came, when
    something is sent on it meanwhile (an Output widget does); it would then wait to the end of the time limit.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]
        """The next message. Raises queue.Empty after ``timeout`` seconds (None: never)."""
        end = None if timeout is None else time.monotonic() + timeout
        while not await self.socket.poll(LOOK_AGAIN_MS):
            if end is not None and time.monotonic() >= end:
                raise Empty
        return await self._recv()


class Client(AsyncKernelClient):
    """A kernel client with such channels."""

    shell_channel_class = Type(Channel)
    iopub_channel_class = Type(Channel)


def reproducible(results: Path, scratch: Path, engine: str = "embedded") -> dict[str, str]:
    """The environment for outputs that are stored: this user's choices of engine, model, keys and looks stay out.

    ``results`` and ``scratch``: folders of this page alone, for its records and for its settings of IPython.
    """
    dropped = {"WORKBOOK_MODEL", *OF_THIS_USER, *(() if engine == "ollama" else ("OLLAMA_HOST",))}
    env = {name: value for name, value in os.environ.items() if name not in dropped and not KEY_NAMES.search(name)}
    profile, look = scratch / "profile_default", scratch / "matplotlibrc"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(FIGURES, encoding="utf-8")
    look.write_text("", encoding="utf-8")
    return env | SHOWN_ALIKE | {
        "WORKBOOK_ENGINE": engine,
        "WORKBOOK_RESULTS": str(results),
        "WORKBOOK_SANDBOX": "yes",  # stored pages show real grades: the packaged model's programs are run, contained
        "IPYTHONDIR": str(scratch),
        "MATPLOTLIBRC": str(look),  # not MPLCONFIGDIR: there matplotlib keeps its list of fonts, which is slow to make
    } | ({"WORKBOOK_MODEL": OLLAMA_MODEL} if engine == "ollama" else {})  # fmt: skip


def execute(notebook: Any, folder: Path, env: Mapping[str, str], cell_timeout_s: float = CELL_TIMEOUT_S) -> Cost:
    """Run every code cell of ``notebook`` (nbformat v4) in ``folder``; its outputs are replaced in place.

    Raises
    ------
    PageStopped : a cell raised without the tag ``raises-exception``, ran past ``cell_timeout_s``, or the
        kernel died. The outputs up to there, that cell's included, stay in ``notebook``.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    started = time.perf_counter()
    # On Ctrl-C asyncio cancels the task, so that its ``finally`` ends the kernel, and raises KeyboardInterrupt after it.
    peak = asyncio.run(_run(notebook, folder, env, cell_timeout_s))
    return Cost(time.perf_counter() - started, peak)


async def _run(notebook: Any, folder: Path, env: Mapping[str, str], limit_s: float) -> int:
    """Run the cells; the most memory that was held, in bytes."""
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython(), client_factory=Client)
    client = nbclient.NotebookClient(
        notebook,
        km=manager,
        timeout=limit_s,
        startup_timeout=START_TIMEOUT_S,
        iopub_timeout=START_TIMEOUT_S,
        raise_on_iopub_timeout=True,  # else a lost output is only logged
        coalesce_streams=True,
    )
    quiet = subprocess.DEVNULL
    seen: list[int] = []
    try:
        await client.async_start_new_kernel(env=paths.environment(env), cwd=str(folder), stdout=quiet, stderr=quiet)
        await client.async_start_new_kernel_client()
        watch = asyncio.create_task(_watch(manager.provisioner.pid, seen))  # type: ignore[union-attr]
        try:
            for index, cell in enumerate(notebook.cells):
                await _run_cell(client, cell, index, limit_s)
            await asyncio.sleep(2 * WATCH_S)  # for one last look
        finally:
            watch.cancel()
            client.set_widgets_metadata()
        return max(seen)
    except RuntimeError as error:  # jupyter_client's word for a kernel that did not start
        raise PageStopped(0, "KernelNotStarted", str(error).split("\n", 1)[0]) from None
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)


async def _run_cell(client: nbclient.NotebookClient, cell: Any, index: int, limit_s: float) -> None:
    try:
        await client.async_execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
    except CellExecutionError as error:
        first = (error.evalue or "").strip().splitlines() or [""]
        raise PageStopped(index + 1, error.ename, first[0]) from None
    except CellTimeoutError:
        raise PageStopped(index + 1, "Timeout", f"it ran longer than {limit_s:g} s") from None
    except DeadKernelError:
        if (task := asyncio.current_task()) and task.cancelling():  # Ctrl-C: nbclient takes it for the kernel's end
            raise asyncio.CancelledError from None
        raise PageStopped(index + 1, "DeadKernel", "the Python process ended; was there enough memory?") from None


async def _watch(pid: int, seen: list[int]) -> None:
    """Note the bytes of memory that process ``pid`` and its children hold, until this is cancelled."""
    kernel = psutil.Process(pid)
    while True:
        with contextlib.suppress(psutil.Error):  # one of them ended while it was looked at
            seen.append(sum(process.memory_info().rss for process in (kernel, *kernel.children(recursive=True))))
        await asyncio.sleep(WATCH_S)
