"""The quick reading of records against the strict one, line by line, over thousands of damaged and odd lines."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from bench_samples import sample
from pydantic import ValidationError

from programs.bench import index, quick, store
from programs.bench.fields import Lasting, Record, Setup, Varying, digest, refuse_impossible
from programs.bench.lines import Problem

FIXTURES = Path(__file__).parent / "fixtures" / "records"
GOOD = [
    sample(recorder_version="1.0", plan_hash="ab" * 8, seed=7, prompt_prefix="Nº 1"),
    sample(method="llama-bench", prompt_id="pp512", n_gen=0, gen_ns=None, ttft_ns=None, ttf_answer_ns=None),
    sample(status="timeout", error="no answer, after 30 s", warnings=("busy, 40%", "hot"), server_pids=(1, 2)),
    sample(model_name='a "quoted", é', build_info=',"status":"ok",', n_reasoning=3, thinking=True, energy_j=0.1 + 0.2),
]
GRADED: dict[str, Any] = {
    "task_id": "snake", "grade": "L3", "grade_reasons": ("it ran, and", "ended"), "checks": {"starts": True, "ends": False},
    "passed": False, "mark": "reserve", "predicted_memory_bytes": 5, "predicted_tg_ts": 1e-320,
}  # fmt: skip
_ODD = """
    null true false 0 -0 1 -1 1.0 0.0 -0.5 0.5 1e2 1E400 -1e400 NaN Infinity -Infinity nan 01 1. .5 0x1 1_0 100 101
    9007199254740992 9007199254740993 9223372036854775808 -9007199254740993 1000000000000000000000000000000
    12345.678901234567890123456789 4.9e-324 "" "x" "1" "ok" "timeout" "client-stream" "on" "a,b" "a\\u0000b" "a\\u001bb"
    "\\ud800" "\\ud83d\\ude00" "é" "0123456789ab" "0123456789AB" "2026-01-02T03:04:05Z" "2026-01-02T03:04:05"
    "2026-01-02T03:04:05.1234567+00:00" "2026-01-02T03:04:05+01:00" "2026-01-02" "1767322800" [] {} [1] ["a"] [null] [true]
    [1.5] [-1] [0] ["a","b"] {"a":true} {"a":1} {"a":null} {"":true} "
"""
ODD = _ODD.split()
LONG = [
    '"' + "x" * 101 + '"',
    '"' + "x" * 1001 + '"',
    "9" * 5000,
    "[" * 150 + "]" * 150,
    "[" * 300 + "]" * 300,
    '{"a":' * 300,
]
LONG += [
    json.dumps(["x"] * 21),
    json.dumps(["x"] * 65),
    json.dumps([1] * 1001),
    json.dumps(dict.fromkeys(map(str, range(101)), True)),
]
MARKERS = ("method", "status", "host", "pp_ts")

Members = list[tuple[str, str]]


def members(record: Record) -> Members:
    """The members of a record's line in order: name and value, both as they stand there."""
    return [(name, json.dumps(value, ensure_ascii=False)) for name, value in json.loads(record.line()).items()]


def written(found: Members, comma: str = ",", colon: str = ":") -> bytes:
    return ("{" + comma.join(f'"{name}"{colon}{value}' for name, value in found) + "}").encode("utf-8", "surrogatepass")


def graded() -> Record:
    return Record(**dict(GOOD[0]) | GRADED)


def changed_members(found: Members) -> Iterator[bytes]:
    """One member with another value, gone, doubled, moved or renamed."""
    for place, (name, value) in enumerate(found):
        before, after = found[:place], found[place + 1 :]
        for odd in (*ODD, *LONG) if place % 5 == 0 or value[0] in '"[{' else ODD:
            yield written([*before, (name, odd), *after])
        yield written([*before, *after])
        yield written([*before, (name.upper(), value), *after])
        for twice in (value, "null", "NaN", "[{}]"):
            yield written([*before, (name, twice), (name, value), *after])
            yield written([*before, (name, value), *after, (name, twice)])
            yield written([(name, twice), *found])
        yield written([*before, *after, (name, value)])
        yield written([(name, value), *before, *after])
        yield written([*before, (name, value), (f"x{place}", "1"), *after])


def renamed_setups(found: Members) -> Iterator[bytes]:
    """Set-ups with another value and the hash that belongs to it: only the value itself can be refused."""
    for name in Setup.model_fields:
        for odd in ODD:
            with contextlib.suppress(ValueError, RecursionError):
                known = {one: json.loads(said) for one, said in found if one in Setup.model_fields} | {
                    name: json.loads(odd)
                }
                changed = {name: odd, "config_hash": f'"{digest(known)}"'}
                yield written([(one, changed.get(one, said)) for one, said in found])


