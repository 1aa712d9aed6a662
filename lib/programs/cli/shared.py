"""What every command shares: how it ends on a user's mistake, how it speaks, the options several have."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from workbook import paths
from workbook.errors import WorkbookError

PagesArgument = Annotated[list[str] | None, typer.Argument(help="Numbers or names of pages, e.g. 11; all without.")]
Engine = Annotated[str | None, typer.Option(help="embedded, ollama or openai; without: what answers.")]
Model = Annotated[str | None, typer.Option(help="Name of a model; without: the engine's own choice.")]

Folder = Annotated[Path | None, typer.Option(help="Folder of records; else WORKBOOK_RESULTS or data/results.")]


def one_line(command: Callable[..., None]) -> Callable[..., None]:
    """A user's mistake ends in one line and exit code 1, Ctrl-C in one line and 130; never in a traceback."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except WorkbookError as error:
            print(_harmless(f"{type(error).__name__}: {error}"), file=sys.stderr)
            raise typer.Exit(1) from None
        except BrokenPipeError:  # whoever read has seen enough: | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes once more as it ends
            raise typer.Exit(1) from None
        except OSError as error:
            named = f"{paths.shown(Path(str(error.filename)))}: " if error.filename else ""
            print(f"{type(error).__name__}: {named}{error.strerror or 'the system refused it'}.", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("Stopped. What was finished is kept.", file=sys.stderr)
            raise typer.Exit(130) from None

    return guarded


def say(line: str) -> None:
    """Print at once, into a pipe too: a long command shows that it moves.

    What would move a terminal's cursor or turn its text around is shown as "?": names in records are others' words.
    """
    print(_harmless(line), flush=True)


def _harmless(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
