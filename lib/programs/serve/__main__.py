"""``python -m programs.serve``: the same as ``workbook serve``, for ``workbook.endpoint``."""

from __future__ import annotations

import argparse
import sys

from programs.serve.serve import ServerSettings, serve
from workbook.errors import WorkbookError


def main() -> int:
    """Serve as the words on the command line say; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m programs.serve", description="See: workbook serve --help")
    parser.add_argument("--port", type=int)
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input closes")
    given = parser.parse_args()
    try:
        serve(ServerSettings(port=given.port, with_parent=given.with_parent), lambda line: print(line, flush=True))
    except WorkbookError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
