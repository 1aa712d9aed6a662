"""The graphics cards of this machine, asked of their drivers; what no driver tells stays unknown."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pynvml

from workbook.cgroups import read

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


def gpus(cpu_model: str | None = None, root: Path = Path("/")) -> tuple[Gpu, ...] | None:
    """The cards found; None when NVIDIA's driver is there and does not answer.

    NVIDIA through its management library, AMD through Linux's sysfs below ``root``, Apple by the processor's name.
    Cards of other makes are not looked for.
    """
    others = tuple(_amd(root))
    if platform.system() == "Darwin" and (cpu_model or "").startswith("Apple"):
        others = (Gpu(f"{cpu_model} GPU", driver="Metal", unified=True),)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return others
    except pynvml.NVMLError:
        return others or None
    try:
        return (*(_nvidia(i) for i in range(pynvml.nvmlDeviceGetCount())), *others)
    except pynvml.NVMLError:
        return others or None
    finally:
        pynvml.nvmlShutdown()


def _nvidia(index: int) -> Gpu:
    card = pynvml.nvmlDeviceGetHandleByIndex(index)
    name, driver = str(pynvml.nvmlDeviceGetName(card)), str(pynvml.nvmlSystemGetDriverVersion())
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(card)
    except pynvml.NVMLError_NotSupported:
        return Gpu(name, driver=driver, unified=True)
    return Gpu(name, int(memory.total), int(memory.free), driver)


def _amd(root: Path) -> Iterator[Gpu]:
    for device in sorted(root.glob("sys/class/drm/card[0-9]*/device")):
        if "-" in device.parent.name or read(device / "vendor") != _AMD:  # card1-DP-1 is a socket of card1
            continue
        code = read(device / "device").removeprefix("0x") or "unknown"
        total = used = None
        with contextlib.suppress(ValueError):
            total = int(read(device / "mem_info_vram_total"))
            used = int(read(device / "mem_info_vram_used"))
        yield Gpu(
            name=read(device / "product_name")[:80] or f"AMD card (device {code})",
            vram_total_bytes=total,
            vram_free_bytes=None if total is None or used is None else total - used,
            driver=None if total is None else "amdgpu",
        )
