"""What a body must be, and what is said when it is not: the words are those that Ollama 0.32.15 answered."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.serve import options
from programs.serve.bodies import MAX_DEPTH, MAX_VALUES, dumps, parse, read, stamp
from programs.serve.ollama_answers import GenerateAnswer, Metrics
from programs.serve.ollama_api import ChatRequest, GenerateRequest
from programs.serve.runner import FOREVER, Refused

NULL = "cannot unmarshal"


def said(raw, model=GenerateRequest):
    with pytest.raises(Refused) as refused:
        read(raw.encode() if isinstance(raw, str) else raw, model)
    assert refused.value.status == 400
    return refused.value.message


def refusal_of(ask):
    """The status that ``ask`` is refused with, or None; any other error is the test's."""
    try:
        ask()
    except Refused as refused:
        return refused.status
    return None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("", "missing request body"),
        (" \n", "missing request body"),
        ("{", "unexpected EOF"),
        ('{"model": "a', "unexpected EOF"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ('{"model":t}', "invalid character '}' in literal true (expecting 'r')"),
        ('{"prompt":NaN}', "invalid character 'N' looking for beginning of value"),
        ('{"prompt":"a" "b"}', "invalid character '\"' after object key:value pair"),
        ('{"prompt":["a" "b"]}', "invalid character '\"' after array element"),
        ('{"prompt":"a",}', "invalid character '}' looking for beginning of object key string"),
        ('{"prompt":"\\x"}', "invalid character 'x' in string escape code"),
        ('{"prompt":"a\nb"}', r"invalid character '\n' in string literal"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":01}', "invalid character '1' after object key:value pair"),
        ("[]", f"json: {NULL} array into Go value of type api.GenerateRequest"),
        ('{"model":1}', f"json: {NULL} number into Go struct field GenerateRequest.model of type string"),
        ('{"stream":"x"}', f"json: {NULL} string into Go struct field GenerateRequest.stream of type bool"),
        (
            '{"top_logprobs":1.5}',
            f"json: {NULL} number 1.5 into Go struct field GenerateRequest.top_logprobs of type int",
        ),
        (
            '{"options":5}',
            f"json: {NULL} number into Go struct field GenerateRequest.options of type map[string]interface {{}}",
        ),
        ('{"context":["x"]}', f"json: {NULL} string into Go struct field GenerateRequest.context of type int"),
        ('{"keep_alive":"zz"}', 'time: invalid duration "zz"'),
        ('{"keep_alive":"5"}', 'time: missing unit in duration "5"'),
        ('{"keep_alive":true}', "Unsupported type: 'bool'"),
        ('{"think":4}', 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
        (
            '{"think":"x"}',
            'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)',
        ),
    ],
)
def test_what_is_refused_in_ollamas_words(raw, words):
    assert said(raw) == words


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('{"messages":5}', "ChatRequest.messages of type []api.Message"),
        ('{"messages":[5]}', "ChatRequest.messages of type api.Alias"),
        ('{"messages":[{"role":5}]}', "ChatRequest.messages.role of type string"),
        ('{"tools":5}', "ChatRequest.tools of type api.Tools"),
        ('{"tools":[5]}', "ChatRequest.tools of type api.Tool"),
    ],
)
def test_a_chat_of_other_types(raw, words):
    assert said(raw, ChatRequest) == f"json: cannot unmarshal number into Go struct field {words}"


def test_null_is_left_out_capitals_count_not_and_what_follows_is_passed_over():
    asked = read(b'{"model": null, "PROMPT": "a", "Stream": false, "unknown": {}} rest', GenerateRequest)
    assert (asked.model, asked.prompt, asked.stream) == ("", "a", False)
    assert read(b"null", GenerateRequest) == GenerateRequest()


def test_the_exact_name_wins_over_the_same_in_capitals():
    assert read(b'{"prompt": "a", "PROMPT": "b"}', GenerateRequest).prompt == "a"


@pytest.mark.parametrize("raw", [b'{"a":' + b"[" * 100_000, b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"])
def test_deep_nesting_is_refused(raw):
    assert "exceeded max depth" in said(raw)


def test_nesting_up_to_the_limit_is_read():
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 5000])
def test_a_number_beyond_all_floats_is_refused(number):
    assert "cannot unmarshal number" in said(f'{{"options": {{"x": {number}}}}}')


def test_bytes_that_are_no_text_and_half_characters_become_the_sign_of_replacement():
    assert read(b'{"prompt": "a\xff"}', GenerateRequest).prompt == "a\ufffd"
    asked = read(b'{"prompt": "a\\ud800", "options": {"\\udfff": ["\\ud800"]}}', GenerateRequest)
    assert asked.prompt == "a\ufffd"
    assert asked.options == {"\ufffd": ["\ufffd"]}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_a_value_or_a_refusal(raw):
    assert refusal_of(lambda: read(raw, ChatRequest)) in (None, 400)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*ChatRequest.model_fields, *GenerateRequest.model_fields])


