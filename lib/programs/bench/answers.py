"""The answers of a run, kept beside its records: ``<run's file without .jsonl>.answers/<name>.md``, one a repetition.

Those of other machines come along with their records: only whole, named, of text, and named by a record's checksum.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from programs.bench import lines
from programs.bench.lines import Problem
from workbook import paths

SUFFIX = ".answers"
MAX_BYTES = 2 * 2**20
MAX_FILES = 10_000
MAX_TOTAL_BYTES = 256 * 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}\.md")


@dataclass(frozen=True)
class Carried:
    """How many answers were added, were there already, and what was refused."""

    added: int = 0
    known: int = 0
    refused: tuple[Problem, ...] = ()


def beside(records: Path) -> Path:
    """Where the answers of a run stand whose records are in ``records``."""
    return records.with_suffix(SUFFIX)


def carry(source: Path, target: Path, wanted: Collection[str]) -> Carried:
    """Copy the answers in the folder ``source`` into ``target``: those whose sha256 is among ``wanted``.

    None is overwritten. ``source`` is not trusted: links, odd names, what is too large and what no record names stay.
    """
    if source.is_symlink() or not source.is_dir():
        said = "a link: not followed" if source.is_symlink() else "no folder: not read"
        return Carried(refused=(_problem(source, said),)) if os.path.lexists(source) else Carried()
    names = sorted(os.listdir(source))
    refused = [_problem(source, f"more than {MAX_FILES} answers: the rest is left")] if len(names) > MAX_FILES else []
    added = known = total = 0
    for name in names[:MAX_FILES]:
        content, why = _read(source / name)
        total += len(content or b"")
        if content is not None and total > MAX_TOTAL_BYTES:
            refused.append(_problem(source, f"more than {MAX_TOTAL_BYTES >> 20} MiB of answers: the rest is left"))
            break
        if content is not None and hashlib.sha256(content).hexdigest() not in wanted:
            content, why = None, "no record of this run names it by its checksum"
        if content is None:
            refused.append(_problem(source / name, why))
        elif lines.create(target / name, content):
            added += 1
        elif (target / name).read_bytes() == content:
            known += 1
        else:
            refused.append(_problem(source / name, f"differs from {paths.shown(target / name)}"))
    return Carried(added, known, tuple(refused))


def _read(path: Path) -> tuple[bytes | None, str]:
    """What is in an answer's file, or why it is not taken."""
    if not _NAME.fullmatch(path.name):
        return None, "an odd name: refused"
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            return None, "a link or no file: refused"
        if about.st_size > MAX_BYTES:
            return None, f"larger than {MAX_BYTES >> 20} MiB: refused"
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        content.decode()
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return None, "no text in UTF-8: refused"
    return (content, "") if len(content) <= MAX_BYTES else (None, "it grows while it is read: refused")


def _problem(path: Path, why: str) -> Problem:
    return Problem(lines.printable(paths.shown(path)), 0, why)
