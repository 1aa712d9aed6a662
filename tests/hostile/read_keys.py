"""Looks for keys in its environment."""

import os

for name, value in os.environ.items():
    if any(word in name.upper() for word in ("KEY", "TOKEN", "SECRET", "PASSWORD")) or "not-for-programs" in value:
        print("ESCAPED: has", name)
print("tried", len(os.environ))
