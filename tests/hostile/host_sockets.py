"""Speaks to servers of this user over sockets: one in a folder (as Docker's, or a session bus), one without a file."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
for path in (scene["unix"], "/var/run/docker.sock", "/run/dbus/system_bus_socket", "\0" + scene["abstract"]):
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(path)
            link.sendall(b"out")
            print("ESCAPED: connected to", repr(path))
        except OSError as error:
            print("tried", error)
