"""Every file under data/ is in the dictionary, named as it says there, and readable as what it should be."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from programs.bench import store
from programs.bench.fields import Record
from workbook import exercises, pages, paths

DATA = paths.data()
DICTIONARY = (DATA / "README.md").read_text(encoding="utf-8")
LARGEST = 2_000_000


def shipped() -> list[str]:
    """The files under data/ that git keeps or would keep: a machine's own records are nobody else's."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "data"],
        cwd=paths.root(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [name.removeprefix("data/") for name in listed.stdout.split("\0") if name]
    return sorted(name for name in names if (DATA / name).is_file())


def patterns(dictionary: str) -> dict[str, re.Pattern[str]]:
    """The files that the dictionary's headings describe: ``prompts/<id>.txt`` stands for one file an id."""
    made = {}
    for heading in re.findall(r"^## (.+)$", dictionary, flags=re.M):
        for name in re.findall(r"`([^`]+)`", heading):
            made[name] = re.compile(re.sub(r"<[^>]+>", "[^/]+", re.escape(name)))
    return made


def undescribed(names: list[str], dictionary: str) -> list[str]:
    known = patterns(dictionary).values()
    return [name for name in names if name != "README.md" and not any(known_.fullmatch(name) for known_ in known)]


def stale(names: list[str], dictionary: str) -> list[str]:
    return [text for text, pattern in patterns(dictionary).items() if not any(map(pattern.fullmatch, names))]


def section(start: str) -> str:
    """The part of the dictionary whose heading begins with ``start``."""
    return re.split(r"^## ", DICTIONARY.partition(f"## `{start}")[2], flags=re.M)[0]


def test_every_file_is_described_and_every_description_has_a_file():
    names = shipped()
    assert len(names) > 5
    assert undescribed(names, DICTIONARY) == []
    assert stale(names, DICTIONARY) == []


def test_the_search_can_fail():
    dictionary = "## `prompts/<id>.txt`\n\n`gpus.csv` is nothing here\n\n## `gone.csv`\n"
    names = ["README.md", "prompts/a.txt", "prompts/b/c.txt", "gpus.csv", "prompts/atxt"]
    assert undescribed(names, dictionary) == ["prompts/b/c.txt", "gpus.csv", "prompts/atxt"]
    assert stale(names, dictionary) == ["gone.csv"]


def test_files_are_small_plain_text():
    for name in shipped():
        if ".answers/" not in name:
            content = (DATA / name).read_bytes()
            assert 0 < len(content) <= LARGEST, name
            assert b"\r" not in content, name
            assert content.endswith(b"\n"), name
            content.decode("utf-8")


def test_prompts_are_named_by_their_ids_and_listed():
    files = {path.name for path in (DATA / "prompts").iterdir() if path.suffix != ".yaml"}
    listed = re.findall(r"^\| `([^`]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", section("prompts/"), flags=re.M)
    assert files == {f"{row[0]}.txt" for row in listed}
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.txt", name) for name in files)
    assert all((DATA / "prompts" / name).read_text(encoding="utf-8").strip() for name in files)


def test_prompts_that_pages_name_are_there():
    known = {path.stem for path in (DATA / "prompts").iterdir()}
    for page in pages.pages():
        text = page.path.read_text(encoding="utf-8")
        assert set(re.findall(r"prompts/([a-z0-9-]+)\.txt", text)) <= known


def test_exercises_belong_to_a_page_and_use_known_fields():
    listed = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.+?) \|", section("exercises/"), flags=re.M))))
    stems = {page.path.stem for page in pages.pages()}
    for path in (DATA / "exercises").iterdir():
        assert path.suffix == ".yaml"
        assert path.stem in stems
        assert exercises.load(path)
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")).values():
            assert entry.keys() <= listed


def test_records_are_records_and_every_field_is_described():
    described = section("results/")
    assert [name for name in Record.model_fields if f"`{name}`" not in described] == []
    loaded = store.load(DATA / "results" / "example")
    assert loaded.problems == ()
    assert len(loaded.records) >= 6
    assert {Path(name).parts[1] for name in shipped() if name.startswith("results/")} <= {"example", "plans"}


def test_every_answer_is_that_of_a_record_and_every_graded_record_has_its_answer():
    loaded = store.load(DATA / "results" / "plans")
    assert loaded.problems == ()
    kept = [DATA / name for name in shipped() if ".answers/" in name]
    assert max(path.stat().st_size for path in kept) <= 10_000
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
    assert found == {r.answer_sha256 for r in loaded.records if r.answer_sha256}
    assert all(r.answer_sha256 for r in loaded.records if r.task_id)
