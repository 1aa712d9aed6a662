"""Ignores every signal that can be ignored, and waits for what never comes."""

import contextlib
import signal
import threading

for number in signal.valid_signals():
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)
threading.Event().wait()
