"""Which models the endpoint has, and what it says of them; no path gets out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from programs.serve import cards
from programs.serve.catalogue import Catalogue
from workbook import models
from workbook.errors import BadOption, DamagedModel, ModelNotFound

PLACES = ("/", "C:")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue({"mine": models.packaged(), "org/other:q4": models.packaged()}, search=False)


@pytest.mark.parametrize(
    "name", ["smollm2:135m", "SmolLM2:135M", "registry.ollama.ai/library/smollm2:135m", "library/smollm2:135m"]
)
def test_the_packaged_model_is_there_under_ollamas_name(catalogue: Catalogue, name: str) -> None:
    entry = catalogue.find(name)
    assert (entry.name, entry.capabilities) == ("smollm2:135m", ("completion",))
    # What Ollama 0.32.15 lists of the very same file.
    d = entry.details
    assert (d.family, d.parameter_size, d.quantization_level) == ("llama", "134.52M", "Q4_1")
    assert (d.context_length, d.embedding_length, d.format) == (8192, 576, "gguf")


def test_minilm_makes_vectors(catalogue: Catalogue) -> None:
    entry = catalogue.find("all-minilm")
    assert (entry.name, entry.capabilities) == ("all-minilm:latest", ("embedding",))
    assert (entry.details.parameter_size, entry.details.context_length) == ("22.57M", 512)


@pytest.mark.parametrize(
    "name",
    ["", "smollm2", "smollm2:360m", "../smollm2:135m", "/etc/passwd", "./a.gguf", str(models.SMOLLM2), "a" * 9999],
)
def test_what_is_not_there_is_not_found(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(ModelNotFound):
        catalogue.find(name)


def test_a_path_is_never_a_name(catalogue: Catalogue) -> None:
    with pytest.raises(ModelNotFound):
        catalogue.find(str(models.packaged()))


def test_named_files(catalogue: Catalogue, tmp_path: Path) -> None:
    assert catalogue.find("mine").name == "mine:latest"
    assert {e.name for e in catalogue.entries()} == {
        "mine:latest", "org/other:q4", "smollm2:135m", "all-minilm:latest"
    }  # fmt: skip
    with pytest.raises(BadOption, match="a name is like"):
        Catalogue({"no name": models.packaged()}, search=False)
    with pytest.raises(BadOption):
        Catalogue({"../x": models.packaged()}, search=False)
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(DamagedModel):
        Catalogue({"bad": bad}, search=False)


def test_the_digest_is_the_files(catalogue: Catalogue) -> None:
    assert catalogue.digest(catalogue.find("smollm2:135m")) == models.SMOLLM2_SHA256
    minilm = catalogue.find("all-minilm")
    assert catalogue.digest(minilm) == hashlib.sha256(minilm.path.read_bytes()).hexdigest()


def test_what_show_says_is_what_ollama_says(catalogue: Catalogue) -> None:
    shown = catalogue.show(catalogue.find("smollm2:135m"))
    assert shown.template == (
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    )
    assert shown.parameters == (
        'stop                           "<|im_start|>"\nstop                           "<|im_end|>"'
    )
    info = shown.model_info
    assert info["general.parameter_count"] == 134515008
    assert info["llama.rope.freq_base"] == 100000
    assert json.dumps(info["llama.attention.layer_norm_rms_epsilon"]) == "1e-05"
    assert info["tokenizer.ggml.tokens"] is None
    assert list(info) == sorted(info)
    assert "tokenizer.chat_template" not in info
    assert ("output_norm.weight", "F32", (576,)) in [(t.name, t.type, t.shape) for t in shown.tensors]
    assert catalogue.show(catalogue.find("all-minilm")).template == "{{ .Prompt }}"


def test_nothing_shown_holds_a_path(catalogue: Catalogue) -> None:
    for entry in catalogue.entries():
        shown = catalogue.show(entry)
        said = json.dumps([shown.modelfile, shown.parameters, shown.template, dict(shown.model_info)])
        for part in (str(entry.path), str(entry.path.parent), str(Path.home())):
            assert part not in said


def test_other_programs_models_are_found_under_names_that_can_be(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = models.packaged()
    kept = Path.home() / ".cache" / "huggingface" / "hub" / "models--org--Some-GGUF" / "snapshots" / "1"
    kept.mkdir(parents=True)
    (kept / "Some Model-Q4_1.gguf").write_bytes(packaged.read_bytes())
    catalogue = Catalogue()
    assert [e.name for e in catalogue.entries() if e.name not in ("smollm2:135m", "all-minilm:latest")] == [
        "hf.co/org/Some-GGUF:Q4_1"
    ] or catalogue.find("hf.co/org/some-gguf:q4_1")
    assert catalogue.find("hf.co/org/some-gguf:q4_1").details.family == "llama"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (134515008, "134.52M"),
        (8030261248, "8.0B"),
        (7_000_000_000, "7B"),
        (12_000_000, "12M"),
        (512_000, "512K"),
        (9, "9"),
    ],
)
def test_numbers_of_weights_as_ollama_writes_them(count: int, words: str) -> None:
    assert cards.human(count) == words
