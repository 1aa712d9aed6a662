"""Page 24 and its evidence: BM25 against bm25s, the questions against the passages, functions against wrong answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import page_cells
import pandas as pd
import pytest

from workbook import facts, paths

bm25s = pytest.importorskip("bm25s")

CELLS = page_cells.load("2_apis/24_embeddings.ipynb")
PROOF = page_cells.load("9_evidence/90_embeddings.ipynb")
TEXTS = paths.data() / "texts"
PASSAGES = pd.concat(
    [pd.read_csv(TEXTS / f"{name}.csv", dtype={"page": str}) for name in ("passages", "topics_fr")], ignore_index=True
)
QUESTIONS = facts.table("search_questions")


def library(question: str, page: dict[str, Any]) -> np.ndarray:
    """bm25s' scores of all passages for ``question``, with the page's way of cutting words."""
    words = page["words"]
    index = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    index.index([words(text) for text in PASSAGES["text"]], show_progress=False)
    known = [word for word in words(question) if word in index.vocab_dict]
    return index.get_scores(known) if known else np.zeros(len(PASSAGES))


@pytest.mark.parametrize("question", [*QUESTIONS["question"][::6], "token token TOKEN", "zyzzyva"])
def test_bm25_is_that_of_the_library(question: str) -> None:
    page = page_cells.run(CELLS, "bm25")
    ours = page["bm25_scores"](question, PASSAGES["text"])
    np.testing.assert_allclose(ours, library(question, page), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [("1 + (len(docs)", "(len(docs)"), ("1 - b + b", "1 + b"), ("rare * f /", "rare /"), ("- n + 0.5", "- n + 1.5")],
)
def test_a_wrong_bm25_is_caught(wrong: tuple[str, str]) -> None:
    page = page_cells.run(CELLS, "bm25", wrong=wrong)
    question = QUESTIONS["question"][0]
    with np.errstate(all="ignore"):
        ours = page["bm25_scores"](question, PASSAGES["text"])
    assert not np.allclose(ours, library(question, page), rtol=1e-4, atol=1e-5)


def test_the_evidence_has_the_same_bm25() -> None:
    assert PROOF["bm25"] == CELLS["bm25"]


def unanswered(questions: pd.DataFrame, passages: pd.DataFrame) -> list[str]:
    """Questions whose evidence does not stand word for word in the passages that they name."""
    text = dict(zip(passages["id"], passages["text"], strict=True))
    found = []
    for row in questions.itertuples():
        names, evidence = row.passages.split(), row.evidence.split(" || ")
        if len(names) != len(evidence) or any(e not in text.get(n, "") for n, e in zip(names, evidence, strict=False)):
            found.append(row.id)
    return found


def test_every_question_is_answered_by_its_passages() -> None:
    assert len(QUESTIONS) >= 30
    assert QUESTIONS["id"].is_unique
    assert PASSAGES["id"].is_unique
    assert {"words", "meaning", "crossing"} == set(QUESTIONS["kind"])
    assert {"en", "fr"} == set(QUESTIONS["language"])
    assert unanswered(QUESTIONS, PASSAGES) == []


def test_a_question_without_its_passage_is_told() -> None:
    assert unanswered(QUESTIONS.assign(evidence="nowhere"), PASSAGES) == list(QUESTIONS["id"])
    assert unanswered(QUESTIONS, PASSAGES[PASSAGES["id"] != "11/penalty-text.1"])[0] == "q01"


def test_short_answers_stand_in_the_evidence() -> None:
    for row in QUESTIONS.dropna(subset="answer").itertuples():
        plain = row.evidence.replace("*", "").lower()
        assert any(answer.lower() in plain for answer in row.answer.split("|")), row.id


def test_the_table_of_chunks_is_of_this_snapshot() -> None:
    """What needs no model of it: how many pieces, how many questions, and how many answers no piece holds whole."""
    pages = PASSAGES[PASSAGES["page"].notna()]
    english = (QUESTIONS["language"] == "en") & (QUESTIONS["kind"] != "crossing")
    space = page_cells.run(
        PROOF, "chunks", questions=QUESTIONS, english=english, pages=pages, Q=np.ones((len(QUESTIONS), 1))
    )
    space["embed"] = lambda pieces: np.ones((len(pieces), 1))
    for row in facts.table("chunk_sizes").itertuples():
        only = sorted(set(pages["page"])) if row.pages == "all" else [row.pages]
        n_pieces, n_questions, _, n_split = space["study"](row.size_words, only)
        assert (n_pieces, n_questions, n_split) == (row.n_pieces, row.n_questions, row.n_split)
        assert row.n_split + row.n_answered <= row.n_questions


def test_how_an_answer_is_counted() -> None:
    holds = page_cells.run(CELLS, "rag-count", until="short =")["holds"]
    right = [("It is 32 bytes.", "32"), ("4,096 tokens", "4,096|4096"), ("since PyTorch 2.6.", "2.6"),
             ("It was Google", "google")]  # fmt: skip
    wrong = [("4,096 tokens", "4"), ("version 2.61", "2.6"), ("1320", "32"), ("12.6", "2.6")]
    assert all(holds(*pair) for pair in right)
    assert not any(holds(*pair) for pair in wrong)


def test_the_place_of_the_first_passage_that_answers() -> None:
    names = pd.DataFrame({"id": ["a", "b", "c"]})
    places = page_cells.run(PROOF, "ranks", until="meaning =", passages=names, right=[{"c"}, {"a", "b"}])["places"]
    assert places(np.array([[3.0, 2.0, 1.0], [0.0, 5.0, 9.0]])).tolist() == [3, 2]


def test_both_lists_count_alike_and_the_best_of_either_comes_first() -> None:
    """Ranks of reciprocal rank fusion, on three passages whose order is known by hand."""
    given = {"P": np.eye(3), "embed": lambda texts: np.array([[0.9, 0.5, 0.1]]), "passages": pd.DataFrame({"id": ["a", "b", "c"], "text": ["x", "x", "q q"]})}  # fmt: skip
    find = page_cells.run(CELLS, "bm25", "both", **given)["find"]
    assert find("q", 3) == ["a", "c", "b"]
    assert find("q", 1) == ["a"]
