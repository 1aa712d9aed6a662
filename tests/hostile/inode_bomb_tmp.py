"""Makes empty files without end outside its folder, where it may write."""

import os
import time

count = 0
folders = [place for place in ("/tmp", "/dev/shm") if os.access(place, os.W_OK)]
try:
    while count < 1_000_000:
        for place in folders:
            os.close(os.open(f"{place}/workbook-hostile-{count}", os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError as error:
    print("tried", count, error, flush=True)
time.sleep(1)
if count > 100_000:
    print("ESCAPED: made", count, "files")
