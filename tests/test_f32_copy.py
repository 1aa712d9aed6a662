"""The F32 copy of a model: against the gguf library's own dequantization, and what happens where it cannot be made."""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from workbook import formats, hardware, models
from workbook.engines import requantize
from workbook.errors import DamagedModel, OutOfMemory

pytest.importorskip("llama_cpp")


def small(path: Path, kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q8_0, arch: str = "llama") -> Path:
    """A GGUF file of one layer that llama.cpp can convert: random weights, quantized by the gguf library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_feed_forward_length(128)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    rng = np.random.default_rng(0)
    for name in ("token_embd", "blk.0.attn_q", "blk.0.ffn_up"):
        weight = rng.normal(size=(128, 64)).astype(np.float32)
        writer.add_tensor(f"{name}.weight", gguf.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "Q5_0"])
def test_the_copy_holds_the_same_weights_as_the_gguf_library_reads(cache: Path, tmp_path: Path, kind: str) -> None:
    source = small(tmp_path / "m.gguf", gguf.GGMLQuantizationType[kind])
    copy = requantize.f32_copy(source)
    assert copy.is_relative_to(cache)
    assert formats.inspect_gguf(copy).quant == "F32"
    copied = {t.name: t for t in gguf.GGUFReader(copy).tensors}
    original = gguf.GGUFReader(source).tensors
    assert len(original) == len(copied) == 3
    for tensor in original:
        assert copied[tensor.name].tensor_type == gguf.GGMLQuantizationType.F32
        assert np.array_equal(copied[tensor.name].data, gguf.dequantize(tensor.data, tensor.tensor_type))


def test_it_is_made_once_and_again_when_the_file_changes_or_the_copy_is_damaged(cache: Path, tmp_path: Path) -> None:
    source = small(tmp_path / "m.gguf")
    first = requantize.f32_copy(source)
    made = first.stat().st_mtime_ns
    assert requantize.f32_copy(source) == first
    assert first.stat().st_mtime_ns == made
    first.write_bytes(first.read_bytes()[:-1000])
    assert requantize.f32_copy(source) == first
    assert formats.inspect_gguf(first).n_params == formats.inspect_gguf(source).n_params
    small(source, gguf.GGMLQuantizationType.Q4_0)
    assert requantize.f32_copy(source) != first


def test_a_file_in_f32_is_its_own_copy(cache: Path, tmp_path: Path) -> None:
    copy = requantize.f32_copy(small(tmp_path / "m.gguf"))
    assert requantize.f32_copy(copy) == copy
    assert len(list(copy.parent.iterdir())) == 1


def test_no_room_is_one_line_before_any_work(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "m.gguf")
    monkeypatch.setattr(requantize, "requantize", lambda *_: pytest.fail("it began to write"))
    tight = shutil.disk_usage(tmp_path)._replace(free=100_000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: tight)
        with pytest.raises(OutOfMemory, match=r"in F32 takes 0\.0 GB, more than half of the .* on the disk"):
            requantize.f32_copy(source)
    monkeypatch.setattr(hardware, "ram_available_bytes", lambda: 100_000)
    with pytest.raises(OutOfMemory, match="of memory that are free"):
        requantize.f32_copy(source)


def test_what_llama_cpp_refuses_leaves_nothing_behind(cache: Path, tmp_path: Path) -> None:
    source = small(tmp_path / "m.gguf", arch="nonsense")
    with pytest.raises(DamagedModel, match=r"cannot write m\.gguf as F32: .*nonsense"):
        requantize.f32_copy(source)
    assert [file for file in cache.rglob("*") if file.is_file()] == []
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(DamagedModel):
        requantize.f32_copy(tmp_path / "text.gguf")


def test_minilm_is_f32_already(cache: Path) -> None:
    assert requantize.f32_copy(models.minilm()).name == models.minilm().name
