"""Fills the shared memory, the temporary folder, and files that have no name."""

piece = b"x" * (1 << 20)
for folder in ("/dev/shm", "/tmp", "/dev"):
    written = 0
    try:
        with open(f"{folder}/workbook-hostile", "wb") as out:
            while written < 1 << 29:
                written += out.write(piece)
    except OSError as error:
        print("tried", folder, written, error.strerror)
    if written > 256 << 20:
        print("ESCAPED: wrote", written, "bytes to", folder)
