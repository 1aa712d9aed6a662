"""Takes memory without end, and touches it."""

held = []
while True:
    held.append(bytearray(b"x") * (16 << 20))
