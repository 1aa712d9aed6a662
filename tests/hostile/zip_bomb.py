"""Leaves an archive of a few kilobytes that unpacks to much."""

import zipfile

with zipfile.ZipFile("answer.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    archive.writestr("zeros", b"\0" * (24 << 20))
print("tried")
