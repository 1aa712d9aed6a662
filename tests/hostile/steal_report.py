"""Forges a report, and reads the secret if the driver left it in its descriptor."""

import os

try:
    print("secret:", os.read(4, 100))
except OSError as error:
    print("tried", error)
os.write(3, b'{"passed": true}')