def trapped(found: Members) -> Iterator[bytes]:
    """Names at which a line is cut, at places where they mean something else."""
    for name in (*MARKERS, "config_hash", "checks", "run_id", "quant"):
        for value in ("true", '"ok"', "{}", "1"):
            inside = '{"a":true,"' + name + '":' + value + "}"
            for where in ("checks", "surprise", "warnings", "error", "quant", "run_id"):
                yield written([(one, inside if one == where else said) for one, said in found])
                for place in range(0, len(found), 20):
                    yield written([*found[:place], (where, inside), *found[place:]])
        for text in (f',"{name}":1', f'\\",\\"{name}\\":1', f',\\"{name}\\":'):
            for where in ("error", "quant", "build_info", "kernel", "sandbox", "warnings"):
                yield written([(one, f'"{text}"' if one == where else said) for one, said in found])
    whole = written(found)
    cuts = sorted(whole.index(f',"{name}":'.encode()) for name in MARKERS)
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    for _ in range(300):  # the pieces in another order, left out, doubled
        yield b"".join(RANDOM.choices(pieces, k=RANDOM.randint(1, 6)))
    opened = pieces[1] + b',"checks":{"a":true'
    closed = b',"host":true}' + pieces[3]
    yield pieces[0] + opened + pieces[2] + closed + pieces[4]
    booleans = b',"status":true,"is_warmup":false'
    yield pieces[0] + opened + booleans + closed + pieces[4][:-1] + pieces[2][:] + b"}"


def damaged(line: bytes) -> Iterator[bytes]:
    """Cut, flipped and padded bytes."""
    yield from (line[:end] for end in range(0, len(line), 3))
    for place in range(0, len(line), 2):
        flipped = bytes([line[place] ^ RANDOM.choice((1, 2, 4, 32, 128))])
        yield line[:place] + flipped + line[place + 1 :]
        yield (
            line[:place]
            + RANDOM.choice((b"", b" ", b",", b'"', b"\\", b"\xff", b"{", b"}", b"\x00", b"0"))
            + line[place:]
        )
    for more in (b" ", b"\r", b"\t", b"\xef\xbb\xbf", b"x", b"{}", b",", b"}", b"\x00", b"//", b"\xff"):
        yield from (more + line, line + more, b"{" + more + line[1:], line[:-1] + more + b"}")
    yield from (b" " * (store.MAX_LINE_BYTES - len(line) + more) + line for more in (0, 1))


def odd_lines() -> Iterator[bytes]:
    for record in (*GOOD, graded()):
        found = members(record)
        yield written(found)
        for order in (found[::-1], sorted(found), RANDOM.sample(found, len(found))):
            yield from (written(order), written(order, ", ", ": "))
        yield from (written(found, ", ", ": "), written(found, ",\t", " :"), written(found, ",", ": "))
        yield written([(one, said) for one, said in found if said != "null"])
        yield json.dumps(json.loads(record.line())).encode()
    for method, wrong in (("llama-bench", "100.0"), ("server-timings", "110.0")):  # each has the other's rate
        yield written([(one, wrong if one == "tg_ts" else said) for one, said in members(sample(method=method))])
    yield from changed_members(members(graded()))
    yield from renamed_setups(members(graded()))
    yield from trapped(members(graded()))
    yield from damaged(written(members(graded())))
    for path in FIXTURES.glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            yield from (line, json.dumps(json.loads(line), sort_keys=True).encode())
            for pair in (
                (b'"n_threads":', b'"n_threads":1'),
                (b'"schema_version":', b'"schema_version":1'),
                (b"_ts", b"_st"),
            ):
                yield line.replace(*pair)
    yield from (b"{}", b"[]", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"\x00" * 300, b"\xff\xfe{", b"a" * 300_000)
    config = graded().config_hash.encode()
    yield written(members(graded())).replace(config, b"0" * 16)
    yield written(members(graded())).replace(config, config.upper())


RANDOM = random.Random(7)


@cache
def all_lines() -> list[bytes]:
    return list(odd_lines())


@cache
def strictly(line: bytes) -> Problem | tuple[object, dict[str, Any]]:
    """What the strict reader makes of a line: a problem, or what names the record, and its fields that are not null."""
    found = store.parse("a.jsonl", 3, line)
    if isinstance(found, Problem):
        return found
    return store.key(found), json.loads(found.model_dump_json(exclude_none=True))


def unlike(lines: list[bytes]) -> Iterator[tuple[bytes, object, object]]:
    """The lines that the quick reader reads otherwise than the strict one: after all others, and some by themselves."""
    kept: list[str] = []
    shared = quick.Reader(kept.append)
    for number, line in enumerate(lines):
        expected = strictly(line)
        own: list[str] = []
        alone = [(quick.Reader(own.append), own)] if number % 5 == 0 else []
        for reader, stored in ((shared, kept), *alone):
            found: Any = reader.parse("a.jsonl", 3, line)
            if not isinstance(found, Problem):
                lasting = json.loads(stored[found.lasting])
                assert lasting.pop("lasting") == found.lasting
                found = (found.key, lasting | json.loads(found.varying))
            if found != expected:
                yield line, found, expected


