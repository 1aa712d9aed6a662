"""Sends a datagram; the listener outside says whether it came."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    try:
        link.sendto(b"out", ("127.0.0.1", scene["udp"]))
    except OSError as error:
        print("tried", error)
