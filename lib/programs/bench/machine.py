"""This machine, as a record keeps it: what it is, and an alias instead of its name."""

from __future__ import annotations

import hashlib
import platform
import uuid

from pydantic import TypeAdapter, ValidationError

from programs.bench.fields import Alias, MachineFacts, as_line
from workbook import hardware
from workbook.errors import BadOption

_NOT_ON_WINDOWS = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_TAKEN = {"dropped", "unknown-host"}  # folders of the store


def machine_facts(host: str) -> MachineFacts:
    """What ``hardware.machine`` finds, as a record keeps it."""
    found = hardware.machine()
    gpus = found.gpus
    vram = [gpu.vram_total_bytes for gpu in gpus or () if gpu.vram_total_bytes]
    known = {name: getattr(found, name) for name in MachineFacts.model_fields if hasattr(found, name)}
    known |= {name: as_line(known[name] or "", 100).strip() or None for name in ("cpu_model", "os", "kernel")}
    known["gpus"] = None if gpus is None else tuple(gpu.name for gpu in gpus)
    known["vram_total_bytes"] = tuple(vram) if gpus and len(vram) == len(gpus) else None
    known["driver"] = next((gpu.driver for gpu in gpus or () if gpu.driver), None)
    return MachineFacts(**known, host=host)


def host_alias(given: str | None = None) -> str:
    """``given`` if it can name a folder on every system, else a pseudonym such as "host-3fa91c".

    The pseudonym is the start of a hash of this machine's name and network address: the same on every run, another
    one on another machine, and too short to tell the name. Raises BadOption.
    """
    if given is None:
        node = uuid.getnode()
        address = "" if node >> 40 & 1 else f"{node:x}"  # with that bit set it is a random number, new in every process
        return "host-" + hashlib.sha256(f"workbook {platform.node()} {address}".encode()).hexdigest()[:6]
    try:
        alias: str = TypeAdapter(Alias).validate_python(given, strict=True)
    except ValidationError:
        raise BadOption(f"host={given!r}: up to 40 letters, digits, - or _, a letter or digit first.") from None
    if alias.lower() in _NOT_ON_WINDOWS | _TAKEN:
        raise BadOption(f"host={given!r}: Windows or the store uses this name; choose another alias.")
    return alias
