"""The strict reader once more, cheaper where lines are alike: for the index, which reads all of them.

Most fields are the same in every line of a run: its set-up and its machine. A line laid out as the recorder lays it out
is cut in two there. What lasts is checked when it is met first; the rest of each line goes through the same model of
pydantic and the same checks as ever. A line laid out otherwise, or that fails any check here, is left to the strict
reader: only that one refuses lines, and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from programs.bench import store
from programs.bench.fields import Lasting, Method, Record, Setup, Varying, refuse_impossible
from programs.bench.lines import Problem

MOST_KEPT = 2000
_LASTING = {*Setup.model_fields, *Lasting.model_fields}


class Row(NamedTuple):
    """One record: what names it, and its fields that are not null as JSON, those that last by their number."""

    key: tuple[str, str, int]
    varying: str
    lasting: int


@dataclass(frozen=True, slots=True)
class _Known:
    method: Method
    config_hash: str
    number: int


class Reader:
    """Reads lines; ``keep`` gets each set of lasting fields as JSON, once or more, in the order of their numbers."""

    def __init__(self, keep: Callable[[str], object]) -> None:
        self._keep = keep
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._known: dict[tuple[bytes, bytes], _Known] = {}

    def read(self, path: Path) -> tuple[list[Row], list[Problem]]:
        """The records of one file, each repetition once, and what could not be read: as ``store.read`` finds them."""
        rows: dict[tuple[str, str, int], Row] = {}
        problems: list[Problem] = []
        for number, item in store.parsed(path, self.parse):
            if isinstance(item, Problem):
                problems.append(item)
            elif rows.setdefault(item.key, item) is not item:
                problems.append(store.again(path, number))
        return list(rows.values()), problems

    def parse(self, name: str, number: int, line: bytes) -> Row | Problem:
        """The record of one line, or what is wrong with it, as ``store.parse`` says it."""
        row = self._quick(line) if len(line) <= store.MAX_LINE_BYTES else None
        if row is not None:
            return row
        found = store.parse(name, number, line)
        return found if isinstance(found, Problem) else self._strict(found)

    def _quick(self, line: bytes) -> Row | None:
        """None: not laid out as usual, or not in order.

        Where ``,"name":`` stands in JSON, a member of an object begins. Neither ``Varying`` nor ``Setup`` has objects
        inside: what they pass was cut between members, and the line holds the members of the three and no others.
        """
        setup = line.find(b',"method":')
        outcome = line.find(b',"status":', setup)
        machine = line.find(b',"host":', outcome)
        rates = line.find(b',"pp_ts":', machine)
        if min(setup, outcome, machine, rates) < 0:
            return None
        lasting = line[setup + 1 : outcome], line[machine + 1 : rates]
        try:
            known = self._known.get(lasting) or self._learned(*lasting)
            varying = line[:setup] + line[outcome:machine] + line[rates:]
            found = Varying.__pydantic_validator__.validate_json(varying)  # model_validate_json, without its way there
            refuse_impossible(found, known.method)
        except ValueError:  # pydantic's are among them
            return None
        key = (found.run_id, known.config_hash, found.rep_index)
        return Row(key, found.model_dump_json(exclude_none=True), known.number)

    def _learned(self, setup: bytes, machine: bytes) -> _Known:
        first = Setup.model_validate_json(b"{" + setup + b"}")
        second = Lasting.model_validate_json(b"{" + machine + b"}")
        if second.config_hash != first.hash():
            raise ValueError("config_hash is not that of this set-up")
        both = [part.model_dump_json(exclude_none=True)[1:-1] for part in (first, second)]
        known = _Known(first.method, second.config_hash, self._number("{" + ",".join(both) + "}"))
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[setup, machine] = known
        return known

    def _strict(self, found: Record) -> Row:
        lasting = found.model_dump_json(exclude_none=True, include=_LASTING)
        varying = found.model_dump_json(exclude_none=True, exclude=_LASTING)
        return Row((found.run_id, found.config_hash, found.rep_index), varying, self._number(lasting))

    def _number(self, lasting: str) -> int:
        if lasting not in self._numbers:
            if len(self._numbers) >= MOST_KEPT:
                self._numbers.clear()
            self._numbers[lasting] = self._count
            self._keep(f'{{"lasting":{self._count},{lasting[1:]}\n')
            self._count += 1
        return self._numbers[lasting]
