"""What the committed records, the names and the headers come to, written down before the code behind them changed.

``python tests/test_golden.py`` writes ``tests/golden/`` anew; a difference that is meant is committed with its reason.
"""

import contextlib
import io
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from programs.cli import app
from workbook import facts, formats, models, names, paths

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE, PLANS = (paths.data() / "results" / name for name in ("example", "plans"))
RESULTS = {
    "summary-example": ("summary", "--folder", EXAMPLE),
    "summary-plans": ("summary", "--folder", PLANS),
    "summary-by-engine": ("summary", "--folder", PLANS, "--by", "engine", "--by", "prompt_id"),
    "summary-where": ("summary", "--folder", PLANS, "--where", "engine=ollama"),
    "grades": ("grades", "--folder", PLANS),
    "grades-by-engine": ("grades", "--folder", PLANS, "--by", "engine"),
    "compare-runs": ("compare", "c131781ebc2f", "f06d7e84b2a8", "--folder", EXAMPLE),
    "compare-refused": ("compare", "d6c01378e67e", "ed38fbd342ed", "--folder", PLANS),
    "compare-anyway": ("compare", "d6c01378e67e", "ed38fbd342ed", "--anyway", "--folder", PLANS),
    "list-example": ("list", "--folder", EXAMPLE),
    "list-plans": ("list", "--folder", PLANS),
    "show-example": ("show", "c131", "--folder", EXAMPLE),
    "show-plans": ("show", "d6c0", "--folder", PLANS),
    "check": ("check", "--folder", PLANS),
}


def said(args: tuple[Any, ...]) -> str:
    """The words of what ``workbook results`` prints, line by line: columns may move, figures may not."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        app(["results", *map(str, args)])
    return "".join(f"{' '.join(line.split())}\n" for line in out.getvalue().splitlines() if line.strip())


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return json.loads(json.dumps(value, default=lambda other: sorted(map(str, other))))


def read_names() -> dict[str, Any]:
    return {name: plain(names.parse(name)) for name in sorted(set(facts.table("model_names")["name"]))}


def read_headers() -> dict[str, Any]:
    files = {"smollm2": models.packaged(), "minilm": models.minilm()}
    made = {}
    for name, path in files.items():
        info = plain(formats.inspect(path))
        made[name] = {key: value if not isinstance(value, list) or len(value) < 20 else [len(value), value[:3], value[-3:]]
                      for key, value in info.items()}  # fmt: skip
    return made


@pytest.mark.parametrize("name", RESULTS)
def test_results(name):
    assert said(RESULTS[name]) == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["names", "headers"])
def test_readings(name):
    assert READINGS[name]() == json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


READINGS = {"names": read_names, "headers": read_headers}

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for key, args in RESULTS.items():
        (GOLDEN / f"{key}.txt").write_text(said(args), "utf-8")
    for key, read in READINGS.items():
        rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in read().items())
        (GOLDEN / f"{key}.json").write_text(f"{{\n{rows}\n}}\n", "utf-8")
