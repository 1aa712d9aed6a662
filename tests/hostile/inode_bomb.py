"""Makes empty files without end, in its folder and wherever else it may write."""

import itertools
import os

folders = [place for place in (".", "/tmp", "/dev/shm") if os.access(place, os.W_OK)]
for count in itertools.count():
    if count > 200_000:
        raise SystemExit("ESCAPED: made a million files")
    for place in folders:
        os.close(os.open(f"{place}/f{count}", os.O_CREAT | os.O_WRONLY))
