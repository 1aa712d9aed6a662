"""Connects to servers of this machine and outside; sends a datagram; listens."""

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
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    try:
        link.sendto(b"out", ("127.0.0.1", scene["udp"]))
    except OSError as error:
        print("tried", error)
if len(socket.if_nameindex()) > 1:
    print("ESCAPED: sees", socket.if_nameindex())
