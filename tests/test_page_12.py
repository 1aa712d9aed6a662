"""Page 12 and its evidence (92): the tokenizers that they train, against the tokenizers library; wrong ones caught."""

from __future__ import annotations

import json
from typing import Any

import page_cells
import pandas as pd
import pytest

from workbook import paths

tokenizers = pytest.importorskip("tokenizers")

LINK, PROOF = "1_theory/12_tokens.ipynb", "9_evidence/92_tokenizers.ipynb"
CELLS, EXACT = page_cells.load(LINK), page_cells.load(PROOF)
SIMPLE, BPE = page_cells.tagged(LINK, "bpe"), page_cells.tagged(PROOF, "bpe")
TEXTS = paths.data() / "texts"
INDEX = pd.read_csv(TEXTS / "index.csv").set_index("id")
KINDS = ["english", "french", "german", "code", "numbers", "emoji"]
Merges = list[tuple[bytes, bytes]]

PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [b for b in range(256) if b not in PRINTED]
BYTES = {chr(b): b for b in PRINTED} | {chr(256 + i): b for i, b in enumerate(OTHERS)}
"""The signs that GPT-2 writes for bytes. Source: openai/gpt-2, src/encoder.py, bytes_to_unicode."""


def text(*ids: str) -> str:
    return "\n".join((TEXTS / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n") for name in ids)


def of_kind(kind: str) -> str:
    return text(*INDEX.index[INDEX["kind"] == kind])


TRAINING = text(*(f"{lang}-{t}" for lang in ("en", "fr") for t in ("bread", "train", "library", "meeting", "model")))
CASES = {
    "the page's": (TRAINING, 300),
    "French": (of_kind("french"), 150),
    "German": (of_kind("german"), 150),
    "code": (of_kind("code"), 150),
    "emoji and numbers": (of_kind("emoji") + "\n" + of_kind("numbers"), 60),
    "ties": ("ab cd ef gh ba dc fe hg " * 3, 8),
    "repeats": ("aaaa aaaaa aaa aa aaaaaaa bbbb abab ababab", 6),
}
NO_TIES = "\n".join(["ef"] * 9 + ["ab"] * 2 + ["gab"] * 3 + ["hab"] * 2)
"""A text whose four merges are never a choice between equally frequent pairs."""


def as_bytes(signs: str) -> bytes:
    return bytes(BYTES[sign] for sign in signs)


def library(corpus: str, n_merges: int) -> tuple[Any, Merges]:
    """Hugging Face's tokenizer trained on the same text, and its merges as bytes."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    size = 256 + n_merges
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet)
    made.train_from_iterator([corpus], trainer)
    raw = json.loads(made.to_str())["model"]["merges"]
    return made, [(as_bytes(a), as_bytes(b)) for a, b in raw]


@pytest.mark.parametrize("case", CASES)
def test_the_exact_trainer_is_the_library_s(case: str) -> None:
    corpus, n_merges = CASES[case]
    made, theirs = library(corpus, n_merges)
    ours, ids = page_cells.run(EXACT, *BPE)["train"](corpus, len(theirs))
    assert len(theirs) > 0.9 * n_merges or case == "repeats"
    assert ours == theirs
    assert {as_bytes(sign): number for sign, number in made.get_vocab().items()} == ids


def test_it_cuts_as_the_library_does() -> None:
    made, theirs = library(TRAINING, 120)
    for kind in KINDS:
        pieces = page_cells.run(EXACT, *BPE)["encode"](of_kind(kind), theirs)
        assert pieces == [as_bytes(sign) for sign in made.encode(of_kind(kind)).tokens]
        assert b"".join(pieces).decode() == of_kind(kind)


WRONG = {
    "the rarest pair": ("best = max(", "best = min("),
    "ties the other way": ("-ids[p[0]], -ids[p[1]]", "ids[p[0]], ids[p[1]]"),
    "each word once": ("pairs[pair] += n", "pairs[pair] += 1"),
    "bytes in plain order": ("ORDER = VISIBLE + [b for b in range(256) if b not in VISIBLE]", "ORDER = range(256)"),
    "pairs that overlap": ("            i += 2\n", "            i += 1\n"),
    "spaces apart": ('r"| ?[^\\W\\d_]+"', 'r"|[^\\W\\d_]+"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_trainer_is_caught(name: str) -> None:
    _, theirs = library(TRAINING, 40)
    try:
        ours, _ = page_cells.run(EXACT, *BPE, wrong=WRONG[name])["train"](TRAINING, 40)
    except (ValueError, KeyError):
        return
    assert ours != theirs


def test_the_page_s_simple_trainer_does_the_same_where_no_pairs_are_equally_frequent() -> None:
    def simple(wrong: tuple[str, str] = ("", "")) -> Any:
        return page_cells.run(CELLS, *SIMPLE, wrong=wrong, merges=[])

    theirs, page = [(a.decode(), b.decode()) for a, b in library(NO_TIES, 4)[1]], simple()
    assert page["train"](NO_TIES, 4) == theirs
    for wrong in (("pairs[pair] += n", "pairs[pair] += 1"), ("max(pairs", "min(pairs")):
        assert simple(wrong)["train"](NO_TIES, 4) != theirs
    merges = [(a.decode(), b.decode()) for a, b in library(TRAINING, 9)[1]]
    ours = page["train"](TRAINING, 9)
    assert ours[:8] == merges[:8]
    words = page["words_of"](TRAINING)
    for pair in ours[:8]:
        words = {page["merge"](pieces, pair): n for pieces, n in words.items()}
    counts = page["count_pairs"](words)
    assert counts[ours[8]] == counts[merges[8]] == max(counts.values()), "they part at the ninth, as page 92 says"
    exact = page_cells.run(EXACT, *BPE)["encode"](TRAINING, [(a.encode(), b.encode()) for a, b in merges])
    assert page["encode"](TRAINING.replace("é", "e"), merges).count(" the") == exact.count(b" the") > 20
