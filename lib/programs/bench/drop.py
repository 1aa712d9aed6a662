"""A run is taken out of the results by moving it aside, never by deleting it, and can be brought back.

``<results>/dropped/<host>/`` holds what was dropped, under the names it had: records, marks and answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from programs.bench import answers, index, marks, store
from workbook import paths
from workbook.errors import BadOption


@dataclass(frozen=True)
class Moved:
    """What was moved: a run's id, and from where to where."""

    run_id: str
    moves: tuple[tuple[Path, Path], ...]

    @property
    def places(self) -> str:
        """Where it lies now, as text."""
        return ", ".join(paths.shown(new) for _, new in self.moves)


def drop(beginning: str, folder: Path | None = None) -> Moved:
    """Move the one run whose id begins so aside. Raises BadOption: none or several do, or it cannot be moved alone."""
    folder = paths.results() if folder is None else folder
    run_id, found = one_run(index.open_index(folder).run_files(beginning), beginning)
    for path in found:
        others = {record.run_id for record in store.read(path).records} - {run_id}
        if others:
            raise BadOption(f"{paths.shown(path)} holds {len(others)} other runs: mark this one invalid instead.")
    aside = folder / store.DROPPED
    return Moved(run_id, _move([(old, aside / old.relative_to(folder)) for path in found for old in _all_of(path)]))


def restore(beginning: str, folder: Path | None = None) -> Moved:
    """Bring the one dropped run whose id begins so back to where it was. Raises BadOption."""
    folder = paths.results() if folder is None else folder
    aside = folder / store.DROPPED
    found: dict[str, list[Path]] = {}
    for path in store.files(aside).paths:
        for run_id in {record.run_id for record in store.read(path).records}:
            if run_id.startswith(beginning):
                found.setdefault(run_id, []).append(path)
    run_id, files = one_run(found, beginning, "dropped runs")
    return Moved(run_id, _move([(old, folder / old.relative_to(aside)) for path in files for old in _all_of(path)]))


def one_run(found: Mapping[str, Sequence[Path]], beginning: str, what: str = "runs") -> tuple[str, Sequence[Path]]:
    """The only run in ``found``. Raises BadOption: none or several, with what to do."""
    if not found:
        raise BadOption(f"no {what} begin with {beginning!r}. See them with: workbook results list")
    if len(found) > 1:
        some = ", ".join(list(found)[:4]) + (", …" if len(found) > 4 else "")
        raise BadOption(f"{len(found)} {what} begin with {beginning!r}: {some}. Give more of the id.")
    return next(iter(found.items()))


def _all_of(records: Path) -> Iterator[Path]:
    """A file of records and what stands beside it; the records last, so that a halt leaves the run where it was."""
    for path in (answers.beside(records), marks.beside(records), records):
        if os.path.lexists(path):
            yield path


def _move(wanted: Sequence[tuple[Path, Path]]) -> tuple[tuple[Path, Path], ...]:
    """Rename each pair, or none. Raises BadOption: something is in the way, or a folder cannot be written."""
    for _, new in wanted:
        if os.path.lexists(new):
            raise BadOption(f"{paths.shown(new)} is there already. Move it away first.")
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in wanted:
            new.parent.mkdir(parents=True, exist_ok=True)
            os.rename(old, new)
            done.append((old, new))
    except OSError as error:
        for old, new in reversed(done):
            os.rename(new, old)
        raise BadOption(f"{paths.shown(wanted[0][0])} cannot be moved ({error.strerror}).") from None
    return tuple(done)
