"""Thinking and answer told apart while they stream, as Ollama's parser does (its thinking/parser.go)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPENING, CLOSING = "<think>", "</think>"


@dataclass(frozen=True)
class ThinkingSplit:
    """What a piece added to the thinking and to the answer."""

    thinking: str = ""
    content: str = ""


class ThinkingParser:
    """Feed it pieces; it holds back what may yet become a tag. ``inside``: the prompt ended in the opening tag."""

    def __init__(self, inside: bool = False) -> None:
        self._held = ""
        self._state: Literal["before", "opened", "thinking", "closed", "answer"] = "opened" if inside else "before"

    def add(self, piece: str) -> ThinkingSplit:
        """What is now certain."""
        self._held += piece
        thinking = content = ""
        before = None
        while before != (self._state, self._held):
            before = (self._state, self._held)
            step = self._step()
            thinking, content = thinking + step.thinking, content + step.content
        return ThinkingSplit(thinking, content)

    def rest(self) -> ThinkingSplit:
        """What was held back when the answer ended: a tag that never was one."""
        held, self._held = self._held, ""
        return ThinkingSplit(thinking=held) if self._state == "thinking" else ThinkingSplit(content=held)

    def _step(self) -> ThinkingSplit:
        if self._state == "before":
            return self._look_for_opening()
        if self._state in ("opened", "closed"):  # the space after a tag belongs to neither
            self._held = self._held.lstrip()
            if self._held:
                self._state = "thinking" if self._state == "opened" else "answer"
            return ThinkingSplit()
        if self._state == "thinking":
            return self._think()
        content, self._held = self._held, ""
        return ThinkingSplit(content=content)

    def _look_for_opening(self) -> ThinkingSplit:
        seen = self._held.lstrip()
        if seen.startswith(OPENING):
            self._state, self._held = "opened", seen[len(OPENING) :]
        elif not OPENING.startswith(seen):
            self._state = "answer"
        return ThinkingSplit()

    def _think(self) -> ThinkingSplit:
        thought, tag, after = self._held.partition(CLOSING)
        if tag:
            self._state, self._held = "closed", after
            return ThinkingSplit(thinking=thought)
        held = overlap(thought, CLOSING)
        self._held = thought[len(thought) - held :]
        return ThinkingSplit(thinking=thought[: len(thought) - held])


def overlap(text: str, tag: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``tag``."""
    return next((n for n in range(min(len(text), len(tag)), 0, -1) if text.endswith(tag[:n])), 0)
