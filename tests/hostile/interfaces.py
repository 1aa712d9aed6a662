"""Looks for network cards, and asks to hear all packets."""

import socket

others = [name for _, name in socket.if_nameindex() if name != "lo"]
if others:
    print("ESCAPED: sees cards", len(others))
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)).close()
    print("ESCAPED: hears packets")
except OSError as error:
    print("tried", error)
