"""GGUF files of other programs: found where they lie, read without trust. Each deceit must be refused, and soon."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

from workbook import models
from workbook.errors import DamagedModel, ModelNotFound


def small_gguf(path: Path, **extra: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Small")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_token_list([f"t{i}" for i in range(100)])
    writer.add_tensor("token_embd.weight", np.zeros((100, 32), np.float32))
    for key, value in extra.items():
        writer.add_uint32(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def hugging_face(home: Path) -> Path:
    hub = home / ".cache" / "huggingface" / "hub" / "models--org--Small-GGUF"
    blob = small_gguf(hub / "blobs" / "abc")
    for revision in ("r1", "r2"):
        link = hub / "snapshots" / revision / "Small-Q8_0.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(Path("../../blobs") / blob.name)
    return hub


def ollama(store: Path, name: str = "library/mistral/latest", host: str = "registry.ollama.ai") -> Path:
    digest = "a" * 64
    small_gguf(store / "blobs" / f"sha256-{digest}")
    manifest = store / "manifests" / host / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "b" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    manifest.write_text(json.dumps({"layers": layers}))
    return manifest


def found() -> list[tuple[str, str]]:
    return [(m.name, m.source) for m in models.local_ggufs() if m.source != "packaged"]


def test_models_of_other_programs_are_found_and_named_as_there(cache: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    hugging_face(home)
    small_gguf(home / ".lmstudio" / "models" / "maker" / "repo" / "Tiny-Q4_K_M.gguf")
    ollama(home / ".ollama" / "models")
    ollama(home / ".ollama" / "models", "me/mine/v2")
    ollama(home / ".ollama" / "models", "org/repo/Q8_0", host="hf.co")
    assert found() == [
        ("org/Small-GGUF/Small-Q8_0", "Hugging Face"),
        ("maker/repo/Tiny-Q4_K_M", "LM Studio"),
        ("hf.co/org/repo:Q8_0", "Ollama"),
        ("me/mine:v2", "Ollama"),
        ("mistral:latest", "Ollama"),
    ]
    assert models.skipped_ggufs() == []
    assert models.find("mistral").name == "sha256-" + "a" * 64
    assert models.find("tiny-q4_k_m").name == "Tiny-Q4_K_M.gguf"
    assert models.find("smol") == models.packaged()
    assert models.find(str(models.packaged())) == models.packaged()
    one = next(m for m in models.local_ggufs() if m.source == "LM Studio")
    assert (one.architecture, one.quant, one.n_params) == ("llama", "Q8_0", 3200)


def test_the_folders_that_the_environment_names_are_used(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_gguf(tmp_path / "hub" / "models--o--r" / "snapshots" / "1" / "A.gguf")
    ollama(tmp_path / "store")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "store"))
    assert found() == [("o/r/A", "Hugging Face"), ("mistral:latest", "Ollama")]


def test_a_model_in_parts_is_one_and_misses_none(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".lmstudio" / "models" / "m" / "r"
    for i in (1, 2):
        small_gguf(folder / f"Big-0000{i}-of-00002.gguf")
    assert found() == [("m/r/Big-00001-of-00002", "LM Studio")]
    assert models.local_ggufs()[-1].n_params == 6400
    (folder / "Big-00002-of-00002.gguf").unlink()
    assert found() == []
    assert "Big-00002-of-00002.gguf cannot be read" in models.skipped_ggufs()[0].why


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'{"layers": 3}', b'{"layers": [3]}', b"[" * 100_000, b"\xff\xfe",
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../etc/passwd"}]}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": null}]}',
    ],
)  # fmt: skip
def test_a_manifest_that_deceives_is_skipped(cache: Path, tmp_path: Path, content: bytes) -> None:
    ollama(tmp_path / "home" / ".ollama" / "models").write_bytes(content)
    assert found() == []
    assert [(s.name, s.why) for s in models.skipped_ggufs()] == [
        ("mistral:latest", "its manifest names no GGUF weights.")
    ]


def test_links_in_a_circle_are_skipped(cache: Path, tmp_path: Path) -> None:
    store = tmp_path / "home" / ".ollama" / "models"
    ollama(store)
    (store / "manifests" / "circle").symlink_to(store / "manifests")
    tag = store / "manifests" / "registry.ollama.ai" / "library" / "loop" / "latest"
    tag.parent.mkdir()
    tag.symlink_to(tag)
    studio = tmp_path / "home" / ".lmstudio" / "models" / "m" / "r"
    studio.mkdir(parents=True)
    (studio / "A.gguf").symlink_to(studio / "B.gguf")
    (studio / "B.gguf").symlink_to(studio / "A.gguf")
    assert found() == [("mistral:latest", "Ollama")]
    assert sorted(s.name for s in models.skipped_ggufs()) == ["A", "B", "loop:latest"]


def test_an_unknown_name_offers_the_nearest_and_a_double_one_is_not_guessed(cache: Path, tmp_path: Path) -> None:
    studio = tmp_path / "home" / ".lmstudio" / "models" / "m" / "r"
    ollama(tmp_path / "home" / ".ollama" / "models")
    with pytest.raises(ModelNotFound, match="Did you mean mistral:latest"):
        models.find("mistrall:latest")
    for name in ("Qwen-1.gguf", "Qwen-2.gguf"):
        small_gguf(studio / name)
    with pytest.raises(ModelNotFound):
        models.find("qwen")
    assert models.find("qwen-2").name == "Qwen-2.gguf"
    with pytest.raises(ModelNotFound):
        models.find("")
    (tmp_path / "x.gguf").write_text("a text")
    with pytest.raises(DamagedModel, match="does not begin with GGUF"):
        models.find(str(tmp_path / "x.gguf"))
