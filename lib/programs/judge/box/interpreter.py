"""Which Python runs the program, and what of the disk it needs: no more than that is shown to the sandbox."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workbook.errors import NoSandbox

PARTS = ("bin", "lib", "lib64", "pyvenv.cfg", "share/terminfo", "share/tcltk")
"""Of a Python's folder: its libraries and what curses and Tk read. Its ``share`` may be a user's own."""


@dataclass(frozen=True)
class Interpreter:
    """A Python: ``path`` as it is started, ``prefix`` and ``base`` its own folder and the one it was made from."""

    path: Path
    prefix: Path
    base: Path

    def needs(self) -> tuple[Path, ...]:
        """What must be readable beside /usr, at the same place.

        Raises
        ------
        NoSandbox : it is installed so that its libraries cannot be shown without the user's home.
        """
        found: list[Path] = []
        for folder in dict.fromkeys((self.prefix, self.base, self.base.resolve())):
            if folder.is_relative_to("/usr"):
                continue
            if Path.home().is_relative_to(folder / "lib") or folder == Path("/"):
                raise NoSandbox(f"this Python's libraries hold your home: name another one. ({folder})")
            found += [folder / part for part in PARTS if (folder / part).exists()]
        return tuple(dict.fromkeys(found))


@functools.lru_cache(maxsize=16)
def interpreter(python: Path | None = None) -> Interpreter:
    """The Python to use: ``python``, else the one that runs this.

    Raises
    ------
    NoSandbox : ``python`` does not start.
    """
    if python is None:
        return Interpreter(Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix))
    path = Path(python).absolute()
    question = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix]))"
    try:
        said = subprocess.run(
            [path, "-I", "-c", question], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
        )
        prefix, base = json.loads(said.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        raise NoSandbox(f"{path.name!r} does not start as a Python 3: name another with python=.") from None
    return Interpreter(path, Path(prefix), Path(base))
