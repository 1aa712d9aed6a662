"""Thinking and tool calls found while an answer streams: the same whatever the pieces it comes in."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.serve.bodies import dumps
from programs.serve.thinking import ThinkingParser
from programs.serve.toolcalls import LONGEST, ToolParser, tag_of


def thought(pieces, inside=False):
    parser = ThinkingParser(inside)
    splits = [*(parser.add(piece) for piece in pieces), parser.rest()]
    return "".join(s.thinking for s in splits), "".join(s.content for s in splits)


# The rows are those of Ollama's thinking/parser_test.go, each as one text.
@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        ("  <think>\n abc</think>  def", "abc", "def"),
        ("<think>abc</think>\n\n def ", "abc", "def "),
        ("no tags", "", "no tags"),
        ("  keeps its space", "", "  keeps its space"),
        ("said first <think>abc</think>", "", "said first <think>abc</think>"),
        ("<think>abc", "abc", ""),
        ("<think>a</th b</think>c", "a</th b", "c"),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        ("<think>a</th", "a</th", ""),
        ("<th", "", "<th"),
        ("", "", ""),
    ],
)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_thinking_is_told_from_the_answer(text, thinking, content, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert thought(pieces) == (thinking, content)


def test_a_prompt_that_ends_in_the_tag_begins_with_thinking():
    assert thought([" abc", "</think>", " def"], inside=True) == ("abc", "def")


def test_what_is_certain_is_given_at_once():
    parser = ThinkingParser()
    assert [parser.add(piece).thinking for piece in ("<think>", "abc", " def<", "/think>")] == ["", "abc", " def", ""]


NAMES = ("get_weather", "get_weather_alerts", "add")


def called(pieces, tag="<tool_call>", names=NAMES):
    parser = ToolParser(tag, names)
    calls, content = [], ""
    for piece in pieces:
        found, text = parser.add(piece)
        calls += found
        content += text
    content += parser.rest()
    return [(call.index, call.name, call.arguments) for call in calls], content


def one(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


CASES = [
    (f"<tool_call>{one('add', a=1)}</tool_call>", [(0, "add", {"a": 1})], ""),
    (f"Well. <tool_call>\n{one('add', a=1)}\n</tool_call>", [(0, "add", {"a": 1})], "Well. "),
    (
        f"<tool_call>{one('add', a=1)}</tool_call>\n<tool_call>{one('get_weather', city='Lyon {}')}</tool_call>",
        [(0, "add", {"a": 1}), (1, "get_weather", {"city": "Lyon {}"})],
        "",
    ),
    (f"<tool_call>{one('get_weather_alerts', x=[1, 2])}", [(0, "get_weather_alerts", {"x": [1, 2]})], ""),
    ('<tool_call>{"name": "add", "arguments": "{\\"a\\": 2}"}', [(0, "add", {"a": 2})], ""),
    ('<tool_call>{"add": {"a": 3}}', [(0, "add", {"a": 3})], ""),
    ("nothing of it < tool", [], "nothing of it < tool"),
    ("<tool_call>no tool is named here", [], ""),
    ('<tool_call>{"name": "unknown", "arguments": {}}', [], ""),
]


@pytest.mark.parametrize(("text", "calls", "content"), CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_calls_are_found_whatever_the_pieces(text, calls, content, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert called(pieces) == (calls, content)


def test_bare_json_is_a_call_only_where_the_answer_begins_with_it():
    assert called([one("add", a=1)], "{") == ([(0, "add", {"a": 1})], "")
    text = f"For example {one('add', a=1)}"
    assert called(list(text), "{") == ([], text)
    assert called(['{"a": ', "1}"], "{") == ([], '{"a": 1}')


def test_a_call_that_does_not_end_is_given_up():
    calls, content = called(["<tool_call>", "x" * (LONGEST + 1), "more"])
    assert (calls, content[-4:]) == ([], "more")


@settings(deadline=None)
@given(st.text(alphabet='{}[]"\\ad<tool_c>:1,', max_size=60))
def test_no_text_breaks_the_parser(text):
    called(list(text), "{", ("add", "a"))
    called([text], "<tool_call>", ("add", "a"))


def test_the_tag_is_read_from_the_template():
    assert tag_of("{% if tools %}<tool_call>{% endif %}") == "<tool_call>"
    assert tag_of("{{ messages }}") == "{"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_arguments_that_no_json_holds_are_no_call(number):
    parser = ToolParser("<tool_call>", ("f",))
    assert parser.add('<tool_call>{"name": "f", "arguments": {"x": ' + number + "}}")[0] == []


def test_half_a_character_in_arguments_can_be_written_again():
    (call,), _ = ToolParser("<tool_call>", ("f",)).add(r'<tool_call>{"name": "f", "arguments": {"x": "\ud800"}}')
    assert dumps(call.arguments).encode() == '{"x":"\ufffd"}'.encode()
