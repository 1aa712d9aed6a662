"""Can this machine run the workbook, and what to do where it cannot.

No line holds a path, the name of this machine or of its user: the table may be shown and stored.
"""

from __future__ import annotations

import platform
from importlib import metadata

from workbook.doctor.diagnosis import Check, Diagnosis

__all__ = ["Check", "Diagnosis", "main", "table", "versions"]

_DISTRIBUTIONS = {"llama_cpp": "llama-cpp-python", "yaml": "PyYAML", "sklearn": "scikit-learn", "PIL": "pillow"}


def versions(*names: str) -> str:
    """One line: the versions of Python and of the packages, which are named as they are imported."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {_version(name)}" for name in names)])


def _version(name: str) -> str:
    try:
        return metadata.version(_DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return "not installed"


def table() -> Diagnosis:
    """Look at the machine, the packages, the models and the engines; some seconds.

    llama.cpp is tried in another process, because one that was built for another processor ends its process.
    """
    from workbook.doctor import engine_checks, machine_checks

    return Diagnosis((*machine_checks.checks(), *engine_checks.checks()))


def main() -> int:
    """Print the table. 1 if the workbook cannot run here, else 0."""
    diagnosis = table()
    print(diagnosis)
    return 1 if diagnosis.failed else 0
