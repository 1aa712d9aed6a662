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
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from programs.bench.fields import Flash, MachineFacts, Outcome, Record, Repetition, Setup
from programs.bench.store import MAX_FILE_BYTES, fault
from workbook import paths
from workbook.errors import BadOption

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
_Nanoseconds = Annotated[int, Field(gt=0, strict=True)]


class _Test(BaseModel):
    """A row as llama-bench writes it; a whole number may be text, as CSV has it. Other fields are in ``model_extra``."""

    model_config = {"extra": "allow", "protected_namespaces": ()}

    test_time: datetime
    model_filename: str
    model_type: str = ""
    model_n_params: int | None = None
    n_prompt: int
    n_gen: int
    n_depth: int = 0
    n_batch: int | None = None
    n_ubatch: int | None = None
    n_threads: int | None = None
    n_gpu_layers: int | None = None
    type_k: str | None = None
    type_v: str | None = None
    flash_attn: Any = None
    build_number: int | None = None
    build_commit: str | None = None
    cpu_info: str = ""
    gpu_info: str = ""
    samples_ns: Annotated[list[_Nanoseconds], Field(min_length=1, max_length=100_000)] | None = None
    avg_ns: Annotated[int, Field(gt=0)] | None = None

    def cell(self) -> str:
        """The test as llama-bench's own table names it: pp512, tg128, pp512+tg128, tg128 @ d4096."""
        sizes = {"pp": self.n_prompt, "tg": self.n_gen}
        name = "+".join(f"{mark}{size}" for mark, size in sizes.items() if size)
        if not name:
            raise ValueError("n_prompt and n_gen are 0")
        return name + (f" @ d{self.n_depth}" if self.n_depth else "")


def records(path: Path, host: str | None = None) -> list[Record]:
    """The records of a file that llama-bench wrote. ``host``: an alias of the machine that it ran on; None: unknown.

    The same file gives the same run id again, and so does one to which rows were added since.
    Raises BadOption: no such file, one that is too large, or not what llama-bench writes (with the row).
    """
    rows = _rows(path)
    run_id = hashlib.sha256(json.dumps(rows[0], sort_keys=True).encode()).hexdigest()[:12]
    made: list[Record] = []
    count: Counter[str] = Counter()
    for number, row in enumerate(rows, 1):
        try:
            test = _Test.model_validate(row)
            setup, at = _setup(test), test.test_time
            gpus = (test.gpu_info[:100],) if test.gpu_info else None
            machine = MachineFacts(host=host, cpu_model=test.cpu_info[:100] or None, gpus=gpus)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
            for outcome in _outcomes(test):
                count[setup.hash()] += 1
                rep = Repetition(run_id=run_id, rep_index=count[setup.hash()], is_warmup=False, started_at=at)
                made.append(Record.of(rep, setup, outcome, machine))
        except (ValueError, OverflowError) as error:  # pydantic's are among them
            said = fault(error) if isinstance(error, ValidationError) else str(error)
            raise BadOption(f"{path.name}, row {number}: {said[:250]}. {_HOW}") from None
    return made


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the file, each by name of field."""
    shown = paths.shown(path)
    if not path.is_file():
        raise BadOption(f"{shown} is no file. {_HOW}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadOption(f"{shown} is larger than {MAX_FILE_BYTES >> 20} MiB. {_HOW}")
    try:
        found = _parsed(path.read_bytes().decode("utf-8-sig"))
        if found and not any(row.keys().isdisjoint(("samples_ns", "avg_ns")) for row in found):
            return found
    except (ValueError, RecursionError, csv.Error, AttributeError):  # AttributeError: a row is no object
        pass
    raise BadOption(f"{shown} is not what llama-bench writes. {_HOW}")


def _parsed(text: str) -> list[dict[str, Any]]:
    start = text.lstrip()[:1]
    if start == "[":
        return list(json.loads(text))
    if start == "{":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    rows = csv.DictReader(io.StringIO(text), strict=True)
    return [row for row in rows if None not in row and None not in row.values()]


def _setup(test: _Test) -> Setup:
    # A word of others: cut, because a long one made for it would keep the pattern busy for hours.
    described = _DESCRIBED.fullmatch(test.model_type[:200])
    quant = described and described["quant"].removeprefix("all ") + (f"_{described['mix']}" if described["mix"] else "")
    build = f"b{test.build_number} ({test.build_commit})"[:80] if test.build_number is not None else None
    more = {name: value for name, value in (test.model_extra or {}).items() if value not in (None, "")}
    # JSON writes true where CSV writes 1.
    noted = [f"{name} {int(v) if isinstance(v := more[name], bool) else v}" for name in _NOTED if name in more]
    told = test.model_dump(include=set(Setup.model_fields) - {"model_type", "flash_attn"})
    return Setup(
        method="llama-bench",
        prompt_id=test.cell(),
        engine="llama.cpp",
        engine_version=build and f"llama-bench {build}",
        engine_build=build,
        build_info=", ".join(noted)[:1000] or None,
        # The file's name alone: the folder is a matter of the machine it lay on.
        model_name=re.split(r"[/\\]", test.model_filename)[-1].removesuffix(".gguf")[:100],
        model_type=described and described["arch"],
        quant=quant or None,
        flash_attn=_FLASH.get(str(test.flash_attn).lower()),
        **told,
    )


def _outcomes(test: _Test) -> Iterator[Outcome]:
    mean = ("the mean of repetitions that the file does not tell",)
    samples, warnings = (test.samples_ns, ()) if test.samples_ns else ([test.avg_ns], mean)
    for took in samples:
        yield Outcome(
            n_prompt=test.n_prompt,
            n_cached=0,
            n_gen=test.n_gen,
            token_count_source="engine",
            prompt_ns=took if not test.n_gen else None,
            gen_ns=took if not test.n_prompt else None,
            total_ns=took,
            warnings=warnings,
        )
