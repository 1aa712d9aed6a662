"""Page 12: its own BPE against the tokenizers library, and what it says of SmolLM2, of Ollama's rows and of prices.

The functions are taken from the page's cells: they stand nowhere else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from workbook.widgets import LONGEST, TokenExplorer

from workbook import facts, models, paths
from workbook.engines import llama

tokenizers = pytest.importorskip("tokenizers")

NOTEBOOK = json.loads((paths.notebooks() / "1_theory" / "12_tokens.ipynb").read_text(encoding="utf-8"))
CELLS = {cell["id"]: cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"}
BPE = [name for name, cell in CELLS.items() if "bpe" in cell["metadata"].get("tags", [])]
TEXTS = paths.data() / "texts"
INDEX = pd.read_csv(TEXTS / "index.csv").set_index("id")
Merges = list[tuple[bytes, bytes]]

PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [b for b in range(256) if b not in PRINTED]
BYTES = {chr(b): b for b in PRINTED} | {chr(256 + i): b for i, b in enumerate(OTHERS)}
"""The signs that GPT-2 writes for bytes. Source: openai/gpt-2, src/encoder.py, bytes_to_unicode."""


def source(name: str) -> str:
    """The code of one cell of the page."""
    text = CELLS[name]["source"]
    return text if isinstance(text, str) else "".join(text)


def printed(name: str) -> str:
    """What the page shows a cell to have printed."""
    outputs = CELLS[name]["outputs"]
    return "".join("".join(output.get("text", "")) for output in outputs)


def bpe(*replaced: tuple[str, str]) -> dict[str, Any]:
    """The page's tokenizer, with pieces of its code replaced."""
    code = "\n\n".join(source(name) for name in BPE)
    for old, new in replaced:
        assert code.count(old) == 1, f"the page has changed: {old!r} is there {code.count(old)} times"
        code = code.replace(old, new)
    names: dict[str, Any] = {"re": re, "Counter": Counter, "pairwise": pairwise}
    exec(code, names)
    return names


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


