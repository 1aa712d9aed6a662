"""Fills pipes, as large as they may be made, in many processes."""

import fcntl
import os
import time

for _ in range(10):
    if os.fork() == 0:
        held, piece = 0, b"x" * (1 << 20)
        try:
            for _ in range(100):
                end = os.pipe()[1]
                os.set_blocking(end, False)
                try:
                    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1 << 20)
                except OSError as error:
                    print("tried", error)
                held += os.write(end, piece)
        except OSError as error:
            print("tried", error)
        time.sleep(1)
        os._exit(held >> 20)
print("tried", held := sum(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(10)), flush=True)
if held > 512:
    print("ESCAPED: holds", held, "MB in pipes")
