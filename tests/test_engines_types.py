"""The types of the seam: options, answers, streams."""

import pytest
from pydantic import BaseModel

from workbook.engines import Answer, Options, Piece, Stream
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
