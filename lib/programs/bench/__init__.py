"""Benchmarks others can trust: the record, how it is measured, sampled and kept."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from programs.bench import compare, llamabench, machine, merge, records, stats, store

__all__ = ["compare", "llamabench", "machine", "merge", "records", "stats", "store"]


def __getattr__(name: str) -> ModuleType:
    """Import a module when it is first used (PEP 562): ``workbook --help`` needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
