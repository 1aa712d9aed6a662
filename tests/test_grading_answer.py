"""Taking the program out of an answer: every shape that models give one, and none of what is not code."""

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.judge.answer import LONGEST, Extracted, program, without_thinking

GAME = "import pygame\n\ndef main():\n    print('snake')\n\nmain()\n"


def fenced(code, mark="```", language="python"):
    return f"{mark}{language}\n{code}{mark}\n"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (fenced(GAME), "one block"),
        (fenced(GAME, language=""), "one block"),
        (fenced(GAME, language="Python"), "one block"),
        (fenced(GAME, language="py title=snake.py"), "one block"),
        (fenced(GAME, mark="~~~"), "one block"),
        (fenced(GAME, mark="`````"), "one block"),
        (f"Bien sûr, voici le jeu :\n\n{fenced(GAME)}\nN'hésitez pas à me demander !", "one block"),
        (f"1. Le code :\n{textwrap.indent(fenced(GAME), '   ')}", "one block"),
        (f"\ufeff{fenced(GAME)}".replace("\n", "\r\n"), "one block"),
        (f"```bash\npip install pygame\n```\n{fenced(GAME)}```text\nla sortie\n```", "one block"),
        (f"<think>\n{fenced('draft = 1')}</think>\n{fenced(GAME)}", "one block"),
        (f"Let me think.\n{fenced('draft = 1')}</think>\n\n{fenced(GAME)}", "one block"),
        (GAME, "no fence"),
        (f"Voici le code du jeu :\n\n{GAME}\nJ'espère que cela vous aide !", "no fence"),
        (textwrap.indent(GAME, "    "), "no fence"),
        (f"```python\n{GAME}", "truncated"),
    ],
)
def test_the_program_is_found(answer, outcome):
    found = program(answer)
    assert found.outcome == outcome
    assert found.code.strip() == GAME.strip()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("", "none"),
        ("oui", "none"),
        ("42", "none"),
        ("3 + 4", "none"),
        ('"une phrase"', "none"),
        ("Le jeu Snake est un grand classique.", "none"),
        ("```python\n```", "none"),
        ("```bash\npip install pygame\n```", "none"),
        (f"<think>\nI could write\n{fenced(GAME)}", "truncated"),
    ],
)
def test_what_is_no_program_gives_none(answer, outcome):
    assert program(answer) == Extracted(None, outcome)


def test_a_block_that_does_not_parse_is_still_the_program():
    assert program(fenced("while True\n    pass\n")).code == "while True\n    pass\n"


def test_the_largest_of_several_that_parses():
    longer_but_broken = "def f(:\n" + "    x = 1\n" * 30
    answer = (
        fenced(longer_but_broken) + "Corrected:\n" + fenced(GAME) + "To change the speed:\n" + fenced("speed = 5\n")
    )
    assert program(answer) == Extracted(GAME, "several blocks")


def test_parts_are_joined_in_their_order():
    parts = ["import random\nWIDTH = 3\n", "def pick():\n    return random.randrange(WIDTH)\n", "print(pick())\n"]
    found = program("then\n".join(fenced(part) for part in parts))
    assert found.outcome == "several blocks"
    assert found.code == "\n".join(parts)


def test_a_class_is_joined_with_the_lines_that_start_it():
    found = program(
        fenced("class Game:\n    def run(self):\n        return 1\n") + "Run it:\n" + fenced("Game().run()\n")
    )
    assert found.code.endswith("Game().run()\n")


def test_a_function_split_over_two_blocks_is_one_program():
    found = program("```python\ndef f():\n```\nand\n```python\n    return 1\n```\n")
    assert ast.parse(found.code).body[0].name == "f"


def test_of_two_versions_one_is_taken_not_both():
    first, second = GAME, GAME.replace("snake", "snake, now much better")
    assert program(fenced(first) + "Better:\n" + fenced(second)).code == second


def test_a_fence_inside_a_fence_ends_it():
    assert program(f"```python\nx = 1\n{fenced(GAME)}").code == GAME


@pytest.mark.parametrize("code", ["(" * 50_000, "-" * 50_000 + "1", "x = '\x00'", "lambda: " * 5_000 + "0", "\ud800"])
def test_hostile_text_ends_well(code):
    found = program(fenced(code + "\n"))
    assert found.outcome in ("one block", "none")


def test_endless_answers_are_read_in_part():
    assert program("<think>" * 50_000).code is None
    assert len(program("a = 1\n" * LONGEST).code) <= LONGEST + 1


words = st.text(st.characters(exclude_characters="`~<>", exclude_categories=["Cs"]), max_size=60)
names = st.sampled_from(["alpha", "beta", "gamma"])
code = st.lists(st.builds("{} = {}".format, names, st.integers(0, 99)), min_size=1, max_size=8).map("\n".join)


@given(
    words, code, words, st.sampled_from(["```", "~~~", "````"]), st.sampled_from(["", "python", "py"]), st.booleans()
)
@settings(deadline=None, max_examples=60)
def test_code_between_fences_comes_back_whole(before, code, after, mark, language, crlf):
    answer = f"{before}\n{mark}{language}\n{code}\n{mark}\n{after}"
    found = program(answer.replace("\n", "\r\n") if crlf else answer)
    assert found.outcome == "one block"
    assert found.code == code + "\n"


@given(st.text(max_size=300), st.booleans())
@settings(deadline=None, max_examples=100)
def test_any_text_gives_an_outcome_and_never_thinking(text, closed):
    found = program(text)
    assert (found.code is None) == (found.outcome == "none" or (found.outcome == "truncated" and found.code is None))
    thought, unfinished = without_thinking(f"<think>SECRET{text.replace('think', '')}" + ("</think>" if closed else ""))
    assert "SECRET" not in thought
    assert unfinished is not closed


@given(code, st.integers(1, 40))
@settings(deadline=None)
def test_a_cut_answer_is_told_apart(code, kept):
    whole = f"```python\n{code}\n"
    assert program(whole[: 10 + kept]).outcome in ("truncated", "none")
    assert program(whole + "```").outcome == "one block"
