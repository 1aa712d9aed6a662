"""The errors a user can meet: one line each, that says what happened and what to do.

In a notebook they show that line alone, without a traceback: the mistake is outside the code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkbookError(Exception):
    """What happened and what to do, in one line."""

    def _render_traceback_(self) -> list[str]:
        # IPython shows what this returns instead of a traceback.
        return [f"{type(self).__name__}: {self}"]


class ServerNotFound(WorkbookError):
    """No server answers at the address."""


class NoModel(WorkbookError):
    """The server answers but has no model installed."""


class ModelNotFound(WorkbookError):
    """The engine does not have the model that was named."""

    @classmethod
    def named(cls, name: str, installed: Iterable[str], install: str) -> ModelNotFound:
        """The error for an unknown ``name``: the nearest names first, then how to install it."""
        have = sorted(installed)
        near = difflib.get_close_matches(name, have, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        listed = ", ".join(have[:8]) + (", …" if len(have) > 8 else "")
        return cls(f"{name!r} is not installed. {hint}Installed: {listed or 'none'}. {install}")


class BadOption(WorkbookError):
    """An option has a name or value that cannot be right."""


class ContextOverflow(WorkbookError):
    """The prompt does not fit the context window."""


class OutOfMemory(WorkbookError):
    """The model or its context does not fit the memory."""


class DamagedModel(WorkbookError):
    """The model file is missing, incomplete or not what its name says."""


class StreamBroken(WorkbookError):
    """The server went away, or ended the answer, in mid-stream."""


class NotJSON(WorkbookError):
    """The answer should be JSON and is not."""


class NotToSchema(WorkbookError):
    """The answer is JSON but not of the schema asked for."""


class KeyMissing(WorkbookError):
    """The service needs a key and none is in the environment."""


class KeyWrong(WorkbookError):
    """The service refuses the key."""


class EngineTimeout(WorkbookError):
    """The engine did not answer in time."""


class EngineError(WorkbookError):
    """The engine refused the request for another reason; its own words are in the line."""


class LlamaCppMissing(WorkbookError):
    """llama.cpp is not here: llama-cpp-python not yet or in a light set-up, xllamacpp where it has no wheel."""


class VoilaMissing(WorkbookError):
    """Voilà is not installed."""


class BadName(WorkbookError):
    """The text is no model's name: it holds other signs, names nothing, or says two things at once."""


class BadExercise(WorkbookError):
    """There is no exercise of that number, or the file that holds it is wrong."""


class BadPlan(WorkbookError):
    """A plan of benchmarks cannot be read or cannot be run; the line says where in the file, by line and column."""


class RunChanged(WorkbookError):
    """A run cannot go on as it began: the engine, the model or a setting is another one now."""


class BadPage(WorkbookError):
    """A page cannot be read, does not exist, or holds what a stored page must not."""


class SiteFailed(WorkbookError):
    """The site was not built, or not without warnings."""


class PageStopped(WorkbookError):
    """A page's execution ended before its last cell.

    ``cell`` counts all cells from 1, as JupyterLab's reader does; ``kind`` is the error's own name.
    """

    def __init__(self, cell: int, kind: str, says: str) -> None:
        super().__init__(f"cell {cell}: {kind}: {says}")
        self.cell, self.kind, self.says = cell, kind, says


class NotKept(WorkbookError):
    """A record cannot be written: no space is left, or the folder may not be written. What was finished is kept."""


class NotAlone(WorkbookError):
    """Another command is at work where only one may be."""


class NotComparable(WorkbookError):
    """The records differ in more than what is compared."""


class NoConsent(WorkbookError):
    """Running a program of others was not agreed to, or not in a tier as weak as this machine's."""


class NoSandbox(WorkbookError):
    """This machine has no tier to contain a program in, or not the one that was named."""


class BadTask(WorkbookError):
    """There is no such graded task, or the file that holds it is wrong."""
