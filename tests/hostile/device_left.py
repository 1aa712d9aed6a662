"""Leaves device files."""

import os
import stat

for name, kind, number in (("zero", stat.S_IFCHR, os.makedev(1, 5)), ("disk", stat.S_IFBLK, os.makedev(8, 0))):
    try:
        os.mknod(name, kind | 0o666, number)
        with open(name, "rb"):
            pass
        print("ESCAPED: made a device that opens", name)
    except OSError as error:
        print("tried", error)
