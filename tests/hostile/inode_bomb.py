"""Makes empty files without end."""

count = 0
while True:
    with open(f"f{count}", "wb"):
        count += 1
