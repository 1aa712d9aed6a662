"""Fills sockets, with buffers as large as they may be made, in many processes."""

import contextlib
import os
import socket
import time

for _ in range(20):
    if os.fork() == 0:
        held, pairs, piece = 0, [], b"x" * (1 << 16)
        with contextlib.suppress(OSError):
            for _ in range(120):
                pairs.append(socket.socketpair())
                for end in pairs[-1]:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                    end.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            held += end.send(piece)
        time.sleep(2)
        print("ESCAPED: holds" if held > 100 << 20 else "tried", held >> 20, "MB in sockets", flush=True)
        os._exit(0)
for _ in range(20):
    os.wait()
