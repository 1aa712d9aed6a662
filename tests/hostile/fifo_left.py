"""Leaves pipes and sockets: who opens one to read waits for ever."""

import os
import socket

os.mkfifo("pipe.txt")
socket.socket(socket.AF_UNIX).bind("socket.txt")
print("tried")
