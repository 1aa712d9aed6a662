"""Names: some 440 real ones field by field, names built from parts and read back, text that is no name."""

from __future__ import annotations

import ast
import csv
import dataclasses
import re
import string
import sys
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbook import names, paths, quantization
from workbook.errors import WorkbookError
from workbook.names import BadName, ModelName, parse, vocabulary

REFERENCE = paths.data() / "reference"


def rows(table: str) -> list[dict[str, str]]:
    with (REFERENCE / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


CATALOGUE = rows("models")
NAMES = rows("model_names")
REAL = sorted({row["name"] for row in NAMES + CATALOGUE} | {r["hugging_face"] for r in CATALOGUE if r["hugging_face"]})
FIELDS = [field.name for field in dataclasses.fields(ModelName)]


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def test_every_field_of_every_name():
    for row in NAMES:
        found = parse(row["name"])
        expected = {key: value for key, value in row.items() if key in FIELDS}
        assert {key: shown(getattr(found, key)) for key in expected} == expected, row["name"]


def test_the_catalogue_is_read_and_agrees_with_its_names():
    assert len(REAL) >= 400
    for row in CATALOGUE:
        for name in filter(None, (row["name"], row["hugging_face"])):
            found = parse(name)
            assert found.family == row["family"]
            if found.size_b and row["params_b"]:  # the name rounds: gemma2:2b has 2.61
                assert 0.76 <= found.size_b / float(row["params_b"]) <= 1.15, name
            if found.active_b and row["active_b"]:
                assert found.active_b == pytest.approx(float(row["active_b"]), rel=0.15)


def test_the_name_of_the_issue():
    found = parse("hf.co/bartowski/Qwen2.5-Coder-7B-Instruct-GGUF:Q4_K_M")
    assert (found.family, found.version, found.size_b, found.active_b) == ("qwen", "2.5", 7, None)
    assert (found.variants, found.quantization, found.format) == (("coder", "instruct"), "Q4_K_M", "gguf")
    assert (found.organisation, found.registry, found.tag) == ("bartowski", "hf.co", "Q4_K_M")


def test_what_the_name_does_not_say_is_none():
    found = dataclasses.asdict(parse("mistral"))
    assert {key for key, value in found.items() if value not in (None, ())} == {"text", "family"}


MISREAD = Path(__file__).parent / "fixtures" / "misread_names.csv"
"""Names that people reported as read wrongly, and more of each kind; an organisation only where it is the point."""


@pytest.mark.parametrize(("text", "reading"), list(csv.reader(MISREAD.open(encoding="utf-8")))[1:])
def test_names_that_were_misread_elsewhere(text, reading):
    found = {
        key: value for key, value in vars(parse(text)).items() if value not in (None, ()) and key not in ("text", "tag")
    }
    said = {key: "|".join(value) if isinstance(value, tuple) else shown(value) for key, value in found.items()}
    if "organisation" not in reading:
        said.pop("organisation", None)
    assert said == dict(part.split(" ", 1) for part in reading.split("; "))


def test_a_refused_name_still_tells_what_it_states():
    for text, said in {
        "model.shard-00001-of-00005.gguf": "says only: gguf, part 1 of 5.",
        "ggml-model-IQ4_XS.gguf": "says only: IQ4_XS, gguf.",
    }.items():
        with pytest.raises(BadName, match=re.escape(said)):
            parse(text)


def test_experts_are_no_size():
    assert parse("mixtral:8x7b").size_b is None
    assert (parse("mixtral:8x7b").experts, parse("mixtral:8x7b").expert_b) == (8, 7)
    scout = parse("meta-llama/Llama-4-Scout-17B-16E-Instruct")
    assert (scout.size_b, scout.active_b, scout.experts) == (None, 17, 16)
    assert (parse("gemma3n:e4b").size_b, parse("gemma3n:e4b").effective_b) == (None, 4)


@pytest.mark.parametrize("text", [
    "C:\\Users\\me\\models\\phi-4-Q4_K_M.gguf", "~/models/phi-4-Q4_K_M.gguf", "/data/x-y/phi-4-Q4_K_M.gguf", " phi-4-Q4_K_M.gguf\n",
])  # fmt: skip
def test_a_path_is_read_by_its_file_alone(text):
    found = parse(text)
    assert (found.family, found.version, found.quantization, found.organisation) == ("phi", "4", "Q4_K_M", None)


@pytest.mark.parametrize("text", [
    "", "  ", "7b", "q4_K_M", "8x7B", "a3b", "v2", "2507", "instruct", "gguf", "base-instruct", "-", "...", ".gguf", "???",
    "hello world", "llama 3", "mistral\nlarge", "é", "🦙", "llama3:::", "llama:7b:8b", "a//b", "llama/", "/", "http://",
    "https://huggingface.co/", "hf.co", "../../etc/passwd", "/etc/passwd", "org/repo/more", "Llama-3.1-8B@main", "llama/7b",
    "llama-7b-13b", "x-00005-of-00003.gguf", "x-00000-of-00003.gguf", "model-00001-of-00004.safetensors", "model.gguf",
    "pytorch_model.bin", "x" * 401, "llama-3" + "-8b" * 200, None, 7, 3.5, b"mistral", ["mistral"], object(),
])  # fmt: skip
def test_nonsense_is_refused_in_one_line(text):
    with pytest.raises(BadName) as caught:
        parse(text)
    assert isinstance(caught.value, WorkbookError)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet=string.ascii_letters + string.digits + "-_./:~\\", max_size=60)))
