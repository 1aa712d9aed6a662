"""Opens files without end."""

import os

held = []
try:
    while len(held) < 100_000:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print("tried", len(held), error)
if len(held) > 1000:
    print("ESCAPED: holds", len(held))
