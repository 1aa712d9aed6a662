"""Reads the workbook's own files: the exercises' answers, the graders."""

import json
import sys
from pathlib import Path

scene = json.loads(sys.argv[1])
for name in ("README.md", "data/exercises", "lib/programs/judge", "lib/workbook/__init__.py"):
    if (Path(scene["checkout"]) / name).exists():
        print("ESCAPED: sees", name)
print("tried")
