"""What every command shares: how it ends on a user's mistake, how it speaks, the options several have."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from workbook import paths
from workbook.errors import WorkbookError

Engine = Annotated[str | None, typer.Option(help="embedded, ollama or openai; without: what answers.")]
Model = Annotated[str | None, typer.Option(help="Name of a model; without: the engine's own choice.")]
Folder = Annotated[Path | None, typer.Option(help="Folder of records; else WORKBOOK_RESULTS or data/results.")]


class OneLine(TyperGroup):
    """Commands in which a user's mistake ends in one line and exit code 1, Ctrl-C in one line and 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for; a defect of ours keeps its traceback."""
        try:
            return super().invoke(ctx)
        except WorkbookError as error:
            line, code = f"{type(error).__name__}: {error}", 1
        except BrokenPipeError:  # whoever read has seen enough: | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes once more as it ends
            raise typer.Exit(1) from None
        except OSError as error:
            named = f"{paths.shown(Path(str(error.filename)))}: " if error.filename else ""
            line, code = f"{type(error).__name__}: {named}{error.strerror or 'the system refused it'}.", 1
        except KeyboardInterrupt:
            line, code = "Stopped. What was finished is kept.", 130
        print(printable(line), file=sys.stderr)
        raise typer.Exit(code)


def say(line: str) -> None:
    """Print at once, into a pipe too: a long command shows that it moves."""
    print(printable(line), flush=True)


def printable(text: str) -> str:
    """What would move a terminal's cursor or turn its text around as "?": names in records are others' words."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
