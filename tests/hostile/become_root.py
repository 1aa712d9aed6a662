"""Becomes another user, by itself or by programs that may."""

import os
import shutil
import subprocess

for name in ("setuid", "setgid", "seteuid"):
    try:
        getattr(os, name)(0)
        print("ESCAPED:", name)
    except OSError as error:
        print("tried", name, error)
for words in (["sudo", "-n", "true"], ["su", "-c", "true"], ["newuidmap", "1", "0", "0", "1"]):
    if shutil.which(words[0]):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=2)
        print("ESCAPED: " if done.returncode == 0 else "tried", words[0])