def library(corpus: str, n_merges: int) -> tuple[Any, Merges]:
    """Hugging Face's tokenizer trained on the same text, and its merges as bytes."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=256 + n_merges, show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator([corpus], trainer)
    raw = json.loads(made.to_str())["model"]["merges"]
    return made, [(as_bytes(a), as_bytes(b)) for a, b in raw]


def as_bytes(signs: str) -> bytes:
    return bytes(BYTES[sign] for sign in signs)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return bpe()


@pytest.fixture(scope="module")
def m() -> Iterator[llama.Model]:
    with llama.Model(models.packaged(), n_ctx=256, n_threads=1) as model:
        yield model


@pytest.mark.parametrize("case", CASES)
def test_the_page_trains_as_the_library_does(page: dict[str, Any], case: str) -> None:
    corpus, n_merges = CASES[case]
    made, theirs = library(corpus, n_merges)
    ours, ids = page["train"](corpus, len(theirs))
    assert len(theirs) > 0.9 * n_merges or case == "repeats"
    assert ours == theirs
    assert {as_bytes(sign): number for sign, number in made.get_vocab().items()} == ids


@pytest.mark.parametrize("kind", ["english", "french", "german", "code", "numbers", "emoji"])
def test_the_page_cuts_as_the_library_does(page: dict[str, Any], kind: str) -> None:
    made, theirs = library(TRAINING, 120)
    pieces = page["encode"](of_kind(kind), theirs)
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
    wrong = bpe(WRONG[name])
    _, theirs = library(TRAINING, 40)
    with np.errstate(all="ignore"):
        try:
            ours, _ = wrong["train"](TRAINING, 40)
        except (ValueError, KeyError):
            return
    assert ours != theirs


def test_the_exercise_on_banane_is_right(page: dict[str, Any]) -> None:
    words = {tuple("banane"): 3, tuple("cabane"): 2, tuple("canne"): 1}
    (first, n), (_, second) = page["count_pairs"](words).most_common(2)
    assert (first, n, second) == (("a", "n"), 9, 6)


def test_texts_are_named_and_say_where_they_come_from() -> None:
    assert set(INDEX.index) <= {path.stem for path in TEXTS.glob("*.txt")}
    assert set(INDEX["kind"]) == {"english", "french", "german", "code", "numbers", "emoji"}
    assert INDEX.groupby("kind").size().min() >= 5
    assert set(INDEX["licence"]) == {"CC BY 4.0", "public domain"}
    own = INDEX["origin"] == "written for this workbook"
    assert ((INDEX["licence"] == "CC BY 4.0") == own).all()


def test_what_the_page_says_of_smollm2(m: llama.Model) -> None:
    """The claims in prose, on the packaged model."""
    topics = ("bread", "train", "library", "meeting", "model")

    def n(name: str) -> int:
        return len(m.tokenize(text(name)))

    french = [n(f"fr-{t}") / n(f"en-{t}") for t in topics]
    german = [n(f"de-{t}") / n(f"en-{t}") for t in topics]
    longer = [len(text(f"fr-{t}")) / len(text(f"en-{t}")) for t in topics]
    assert min(french) > 1.6, "well over one and a half times the tokens"
    assert max(longer) < 1.2, "only a little longer"
    assert np.median(german) > np.median(french)
    assert [m.piece(t) for t in m.tokenize("2026")] == [b"2", b"0", b"2", b"6"]
    bird = [m.piece(t) for t in m.tokenize("🐦")]
    assert len(bird) > 1
    assert b"".join(bird).decode() == "🐦"
    assert len({tuple(m.tokenize(word)) for word in ("book", " book", "Book", " BOOK")}) == 4
    assert m.tokenize("<|im_start|>", special=True) == [m.bos]
    assert len(m.tokenize("<|im_start|>")) > 1
    digits = text("numbers-pi", "numbers-dates", "numbers-table")
    assert len(m.tokenize(digits)) == len(digits), "one token for every digit, dot and space"


def test_the_stored_outputs_bear_the_prose_out() -> None:
    whole = {
        language: int(share) for language, share in re.findall(r"^(\w\w): +(\d+)% of", printed("whole-words"), re.M)
    }
    assert whole["en"] > 90, "nearly all English words"
    assert 40 <= whole["fr"] <= 60, "of the French ones only about half"
    assert whole["de"] < whole["fr"]
    less = re.findall(r"^fr: .* has ([\d.]+) times", printed("whole-words"), re.M)
    assert 0.9 < float(less[0]) < 1, "without accents a few per cent less"
    typed, read = map(int, re.findall(r"\d+", printed("template-used"))[:2])
    assert read > 5 * typed, "the frame is several times the text"
    assert int(re.findall(r"cheapest: (\d+) times", printed("job-checked"))[0]) > 100
    kinds = dict(re.findall(r"^(\w+) +\d+ +[\d.]+ \([^)]*\) +([\d.]+) ", printed("count"), re.M))
    assert min(kinds, key=lambda kind: float(kinds[kind])).lower() == "english"
    assert max(kinds, key=lambda kind: float(kinds[kind])) == "emoji"


def test_a_letter_taken_for_another_kind_only_where_the_page_says(page: dict[str, Any]) -> None:
    """GPT-2's rule has classes of Unicode that Python's re lacks: a half is a number there, a letter here."""
    assert page["WORD"].findall("un ½ kg") == ["un", " ½", " kg"]
    assert page["WORD"].findall("a½") == ["a½"]


def test_no_prompt_of_the_page_needs_a_template(m: llama.Model) -> None:
    """A file without a chat template reads what was typed."""
    names: dict[str, Any] = {"m": m, "template": None, "coloured": lambda text, special: None}
    exec(source("template-used"), names)
    assert names["framed"]("Bonjour !") == "Bonjour !"


def test_typing_errors_cost_tokens(m: llama.Model) -> None:
    right = m.tokenize("Quand je dis l'oiseau, vous dites bleu.")
    assert len(m.tokenize("Quand je dsi l'oisaeu, vous dties bleu.")) > len(right)


def test_ollama_rows_follow_one_rule() -> None:
    rows = facts.table("ollama_truncation")
    for row in rows.itertuples():
        whole = row.tokens_sent < row.num_ctx
        assert row.tokens_read == (row.tokens_sent if whole else row.num_ctx - (row.num_ctx - 4) // 2)
    assert rows.groupby("num_ctx").size().min() >= 4
    assert facts.table("ollama_context")["num_ctx"].iloc[0] == rows["num_ctx"].max()


def test_prices_are_prices() -> None:
    prices = facts.table("prices")
    assert (prices["usd_per_m_input"] > 0).all()
    assert (prices["usd_per_m_output"] >= prices["usd_per_m_input"]).all()
    assert (prices["usd_per_m_output"] <= 5 * prices["usd_per_m_input"]).all(), "up to five times"
    assert prices["source"].str.contains("https://").all()
    assert prices["source"].str.contains("; the same in |; no second record found").all(), "nobody read it first-hand"
    assert not prices.duplicated(["provider", "model"]).any()
    assert facts.table("electricity")["price_per_kwh"].between(0.05, 1).all()
    span = prices["usd_per_m_output"].max() / prices["usd_per_m_output"].min()
    assert span > 100, "more than a hundred times"


def test_no_time_of_this_machine_stands_in_the_prose() -> None:
    prose = "\n".join("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown")
    assert not re.search(r"\d\s*tokens/s", prose)


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch) -> TokenExplorer:
    monkeypatch.setenv("MPLBACKEND", "agg")
    return TokenExplorer(lambda t: [(ord(c), c) for c in t], {"one": "ab $x$ <b>", "two": "é🐦"})


def test_the_box_holds_its_examples(explorer: TokenExplorer) -> None:
    held = json.loads(explorer.examples)
    assert [example["name"] for example in held] == ["one", "two"]
    assert held[1]["tokens"] == [[233, "é"], [0x1F426, "🐦"]]
    assert explorer.picture().startswith(b"\x89PNG")
    assert explorer.answer == "{}"
    assert explorer.answered == 0, "a stored page must not say that a Python answers"


def test_what_is_typed_is_cut(explorer: TokenExplorer) -> None:
    explorer.asked = 1
    assert explorer.answered == 1
    for typed in ("hi", "", "x" * (LONGEST + 5), "half a character \ud83d"):
        explorer.typed = typed
        answer = json.loads(explorer.answer)
        assert answer["text"] == typed[:LONGEST]
        assert len(answer["tokens"]) == len(typed[:LONGEST])


def test_the_script_keeps_to_the_house() -> None:
    script = TokenExplorer._esm
    assert "innerHTML" not in str(script)
    assert re.search(r"\nexport default \{ render \};\s*$", str(script))
