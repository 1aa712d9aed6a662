"""Plants modules that another Python would import at its start, and changes itself."""

import subprocess
import sys

for name in ("sitecustomize.py", "usercustomize.py", "json.py", "encodings.py", "program.py"):
    with open(name, "w") as out:
        out.write("print('ESCAPED: a planted module ran')\n")
print(subprocess.run([sys.executable, "-I", "-c", "import json"], capture_output=True, text=True).stdout, "tried")
