"""A screen for one program: private, in every tier, and gone afterwards."""

from pathlib import Path

import psutil
import pytest

from programs.judge import box

PROGRAM = """
import tkinter, turtle
window = tkinter.Tk()
pressed = []
window.bind("<Left>", lambda event: pressed.append(event.keysym))
window.focus_force()
window.update()
window.event_generate("<Left>")
window.update()
print(window.winfo_screenwidth(), pressed)
window.destroy()
turtle.forward(100)
print(round(turtle.xcor()))
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
TIERS = [tier for tier in box.tiers() if tier.name != "container"]  # podman's has one, an image's has not


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_tkinter_and_turtle_have_a_screen(tier, needs_tier, window_python, monkeypatch):
    needs_tier(tier)
    monkeypatch.setenv("DISPLAY", ":of-the-user")
    python = Path(window_python)
    ended = box.run(PROGRAM, consent=True, tier=tier.name, display=True, python=python)
    assert (ended.how, ended.code) == ("exit", 0), ended
    assert ended.stdout == b"1024 ['Left']\n100\n"
    assert not psutil.Process().children()
    assert not [
        process for process in psutil.process_iter() if process.name() == "Xvfb" and "-displayfd" in process.cmdline()
    ]
    ended = box.run(PROGRAM, consent=True, tier=tier.name, python=python)
    assert b"display" in ended.stderr


def test_the_screen_cannot_be_made_to_take_all_memory(window_python, needs_tier):
    needs_tier(TIERS[0])
    ended = box.run(
        GREEDY, consent=True, tier="bubblewrap", display=True, python=Path(window_python), memory_mb=256, timeout_s=20
    )
    assert ended.how in {"memory", "exit"}
    assert ended.code != 0
