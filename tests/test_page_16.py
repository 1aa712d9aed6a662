"""Pages 16 and 96: their readers written by hand, beside the library on other files than the pages'."""

from pathlib import Path

import format_samples as samples
import gguf
import numpy as np
import page_cells
import pytest

PAGE = page_cells.load("1_theory/16_gguf.ipynb")
EVIDENCE = page_cells.load("9_evidence/96_model_files.ipynb")


@pytest.mark.parametrize("alignment", [32, 64])
def test_the_page_reads_another_file_as_the_library_does(tmp_path: Path, alignment: int) -> None:
    path = tmp_path / "x.gguf"
    keys = [samples.ARCH, ("general.alignment", ("I", alignment)), ("k", ("h", [-1, 2])), ("empty", [])]
    keys += [(f"x.{code}", (code, 1)) for code in samples.SCALAR]
    path.write_bytes(samples.gguf(keys, [("a", (32, 4), samples.F32, 0)], alignment=alignment))
    page = page_cells.run(PAGE, "first-bytes", "read-value", "metadata", "table", path=path)
    assert page["metadata"]["k"] == [-1, 2]
    assert page["n_keys"] == len(keys)
    assert page["data_at"] == gguf.GGUFReader(path).data_offset
    assert page["table"] == [("a", [32, 4], "F32", 0)]
    assert all(page["metadata"][f"x.{code}"] == 1 for code in samples.SCALAR)


def test_the_evidence_dequantizes_any_q4_1_block_as_gguf_does() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    packed = gguf.quantize(weights, gguf.GGMLQuantizationType.Q4_1)
    ours = page_cells.run(EVIDENCE, "dequantize")["dequantize_q4_1"](packed.tobytes()).reshape(weights.shape)
    assert np.array_equal(ours, gguf.dequantize(packed, gguf.GGMLQuantizationType.Q4_1))
