"""Says on every descriptor, its own and the supervisor's, that it ended well, as the supervisor would; and then fails."""

import contextlib
import os
import sys

ANSWER = b'{"how": "exit", "code": 0, "why": "", "files": {"forged": ""}}\n'
for fd in range(256):
    with contextlib.suppress(OSError):
        os.write(fd, b"ready\n" + ANSWER)
for fd in range(64):
    try:
        with open(f"/proc/{os.getppid()}/fd/{fd}", "wb", buffering=0) as out:
            out.write(ANSWER)
            print("ESCAPED: wrote to descriptor", fd, "of the supervisor")
    except OSError as error:
        print("tried", error.strerror)
sys.exit(5)
