"""``python -m programs.serve``: what ``workbook.endpoint`` starts: on a free port, until the standard input closes."""

import sys

from programs.serve.serve import ServerSettings, serve
from workbook.errors import WorkbookError

try:
    serve(ServerSettings(port=0, with_parent=True))
except WorkbookError as error:
    sys.exit(f"{type(error).__name__}: {error}")
