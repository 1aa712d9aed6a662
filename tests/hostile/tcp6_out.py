"""Connects over IPv6."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
try:
    with socket.create_connection(("::1", scene["tcp6"]), timeout=0.3) as link:
        link.sendall(b"out")
        print("ESCAPED: connected")
except OSError as error:
    print("tried", error)
