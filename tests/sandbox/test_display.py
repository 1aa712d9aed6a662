"""A screen for one program: private, in every tier, and gone afterwards."""

from pathlib import Path

import psutil
import pytest

from programs.judge import box
from programs.judge.box import display

TIERS = [tier for tier in box.tiers() if tier.name in {"container", "bubblewrap", "limits"}]
WINDOW = """
import tkinter
window = tkinter.Tk()
pressed = []
window.bind("<Left>", lambda event: pressed.append(event.keysym))
window.focus_force()
window.update()
window.event_generate("<Left>")
window.update()
print(window.winfo_screenwidth(), pressed)
"""
TURTLE = """
import turtle
turtle.forward(100)
print(round(turtle.xcor()))
turtle.bye()
"""
GREEDY = """
import tkinter
window = tkinter.Tk()
held = []
while len(held) < 200:
    held.append(tkinter.PhotoImage(width=4000, height=4000))
    held[-1].put("red", to=(0, 0, 4000, 4000))
    tkinter.Label(window, image=held[-1]).pack()
    window.update()
"""


def children() -> list[str]:
    """What we started and is still there."""
    return [process.name() for process in psutil.Process().children(recursive=True)]


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_tkinter_and_turtle_have_a_screen(tier, needs_tier, window_python, monkeypatch):
    needs_tier(tier)
    monkeypatch.setenv("DISPLAY", ":of-the-user")
    for program, said in ((WINDOW, b"1024 ['Left']"), (TURTLE, b"100")):
        ended = box.run(program, consent=True, tier=tier.name, display=True, python=Path(window_python))
        assert (ended.how, ended.code) == ("exit", 0), ended
        assert ended.stdout.strip() == said
    assert children() == []


def test_without_asking_tkinter_has_no_screen(window_python, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    ended = box.run(WINDOW, consent=True, weak=True, python=Path(window_python))
    assert ended.code == 1
    assert b"display" in ended.stderr


def test_the_screen_cannot_be_made_to_take_all_memory(window_python, needs_tier):
    tier = next(tier for tier in TIERS if tier.name == "bubblewrap")
    needs_tier(tier)
    before = psutil.virtual_memory().available
    ended = box.run(
        GREEDY, consent=True, tier=tier.name, display=True, python=Path(window_python), memory_mb=256, timeout_s=20
    )
    assert ended.how in {"memory", "exit", "timeout"}
    assert ended.code != 0
    assert psutil.virtual_memory().available > before - (1 << 30)


def test_no_xvfb_is_said(monkeypatch):
    monkeypatch.setattr(display.shutil, "which", lambda name: None)
    with pytest.raises(box.NoSandbox, match="needs Xvfb"), display.display(True):
        pass
