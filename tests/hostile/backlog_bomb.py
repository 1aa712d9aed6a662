"""Fills sockets that nobody holds: connections full of bytes, left in a listener's queue."""

import contextlib
import os
import socket
import time

held, piece = 0, b"x" * (1 << 16)
for number in range(64):
    name = f"s{number}"
    door = socket.socket(socket.AF_UNIX)
    door.bind(name)
    door.listen(4096)
    os.set_inheritable(door.detach(), True)
    for _ in range(4000):
        with socket.socket(socket.AF_UNIX) as caller, contextlib.suppress(OSError):
            caller.connect(name)
            caller.setblocking(False)
            while held < 3 << 30:
                held += caller.send(piece)
    if held >= 3 << 30:
        break
print("tried", held >> 20, flush=True)
time.sleep(1)
print("ESCAPED: holds", held >> 20, "MB in sockets")
