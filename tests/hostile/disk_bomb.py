"""Fills its folder, in files as large as it may make them."""

piece = b"x" * (1 << 20)
for number in range(64):
    try:
        with open(f"big{number}", "wb") as out:
            for _ in range(64):
                out.write(piece)
    except OSError as error:
        print("tried", number, error)
        break
else:
    print("ESCAPED: wrote 4 GB")