@settings(deadline=None)
@given(st.dictionaries(FIELDS, JSONS, max_size=5))
def test_no_values_make_anything_but_a_request_or_a_refusal(body):
    def ask(model):
        asked = read(json.dumps(body).encode(), model)
        options.read(asked.options)
        options.answer_format(asked.format)

    assert refusal_of(lambda: ask(ChatRequest)) in (None, 400)
    assert refusal_of(lambda: ask(GenerateRequest)) in (None, 400)


def test_an_answer_leaves_out_what_is_empty_and_keeps_what_ollama_always_says():
    answer = GenerateAnswer(model="m", created_at="t", metrics=Metrics(total_duration=5))
    assert dumps(answer) == '{"model":"m","created_at":"t","response":"","done":false,"total_duration":5}'


def test_json_is_escaped_as_go_does():
    assert dumps({"a": "<é>&\u2028"}) == '{"a":"\\u003cé\\u003e\\u0026\\u2028"}'
    assert json.loads(dumps({"a": "<é>&\u2028"})) == {"a": "<é>&\u2028"}


def test_a_moment_has_no_zeros_at_its_end():
    from datetime import UTC, datetime, timedelta, timezone

    assert stamp(datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)) == "2026-01-02T03:04:05.6Z"
    assert stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-02T02:04:05Z"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((0, 0), (-1, FOREVER), (1.5, 1.5), (1e300, FOREVER), (None, None), ("5m", 300), ("1h30m", 5400)),
        *(("-1s", FOREVER), ("0", 0), ("1.5s", 1.5), ("100ms", 0.1)),
    ],
)
def test_keep_alive_as_go_reads_durations(value, seconds):
    assert options.keep_alive(value) == seconds


@pytest.mark.parametrize("value", ["", "m", "5 m", "5d", "5m5", [], {}, False, "1e3s", "5m" * 90])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match=r"duration|Unsupported type"):
        options.keep_alive(value)


def test_options_by_name_unknown_ones_passed_over():
    wanted = options.read({"temperature": 0, "top_k": 3.0, "stop": ["a", ""], "num_thread": 2, "colour": "red"})
    assert (wanted.sampling.temperature, wanted.sampling.top_k, wanted.sampling.stop) == (0.0, 3, ("a",))
    assert wanted.setting is not None
    assert (wanted.setting.num_thread, wanted.setting.num_ctx) == (2, 4096)
    assert options.read({"temperature": None}).setting is None


@pytest.mark.parametrize(
    ("given_options", "words"),
    [
        ({"temperature": "x"}, 'option "temperature" must be of type float32'),
        ({"num_ctx": "x"}, 'option "num_ctx" must be of type integer'),
        ({"num_ctx": True}, 'option "num_ctx" must be of type integer'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
        ({"stop": [1]}, 'option "stop" must be of an array of strings'),
        ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
        ({"num_ctx": 1e12}, 'option "num_ctx" must be from -2.147'),
        ({"temperature": 1e300}, 'option "temperature" must be from'),
        ({"stop": ["a"] * 65}, 'option "stop": at most 64 texts'),
        ({"stop": ["a" * 1001]}, 'option "stop": at most 64 texts'),
    ],
)
def test_options_of_another_type_or_size_are_refused(given_options, words):
    with pytest.raises(Refused, match="option") as refused:
        options.read(given_options)
    assert refused.value.status == 400
    assert refused.value.message.startswith(words)


def test_a_seed_of_any_size_is_one_of_32_bits():
    assert options.read({"seed": -7}).sampling.seed == -1
    assert options.read({"seed": 2**32 + 5}).sampling.seed == 5


@pytest.mark.parametrize("count", [-1, 21])
def test_top_logprobs_out_of_range_are_refused(count):
    with pytest.raises(Refused, match="top_logprobs must be between 0 and 20"):
        options.read({}, True, count)


def test_formats():
    assert options.answer_format(None) == options.answer_format("") == ""
    assert options.answer_format("json") == "json"
    assert json.loads(options.answer_format({"type": "object"})) == {"type": "object"}
    with pytest.raises(Refused, match="invalid format"):
        options.answer_format("xml")
    with pytest.raises(Refused, match="at most"):
        options.answer_format({"a": "b" * options.MAX_SCHEMA_CHARS})


def test_a_long_duration_costs_nothing():
    with pytest.raises(ValueError, match="invalid duration"):
        options.keep_alive("1" * 1_000_000)  # its digits alone would be read in a time with the cube of their number


def test_a_body_of_very_many_values_is_refused():
    with pytest.raises(Refused, match="values"):
        read(b'{"context":[' + b"1," * MAX_VALUES + b"1]}", GenerateRequest)


def test_where_a_long_text_stands_is_found_in_little_memory():
    with pytest.raises(Refused, match="after object key:value pair"):
        read(b'{"a":"' + b"x" * 2_000_000 + b'" z}', GenerateRequest)
