"""Writes into the system's folders, and into the Python that runs it."""

import os
import sys

for folder in ("/", "/usr", "/usr/bin", "/etc", "/dev", "/home", "/var", "/opt", "/proc", os.path.dirname(os.__file__),
               sys.prefix, os.path.join(sys.prefix, "lib")):  # fmt: skip
    try:
        with open(os.path.join(folder, "workbook-hostile-was-here"), "w"):
            print("ESCAPED: wrote in", folder)
        os.unlink(os.path.join(folder, "workbook-hostile-was-here"))
    except OSError as error:
        print("tried", folder, error.strerror)