def test_no_text_raises_anything_but_bad_name(text):
    try:
        found = parse(text)
    except BadName:
        return
    assert found.family
    assert found == parse(found.text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REAL), st.integers(0, 80), st.sampled_from([*"-_./: 7bBxaek", "é", "00001-of-00002"]))
def test_damaged_names_never_invent_a_size(name, at, sign):
    text = name[:at] + sign + name[at:]
    try:
        found = parse(text)
    except BadName:
        return
    digits = re.sub(r"(?<=\d)[_](?=\d)", ".", text.lower())
    for size in filter(None, (found.size_b, found.active_b, found.effective_b, found.expert_b)):
        spelled = {
            f"{size:g}b",
            f"{size:.1f}b",
            f"{round(size * 1000, 6):g}m",
            f"{size / 1000:g}t",
            f"{size:g}".replace(".", "b"),
        }
        spelled |= {f"{size:.2f}b", f"{size:.3f}b", f"{size * 1000:.1f}m"}
        assert any(s in digits for s in spelled) or re.search(r"0\d|\.\d*0[bmt]", digits), (text, size)


@settings(max_examples=150, deadline=None)
@given(
    family=st.sampled_from(["llama", "qwen", "gemma", "phi", "granite"]),
    version=st.sampled_from(["2", "2.5", "3.1", "4"]),
    size=st.sampled_from([0.135, 0.5, 1.7, 7, 14, 70, 405]),
    variants=st.lists(st.sampled_from(["instruct", "coder", "vision", "thinking", "it"]), max_size=3, unique=True),
    quantization=st.sampled_from(["Q4_K_M", "Q8_0", "IQ2_XXS", "F16", "BF16", "MXFP4"]),
    part=st.sampled_from([None, (1, 2), (3, 12)]),
)
def test_names_built_from_parts_are_read_back(family, version, size, variants, quantization, part):
    label = f"{size * 1000:g}M" if size < 0.5 else f"{size:g}B"
    body = "-".join([f"{family.title()}-{version}", label, *variants])
    shard = f"-{part[0]:05}-of-{part[1]:05}" if part else ""
    tag = "-".join([label.lower(), *variants, quantization.lower()])
    for text in (f"{family}{version}:{tag}", f"maker/{body}-{quantization}", f"{body}-{quantization}{shard}.gguf"):
        found = parse(text)
        assert (found.family, found.version, found.size_b) == (family, version, size)
        assert (found.variants, found.quantization, found.unread) == (tuple(variants), quantization, ())
        assert found.format == ("gguf" if text.endswith(".gguf") else None)
    assert (found.part, found.parts) == (part or (None, None))


def test_the_gguf_librarys_own_reading_agrees_where_both_are_sure():
    """The oracle guesses more than we do; where it finds a size in an id, ours finds the same."""
    agreed = 0
    for name in REAL:
        _, _, _, _, _, label = gguf.Metadata.get_model_id_components(name)
        plain = re.fullmatch(r"(\d+(?:\.\d+)?)([BM])", label or "")
        found = parse(name)
        if "/" in name and ":" not in name and plain and found.active_b is None:
            assert found.size_b == pytest.approx(float(plain[1]) / (1000 if plain[2] == "M" else 1)), name
            agreed += 1
    assert agreed >= 60


def test_every_quantization_that_llama_cpp_names_is_one():
    types = [t.name for t in gguf.GGMLQuantizationType if not re.fullmatch(r"[IF]\d+|[IF]64", t.name)]
    types += [t.name.removeprefix("MOSTLY_") for t in gguf.LlamaFileType if t.name.startswith("MOSTLY_")]
    for kind in types:
        assert parse(f"model-x-7B-{kind}.gguf").quantization == kind


def test_the_naming_conventions_own_examples():
    """docs/gguf.md of ggml: size, encoding, shard; its version 'v1.0 where missing' is a guess that we do not make."""
    grok = parse("Grok-100B-v1.0-Q4_0-00003-of-00009.gguf")
    assert (grok.family, grok.size_b, grok.version, grok.quantization, grok.part, grok.parts) == (
        "grok", 100, "1.0", "Q4_0", 3, 9,
    )  # fmt: skip
    assert parse("mtp-Qwen3-27B-v1.0-Q4_K_M.gguf").variants == ("mtp",)
    assert parse("mmproj-Qwen2-VL-7B-v1.0-F16.gguf").variants == ("mmproj", "vl")
    assert parse("Mixtral-8x7B-v0.1-KQ2.gguf").unread == ("kq2",)


def test_the_record_is_frozen_and_words_are_single():
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse("mistral").family = "llama"
    assert all(re.fullmatch(r"[a-z0-9]+", row["word"]) for row in rows("name_words"))
    assert {row["kind"] for row in rows("name_words")} == {"variant", "size", "format"}


def test_nothing_but_the_standard_library():
    for module in (names, vocabulary, quantization):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            found = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            found += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in found:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith(
                    ("workbook.names", "workbook.errors")
                )
