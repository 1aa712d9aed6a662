"""The graphics cards of this machine, asked of their drivers; what no driver tells stays unknown."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

_MIB = 2**20
NVIDIA_SMI_SECONDS = 10.0  # without its persistence daemon, nvidia-smi starts the driver: seconds
_WSL = "/usr/lib/wsl/lib/nvidia-smi"  # there under WSL, but on no PATH
_AMD = "0x1002"


@dataclass(frozen=True)
class Gpu:
    """A graphics card. ``unified``: it has no memory of its own, but works in the machine's RAM.

    ``vram_free_bytes`` is that of the moment. None: the driver does not say.
    """

    name: str
    vram_total_bytes: int | None = None
    vram_free_bytes: int | None = None
    driver: str | None = None
    unified: bool = False


def gpus(
    cpu_model: str | None = None, root: Path = Path("/"), timeout_s: float = NVIDIA_SMI_SECONDS
) -> tuple[Gpu, ...] | None:
    """The cards found; None when a driver is there and does not answer.

    NVIDIA through nvidia-smi, AMD through Linux's sysfs below ``root``, Apple by the processor's name.
    Cards of other makes are not looked for.
    """
    nvidia = _nvidia(timeout_s)
    apple = _apple(cpu_model)
    amd = _amd(root)
    return None if nvidia is None and not amd else (nvidia or ()) + amd + apple


def _apple(cpu_model: str | None) -> tuple[Gpu, ...]:
    if platform.system() != "Darwin" or not (cpu_model or "").startswith("Apple"):
        return ()
    return (Gpu(name=f"{cpu_model} GPU", driver="Metal", unified=True),)


def _nvidia(timeout_s: float) -> tuple[Gpu, ...] | None:
    command = shutil.which("nvidia-smi") or (_WSL if Path(_WSL).is_file() else None)
    if command is None:
        return ()
    query = ["--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits"]
    text = ask([command, *query], timeout_s)
    if text is None:
        return None
    if "no devices were found" in text.lower():
        return ()
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line]
    return tuple(
        Gpu(
            name=row[0],
            vram_total_bytes=_mib(row[1]),
            vram_free_bytes=_mib(row[2]),
            driver=row[3],
            unified=_mib(row[1]) is None,
        )
        for row in rows
        if _is_card(row)
    ) or (None if rows else ())


def _is_card(row: list[str]) -> bool:
    known = len(row) == 4 and row[0].isprintable() and 0 < len(row[0]) < 80
    return (
        known and re.fullmatch(r"\d+|\[.*\]", row[1]) is not None and re.fullmatch(r"\d+(\.\d+)+", row[3]) is not None
    )


def _mib(text: str) -> int | None:
    """Bytes from nvidia-smi's MiB; it writes [N/A] where a card works in the machine's RAM."""
    return int(text) * _MIB if text.isdecimal() and 0 < int(text) < 2**30 else None


def _amd(root: Path) -> tuple[Gpu, ...]:
    found = []
    for card in sorted((root / "sys/class/drm").glob("card*")):
        device = card / "device"
        if not card.name[4:].isdigit() or _first_line(device / "vendor") != _AMD:
            continue
        code = (_first_line(device / "device") or "unknown").removeprefix("0x")
        total, used = (_first_line(device / f"mem_info_vram_{what}") for what in ("total", "used"))
        vram = int(total) if total and total.isdecimal() else None
        left = vram - int(used) if vram is not None and used and used.isdecimal() else None
        name = _first_line(device / "product_name") or f"AMD card (device {code})"
        found.append(Gpu(name=name, vram_total_bytes=vram, vram_free_bytes=left, driver="amdgpu" if vram else None))
    return tuple(found)


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[0][:80]
    except (OSError, IndexError):
        return None


def ask(command: list[str], timeout_s: float) -> str | None:
    """What ``command`` prints; None when it fails, or is not done in ``timeout_s`` seconds."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=os.name == "posix",
        )
    except OSError:
        return None
    try:
        out, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(child)
        return None
    return out.decode("utf-8", "replace") if child.returncode == 0 else None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and those it started, and wait for it no longer than a second."""
    try:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait(timeout=1)
    except (OSError, subprocess.TimeoutExpired):
        pass  # a driver that hangs in the kernel cannot be killed: leave it
