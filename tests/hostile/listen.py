"""Waits for a caller from outside, who is there and tries."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
with socket.socket() as door:
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", scene["door"]))
    door.listen()
    door.settimeout(0.6)
    try:
        door.accept()
        print("ESCAPED: somebody came in")
    except OSError as error:
        print("tried", error)
