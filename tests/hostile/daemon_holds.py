"""Leaves a child that keeps its output open."""

import os
import time

if os.fork():
    print("tried", flush=True)
    os._exit(0)
os.setsid()
time.sleep(600)
