"""Connects to a server of this machine, and to one outside."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
for address in (("127.0.0.1", scene["tcp"]), ("192.0.2.1", 80)):
    try:
        with socket.create_connection(address, timeout=0.3) as link:
            link.sendall(b"out")
            print("ESCAPED: connected to", address)
    except OSError as error:
        print("tried", address, error)
