"""Hides files without a name in a message that nobody reads, after it has closed itself to those who look."""

import array
import ctypes
import os
import socket
import time

ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
ours, theirs = socket.socketpair()
piece, held = b"x" * (1 << 20), 0
try:
    for _ in range(50):
        file = os.memfd_create("x")
        for _ in range(60):
            held += os.write(file, piece)
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
        os.close(file)
except OSError as error:
    print("tried", error)
print("tried", held >> 20, flush=True)
time.sleep(1)
if held > 1 << 30:
    print("ESCAPED: holds", held >> 20, "MB")
