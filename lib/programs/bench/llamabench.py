"""What llama-bench prints, as records: its repetitions become ours, and what it does not tell stays null.

Fields are found by name, never by their place. ``-o json`` and ``-o jsonl`` hold every repetition (``samples_ns``);
``-o csv`` holds their mean alone, which becomes one repetition with a warning. The tables of ``-o md`` are rounded
and ``-o sql`` is a program: both are refused.
Source: llama.cpp, tools/llama-bench/llama-bench.cpp, build 11434, struct test.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import ntpath
import posixpath
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from programs.bench.fields import Flash, MachineFacts, Outcome, Record, Repetition, Setup
from workbook import paths
from workbook.errors import BadOption

MAX_BYTES = 64 * 2**20
MAX_ROWS = 100_000
MAX_SAMPLES = 100_000
_HOW = "Give what llama-bench writes with -o json or -o jsonl."
_NOTED = (
    "backends", "devices", "split_mode", "main_gpu", "tensor_split", "tensor_buft_overrides", "no_kv_offload",
    "no_op_offload", "no_host", "n_cpu_moe", "cpu_mask", "cpu_strict", "poll", "use_mmap", "load_mode", "lazy_mode",
    "embeddings", "repack",
)  # fmt: skip
"""Settings that change the speed and have no field of their own: ``build_info`` tells them."""

_DESCRIBED = re.compile(
    r"(?P<arch>\S+) .*?(?P<quant>[A-Z]+\d\S*|all F32)(?: - (?P<mix>[SML])(?:mall|edium|arge)| - [\d.]+ bpw.*| MoE)?(?: \(guessed\))?"
)
"""What ``model_type`` says: "llama 8B Q4_K - Medium", "qwen2 1.5B all F32", "phi3 3B IQ4_XS - 4.25 bpw"."""

_FLASH: Mapping[str, Flash] = {"-1": "auto", "0": "off", "1": "on", "false": "off", "true": "on"}


def records(path: Path, host: str | None = None) -> list[Record]:
    """The records of a file that llama-bench wrote. ``host``: an alias of the machine that it ran on; None: unknown.

    The same file gives the same run id again, and so does one to which rows were added since.
    Raises BadOption: no such file, one that is too large, or not what llama-bench writes (with the row).
    """
    rows = _rows(path)
    run_id = hashlib.sha256(json.dumps(rows[0], sort_keys=True).encode()).hexdigest()[:12]
    made: list[Record] = []
    count: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        try:
            setup, machine = _setup(row), _machine(row, host)
            started_at = _time(row)
            for outcome in _outcomes(row, setup):
                rep = count[setup.hash()] = count.get(setup.hash(), 0) + 1
                which = Repetition(run_id=run_id, rep_index=rep, is_warmup=False, started_at=started_at)
                made.append(Record.of(which, setup, outcome, machine))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadOption(f"{path.name}, row {number}: {where}: {first['msg'][:200]}. {_HOW}") from None
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            said = f"no field {error}" if isinstance(error, KeyError) else str(error)[:200]
            raise BadOption(f"{path.name}, row {number}: {said}. {_HOW}") from None
    return made


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the file, each by name of field."""
    shown = paths.shown(path)
    if not path.is_file():
        raise BadOption(f"{shown} is no file. {_HOW}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadOption(f"{shown} is larger than {MAX_BYTES >> 20} MiB. {_HOW}")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadOption(f"{shown} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise BadOption(f"{shown} is no text in UTF-8. {_HOW}") from None
    try:
        found = _parsed(text)
    except (ValueError, RecursionError, csv.Error):
        found = []
    if (
        not found
        or len(found) > MAX_ROWS
        or not all(isinstance(row, dict) and ("samples_ns" in row or "avg_ns" in row) for row in found)
    ):
        raise BadOption(f"{shown} is not what llama-bench writes. {_HOW}")
    return found


def _parsed(text: str) -> list[dict[str, Any]]:
    start = text.lstrip()[:1]
    if start == "[":
        found = json.loads(text)
        return found if isinstance(found, list) else []
    if start == "{":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    rows = csv.DictReader(io.StringIO(text), strict=True)
    if rows.fieldnames is None or len(set(rows.fieldnames)) != len(rows.fieldnames):
        return []
    return [dict(row) for row in rows if None not in row and None not in row.values()]


def _setup(row: Mapping[str, Any]) -> Setup:
    # A word of others: cut, because a long one made for it would keep the pattern busy for hours.
    described = _DESCRIBED.fullmatch(str(row.get("model_type") or "")[:200])
    quant = described and described["quant"].removeprefix("all ") + (f"_{described['mix']}" if described["mix"] else "")
    number, commit = row.get("build_number"), row.get("build_commit")
    noted = [f"{name} {_plain(row[name])}" for name in _NOTED if row.get(name) not in (None, "")]
    return Setup(
        method="llama-bench",
        prompt_id=_cell(row),
        engine="llama.cpp",
        engine_version=f"llama-bench b{number} ({commit})"[:100] if number is not None else None,
        engine_build=f"b{number} ({commit})"[:100] if number is not None else None,
        build_info=", ".join(noted)[:1000] or None,
        model_name=_model(str(row["model_filename"])),
        model_type=described["arch"] if described else None,
        quant=quant or None,
        model_n_params=_whole(row, "model_n_params") or None,
        n_batch=_whole(row, "n_batch"),
        n_ubatch=_whole(row, "n_ubatch"),
        n_threads=_whole(row, "n_threads"),
        n_gpu_layers=_whole(row, "n_gpu_layers"),
        type_k=row.get("type_k") or None,
        type_v=row.get("type_v") or None,
        flash_attn=_FLASH.get(str(row.get("flash_attn")).lower()),
    )


def _plain(value: Any) -> Any:
    """JSON writes true where CSV writes 1."""
    return int(value) if isinstance(value, bool) else value


def _cell(row: Mapping[str, Any]) -> str:
    """The test as llama-bench's own table names it: pp512, tg128, pp512+tg128, tg128 @ d4096."""
    sizes = [(mark, _whole(row, field) or 0) for mark, field in (("pp", "n_prompt"), ("tg", "n_gen"))]
    depth = _whole(row, "n_depth") or 0
    name = "+".join(f"{mark}{size}" for mark, size in sizes if size)
    if not name:
        raise ValueError("n_prompt and n_gen are 0")
    return name + (f" @ d{depth}" if depth else "")


def _outcomes(row: Mapping[str, Any], setup: Setup) -> Iterator[Outcome]:
    samples = row.get("samples_ns")
    warnings: tuple[str, ...] = ()
    if samples is None:
        samples, warnings = [_whole(row, "avg_ns")], ("the mean of repetitions that the file does not tell",)
    if not isinstance(samples, list) or not 0 < len(samples) <= MAX_SAMPLES:
        raise ValueError(f"samples_ns is no list of 1 to {MAX_SAMPLES} times")
    n_prompt, n_gen = _whole(row, "n_prompt"), _whole(row, "n_gen")
    for took in samples:
        yield Outcome(
            n_prompt=n_prompt,
            n_cached=0,
            n_gen=n_gen,
            token_count_source="engine",
            prompt_ns=took if not n_gen else None,
            gen_ns=took if not n_prompt else None,
            total_ns=took,
            warnings=warnings,
        )


def _machine(row: Mapping[str, Any], host: str | None) -> MachineFacts:
    gpu = str(row.get("gpu_info") or "")[:100]
    return MachineFacts(host=host, cpu_model=str(row.get("cpu_info") or "")[:100] or None, gpus=(gpu,) if gpu else None)


def _model(filename: str) -> str:
    """The file's name alone: the folder is a matter of the machine it lay on."""
    name = posixpath.basename(ntpath.basename(filename))
    return name.removesuffix(".gguf")[:100]


def _time(row: Mapping[str, Any]) -> datetime:
    """When the test began; llama-bench tells no more of its repetitions."""
    found = datetime.fromisoformat(str(row["test_time"]).replace("Z", "+00:00"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    """A whole number, which CSV writes as text; None where there is none."""
    value = row.get(name)
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d{1,18}", value) else _no_number(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return _no_number(name)


def _no_number(name: str) -> int:
    raise ValueError(f"{name} is no whole number")