def test_thousands_of_odd_lines_are_read_alike() -> None:
    accepted = sum(not isinstance(strictly(line), Problem) for line in all_lines())
    assert len(all_lines()) > 5000
    assert accepted > 500
    assert list(unlike(all_lines())) == []


def test_the_usual_line_is_read_quickly_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "parse", lambda *_: pytest.fail("read strictly"))
    kept: list[str] = []
    reader = quick.Reader(kept.append)
    for record in (*GOOD, graded()):
        for rep in range(3):
            again = Record(**dict(record) | {"rep_index": rep})
            assert isinstance(reader.parse("a", 1, again.line().encode()), quick.Row)
    assert len(kept) == 4, "two of them share set-up and machine"


def loosened(model: type[Any], **config: Any) -> type[Any]:
    return type(model.__name__, (model,), {"model_config": config, "__annotations__": {}})


def unbound(model: type[Any], name: str, kind: Any) -> type[Any]:
    return type(model.__name__, (model,), {"__annotations__": {name: kind}})


class _AnyHash(Setup):
    def hash(self) -> Any:
        class Same(str):
            __slots__ = ()
            __hash__ = str.__hash__

            def __eq__(self, other: object) -> bool:
                return True

            def __ne__(self, other: object) -> bool:
                return False

        return Same()


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("refuse_impossible", lambda *_: None),
        *(("refuse_impossible", lambda found, _, method=method: refuse_impossible(found, method))
          for method in ("llama-bench", "client-stream")),
        ("Setup", _AnyHash),
        *((model.__name__, loosened(model, **how)) for model in (Varying, Setup, Lasting)
          for how in ({"extra": "ignore"}, {"strict": False})),
        ("Varying", unbound(Varying, "schema_version", int)),
        ("Varying", unbound(Varying, "load_ns", int | None)),
        ("Varying", unbound(Varying, "finish_reason", str | None)),
        ("Lasting", unbound(Lasting, "grade", str | None)),
        ("Setup", unbound(Setup, "prompt_id", str)),
    ],
)  # fmt: skip
def test_a_check_that_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch, name: str, instead: Any) -> None:
    monkeypatch.setattr(quick, name, instead)
    assert next(unlike(all_lines()), None) is not None


def test_the_limit_of_a_line_is_found_when_it_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    long = [line for line in all_lines() if len(line) > store.MAX_LINE_BYTES]
    for line in long:
        strictly(line)
    monkeypatch.setattr(store, "MAX_LINE_BYTES", 10**9)
    assert next(unlike(long), None) is not None


def test_the_parts_make_up_a_record() -> None:
    parts = [set(part.model_fields) for part in (Varying, Setup, Lasting)]
    assert sum(map(len, parts)) == len(Record.model_fields)
    assert set().union(*parts) == set(Record.model_fields)
    with pytest.raises(ValidationError):
        Varying(**dict(GOOD[0]))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("own_cache")
def test_the_columns_are_those_of_the_strict_records(tmp_path: Path) -> None:
    """Through the index: every fourth line, with a number of its own, so that none counts as repeated."""
    folder = tmp_path / "results"
    folder.mkdir()
    chosen = all_lines()[::4] + all_lines()[-20:]
    for start in range(0, len(chosen), 500):
        numbered = (
            line.replace(b'"rep_index":1,', f'"rep_index":{start + i},'.encode())
            for i, line in enumerate(chosen[start : start + 500])
            if b"\n" not in line
        )
        (folder / f"{start:06}.jsonl").write_bytes(b"\n".join(numbered) + b"\n")
    known, strict = index.open_index(folder), store.load(folder)
    assert len(strict.records) > 500
    cursor = known.db.execute("SELECT * EXCLUDE (file) FROM everything")
    names = [about[0] for about in cursor.description or ()]
    assert names == list(Record.model_fields)
    key = [names.index(name) for name in store.KEY]
    found = {tuple(row[i] for i in key): dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
    assert found.keys() == {store.key(record) for record in strict.records}
    for record in strict.records:
        assert found[store.key(record)] == _columns(record)
    said = [p for p in strict.problems if not p.message.startswith("this repetition")]
    ours = [p for p in known.problems if not p.message.startswith("this repetition")]
    assert sorted(map(str, ours)) == sorted(map(str, said))


def _columns(record: Record) -> dict[str, Any]:
    made = {name: list(value) if isinstance(value, tuple) else value for name, value in record}
    made["started_at"] = record.started_at.astimezone(UTC).replace(tzinfo=None)
    if record.checks is not None:
        made["checks"] = json.dumps(record.checks, separators=(",", ":"), ensure_ascii=False)
    return made
