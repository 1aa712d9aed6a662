"""Makes requirements.lock and requirements-test.lock anew from pyproject.toml: hashes, no address of an index."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMPILE = [
    sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
    "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "pyproject.toml",
]  # fmt: skip


def compile_lock(name: str, extras: list[str], *more: str) -> None:
    """One lock, of the base and these extras."""
    chosen = [word for extra in extras for word in ("--extra", extra)]
    subprocess.run([*COMPILE, *chosen, *more, "-o", name], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    print(f"{name}: {sum('==' in line for line in (ROOT / name).read_text().splitlines())} rows")


if __name__ == "__main__":
    compile_lock("requirements.lock", ["embedded", "site"])
    # The test lock holds the same versions, and the tools besides.
    compile_lock("requirements-test.lock", ["embedded", "site", "test", "dev"], "-c", "requirements.lock")
