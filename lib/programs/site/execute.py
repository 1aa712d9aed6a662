"""Execute one page in a kernel of its own, under a time limit, and note what it cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
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
from jupyter_core.utils import ensure_event_loop, run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets import Type

from workbook.errors import PageStopped
from workbook.leaks import KEY_NAMES

CELL_TIMEOUT_S = 120
START_TIMEOUT_S = 60
SETTLE_S = 5
LOOK_AGAIN_MS = 500

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

    async def get_msg(  # type: ignore[override]
        self, timeout: float | None = None
    ) -> dict[str, Any]:
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


def reproducible(results: Path, scratch: Path, engine: str = "embedded", model: str | None = None) -> dict[str, str]:
    """The environment for outputs that are stored: this user's choices of engine, model, keys and looks stay out.

    ``results`` and ``scratch``: folders of this page alone, for its records and for empty settings of IPython.
    """
    dropped = {"WORKBOOK_MODEL", *OF_THIS_USER, *(() if engine == "ollama" else ("OLLAMA_HOST",))}
    env = {name: value for name, value in os.environ.items() if name not in dropped and not KEY_NAMES.search(name)}
    # By this variable and not by MPLCONFIGDIR, where matplotlib keeps its list of fonts: that takes long to make.
    look = scratch / "matplotlibrc"
    look.parent.mkdir(parents=True, exist_ok=True)
    look.write_text("", encoding="utf-8")
    return env | SHOWN_ALIKE | {
        "WORKBOOK_ENGINE": engine,
        "WORKBOOK_RESULTS": str(results),
        "WORKBOOK_SANDBOX": "yes",  # stored pages show real grades: the packaged model's programs are run, contained
        "IPYTHONDIR": str(scratch),
        "MATPLOTLIBRC": str(look),
    } | ({"WORKBOOK_MODEL": model} if model else {})  # fmt: skip


def execute(notebook: Any, folder: Path, env: Mapping[str, str], cell_timeout_s: float = CELL_TIMEOUT_S) -> Cost:
    """Run every code cell of ``notebook`` (nbformat v4) in ``folder``; its outputs are replaced in place.

    Raises
    ------
    PageStopped : a cell raised without the tag ``raises-exception``, ran past ``cell_timeout_s``, or the
        kernel died. The outputs up to there, that cell's included, stay in ``notebook``.
    """
    client = _client(notebook, cell_timeout_s)
    _forget(notebook)
    client.reset_execution_trackers()
    started = time.perf_counter()
    try:
        with _ctrl_c_heard(), _kernel(client, folder, env) as pid, _peak_memory(pid) as peak:
            for index, cell in enumerate(notebook.cells):
                _run_cell(client, cell, index, cell_timeout_s)
            client.set_widgets_metadata()
    except RuntimeError as error:  # jupyter_client's word for a kernel that did not start
        raise PageStopped(0, "KernelNotStarted", str(error).split("\n", 1)[0]) from None
    return Cost(time.perf_counter() - started, max(peak))


def _client(notebook: Any, cell_timeout_s: float) -> nbclient.NotebookClient:
    client = nbclient.NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython(), client_factory=Client),
        timeout=cell_timeout_s,
        startup_timeout=START_TIMEOUT_S,
        iopub_timeout=START_TIMEOUT_S,
        raise_on_iopub_timeout=True,  # else a lost output is only logged
        coalesce_streams=True,
        record_timing=False,
    )
    # A client that is handed its manager does not shut it down by itself.
    client.owns_km = True
    return client


@contextlib.contextmanager
def _kernel(client: nbclient.NotebookClient, folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """A started kernel's process id; however the block ends, and in its start too, the kernel is gone after it."""
    manager = client.km
    try:
        with client.setup_kernel(env=dict(env), cwd=str(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            try:
                yield int(manager.provisioner.pid)
            except BaseException:
                _settle()
                raise
    finally:
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)


@contextlib.contextmanager
def _ctrl_c_heard() -> Iterator[None]:
    """Ctrl-C goes to the loop: Python drops one that falls into a ``__del__`` or the callback of a weak set."""
    loop, before = ensure_event_loop(), signal.getsignal(signal.SIGINT)

    def stop() -> None:
        raise KeyboardInterrupt

    try:
        loop.add_signal_handler(signal.SIGINT, stop)
    except (NotImplementedError, ValueError, RuntimeError):  # Windows, or not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def _settle() -> None:
    """End what Ctrl-C left waiting, so that it does not complain at the very end."""
    loop = ensure_event_loop()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:  # bounded: a task that does not take its cancellation must not keep the user waiting
        done, _ = loop.run_until_complete(asyncio.wait(tasks, timeout=SETTLE_S))
        for task in done:
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not print it at the very end


def _forget(notebook: Any) -> None:
    """Take away every stored output, so that none of the last run can pass for one of this run."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def _run_cell(client: nbclient.NotebookClient, cell: Any, index: int, limit_s: float) -> None:
    try:
        client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
    except CellExecutionError as error:
        client.set_widgets_metadata()
        first = (error.evalue or "").strip().splitlines() or [""]
        raise PageStopped(index + 1, error.ename, first[0]) from None
    except CellTimeoutError:
        raise PageStopped(index + 1, "Timeout", f"it ran longer than {limit_s:g} s") from None
    except DeadKernelError:
        raise PageStopped(index + 1, "DeadKernel", "the Python process ended; was there enough memory?") from None


@contextlib.contextmanager
def _peak_memory(pid: int, every_s: float = 0.2) -> Iterator[list[int]]:
    """Collect the resident bytes of process ``pid`` and its children while the block runs."""
    seen, end = [0], threading.Event()

    def watch() -> None:
        with contextlib.suppress(psutil.Error):
            kernel = psutil.Process(pid)
            over = False
            while not over:
                over = end.wait(every_s)  # and one last look when the block has ended
                seen[0] = max(seen[0], _resident(kernel))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join(timeout=5)


def _resident(kernel: psutil.Process) -> int:
    total = int(kernel.memory_info().rss)
    for child in kernel.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            total += int(child.memory_info().rss)
    return total
