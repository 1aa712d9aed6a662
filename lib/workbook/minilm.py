"""all-MiniLM-L6-v2 as a GGUF file: the packaged safetensors weights, converted once.

Weights stay F32, as they were published: the file is the original, bit for bit, in another format.
Names and metadata follow llama.cpp's convert_hf_to_gguf.py (its class BertModel).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbook import paths

CONVERTER = 1  # raise it when the files this writes change: it is part of their name
_SPECIAL = {"[PAD]": "pad", "[UNK]": "unk", "[CLS]": "bos", "[SEP]": "sep", "[MASK]": "mask"}
_UNUSED = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}  # not part of an embedding


def converted() -> Path:
    """Where the converted file lies, or will lie."""
    return paths.cache() / f"all-MiniLM-L6-v2.F32-c{CONVERTER}.gguf"


def convert(folder: Path, target: Path) -> None:
    """Write the model in ``folder`` (config.json, vocab.txt, model.safetensors) to ``target`` as GGUF.

    ``target`` appears whole or not at all; two processes may do it at once.
    """
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokens = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    with paths.whole(target) as made:
        writer = gguf.GGUFWriter(made, "bert")
        _metadata(writer, config, gguf)
        _vocabulary(writer, config, tokens, gguf)
        for name, tensor in load_file(folder / "model.safetensors").items():
            if name not in _UNUSED:
                writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _metadata(writer: Any, config: dict[str, Any], gguf: Any) -> None:
    writer.add_type("model")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_organization("sentence-transformers")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _vocabulary(writer: Any, config: dict[str, Any], tokens: list[str], gguf: Any) -> None:
    types = gguf.TokenType
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_token_list([_phantom(token) for token in tokens])
    writer.add_token_types(
        [types.UNKNOWN if t == "[UNK]" else types.CONTROL if t in _SPECIAL else types.NORMAL for t in tokens]
    )
    for token, role in _SPECIAL.items():
        getattr(writer, f"add_{role}_token_id")(tokens.index(token))


def _phantom(token: str) -> str:
    """WordPiece marks what continues a word (##ing), llama.cpp what begins one (▁walk)."""
    if token in _SPECIAL:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token
