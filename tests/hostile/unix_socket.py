"""Speaks to a server of this user over a socket in a folder (as to Docker, to a session bus)."""

import json
import socket
import sys

scene = json.loads(sys.argv[1])
for path in (scene["unix"], "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/tmp/.X11-unix/X0"):
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(path)
            link.sendall(b"out")
            print("ESCAPED: connected to", path)
        except OSError as error:
            print("tried", path, error)
