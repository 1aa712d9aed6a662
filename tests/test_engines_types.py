"""The types of the seam: options, answers, streams, and the text that leaves them."""

import random

import pytest
from pydantic import BaseModel

from workbook.engines import Answer, Options, Piece, Stream
from workbook.engines.pieces import Pieces
from workbook.errors import BadOption, NotJSON, NotToSchema


class Person(BaseModel):
    name: str
    age: int


def answer(text: str = "", **known: object) -> Answer:
    return Answer(text=text, engine="test", model="test", **known)  # type: ignore[arg-type]


def test_rates_are_those_of_a_worked_example():
    # 100 prompt tokens of which 40 cached, in 0.5 s; 11 tokens in 1 s after the first: 10 steps.
    told = answer(n_prompt=100, n_cached=40, prompt_ns=500_000_000, n_gen=11, gen_ns=1_000_000_000)
    assert told.pp_ts == pytest.approx(120)
    assert told.tg_ts == pytest.approx(10)


@pytest.mark.parametrize("known", [{}, {"n_gen": 1, "gen_ns": 5}, {"n_gen": 5}, {"n_gen": 5, "gen_ns": 0}])
def test_a_rate_that_cannot_be_known_is_none(known):
    assert answer(**known).tg_ts is None


def test_prompt_rate_is_none_when_the_cached_tokens_are_not_told():
    assert answer(n_prompt=100, prompt_ns=10**9).pp_ts is None


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": -0.1}, {"temperature": float("nan")}, {"temperature": "0.5"}, {"top_p": 1.01}, {"top_k": -1},
        {"num_predict": 0}, {"num_ctx": 0}, {"seed": -1}, {"repeat_penalty": 0}, {"seed": True}, {"tempo": 1}, {"seed": 1.5}, {"num_ctx": 512.0},
    ],
)  # fmt: skip
def test_impossible_options_are_refused(changes):
    with pytest.raises(BadOption) as caught:
        Options().but(changes)
    assert next(iter(changes)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stop_may_be_one_text_or_several():
    assert Options(stop="END").stop == ("END",)  # type: ignore[arg-type]
    assert Options().but({"stop": ["a", "b"]}).stop == ("a", "b")


def test_json_answers():
    assert answer('{"name": "Ada", "age": 36}').json(Person) == Person(name="Ada", age=36)
    with pytest.raises(NotJSON, match="not JSON"):
        answer("Sure! Here it is").json()
    with pytest.raises(NotJSON, match="num_predict"):
        answer('{"name": "A', finish_reason="length").json()
    with pytest.raises(NotToSchema, match="age"):
        answer('{"name": "Ada", "age": "old"}').json(Person)


def test_a_stream_gives_its_answer_at_the_end_and_stops_when_closed():
    ended = []

    def events():
        try:
            yield Piece(text="a")
            yield Piece(thinking="hm")
            yield Piece(text="b")
            yield answer("ab")
        finally:
            ended.append(True)

    stream = Stream(events())
    assert list(stream) == ["a", "b"]
    assert stream.answer.text == "ab"
    early = Stream(events())
    assert next(iter(early)) == "a"
    early.close()
    assert ended == [True, True]
    with pytest.raises(RuntimeError, match="closed"):
        _ = early.answer


def told(chunks: list[bytes], **settings: object) -> tuple[str, str, bool]:
    pieces = Pieces(**settings)  # type: ignore[arg-type]
    out = [p for chunk in chunks for p in pieces.feed(chunk)] + pieces.end()
    return "".join(p.text for p in out), "".join(p.thinking for p in out), pieces.stopped


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("L'été, 🐦 bleu", {}, ("L'été, 🐦 bleu", "", False)),
        ("one STOP two", {"stop": ["STOP"]}, ("one ", "", True)),
        ("one STO two", {"stop": ["STOP"]}, ("one STO two", "", False)),
        ("one STO", {"stop": ["STOP"]}, ("one STO", "", False)),
        ("b before a", {"stop": ["a", "before"]}, ("b ", "", True)),
        ("<think>so STOP</think>\n\nyes STOP", {"stop": ["STOP"]}, ("yes ", "so STOP", True)),
        ("still</think>yes", {"thinking": True}, ("yes", "still", False)),
        ("<think>cut", {}, ("", "cut", False)),
        ("a <think> in the middle</think>", {}, ("a <think> in the middle</think>", "", False)),
        ("<thinner>", {}, ("<thinner>", "", False)),
        ("", {}, ("", "", False)),
    ],
)
def test_text_is_the_same_however_it_is_cut(text, settings, expected):
    raw, draw = text.encode(), random.Random(1)
    assert told([raw], **settings) == expected
    assert told([bytes([b]) for b in raw], **settings) == expected
    for _ in range(20):
        cuts = sorted(draw.sample(range(len(raw) + 1), min(3, len(raw))))
        parts = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        assert told(parts, **settings) == expected


def test_a_character_cut_off_at_the_end_is_shown_as_such():
    assert told(["é".encode()[:1]]) == ("\N{REPLACEMENT CHARACTER}", "", False)
