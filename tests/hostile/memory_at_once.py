"""Asks for 20 GB in one go, in three ways; then for all that it may have, in twenty processes at once."""

import contextlib
import mmap
import os
import time

for flags in (mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS):
    try:
        mmap.mmap(-1, 20 << 30, flags=flags | mmap.MAP_POPULATE)
        print("ESCAPED: has 20 GB")
    except (OSError, MemoryError) as error:
        print("tried", error, flush=True)
with contextlib.suppress(MemoryError):
    bytearray(20 << 30)
    print("ESCAPED: has 20 GB")
for _ in range(20):
    if os.fork() == 0:
        held = mmap.mmap(-1, 200 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        time.sleep(30)
        os._exit(held[0])
time.sleep(30)
