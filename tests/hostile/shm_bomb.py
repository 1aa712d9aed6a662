"""Fills the shared memory, the temporary folder, and the folder of devices."""

piece = b"x" * (1 << 20)
for folder in ("/dev/shm", "/tmp", "/dev", "/run"):
    written = 0
    try:
        with open(f"{folder}/workbook-hostile", "wb") as out:
            while written < 1 << 28:
                written += out.write(piece)
    except OSError as error:
        print("tried", folder, written, error.strerror)
    if written > 128 << 20:
        print("ESCAPED: wrote", written, "bytes to", folder)
