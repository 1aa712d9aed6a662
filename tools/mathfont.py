"""The site's font for formulas, made anew: docs/_static/math.woff. Needs npm; building the site does not.

MathML takes the places of indices, roots and large brackets from the font. Many phones and desktops have none that says
them: so the site brings Noto Sans Math (OFL), cut down from 270 kB to the signs that formulas of this kind use.
"""

import base64
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from fontTools import subset
from fontTools.ttLib import TTFont

PACKAGE, VERSION = "@fontsource/noto-sans-math", "5.3.0"
INTEGRITY = "sha512-CzodkZ4R2VC73rqbNbVpiI94fXZJLFEMNBTAM3DFadjAKrjLQ2Fr+s2yM2c5uS+frBZ2IM+LyMo6COhAzV7hCA=="
FONT, LICENCE = "package/files/noto-sans-math-latin-400-normal.woff", "package/LICENSE"
OUT = pathlib.Path(__file__).resolve().parents[1] / "docs" / "_static" / "math.woff"
FEATURES = ["math", "ssty", "dtls", "flac", "kern"]
SIGNS = (
    (0x20, 0x7E), (0xA0, 0xFF), (0x131, 0x131), (0x237, 0x237),  # Latin
    (0x2C6, 0x2C7), (0x2D8, 0x2DC), (0x300, 0x30F), (0x203E, 0x203E), (0x20D7, 0x20D7),  # accents
    (0x391, 0x3D6),  # Greek
    (0x2010, 0x2016), (0x2026, 0x2026), (0x2032, 0x2034), (0x2061, 0x2064),  # dashes, dots, primes
    (0x2102, 0x2102), (0x210E, 0x2115), (0x211A, 0x211D), (0x2124, 0x2130),  # letters with a meaning of their own
    (0x2190, 0x2195), (0x21A6, 0x21A6), (0x21D0, 0x21D5), (0x27F5, 0x27FA),  # arrows
    (0x2200, 0x2236), (0x223C, 0x224D), (0x2260, 0x226B), (0x2282, 0x2287), (0x2295, 0x2299), (0x22A4, 0x22A5),
    (0x22C0, 0x22C6), (0x22EE, 0x22F1), (0x2308, 0x230B), (0x27E8, 0x27E9),  # operators and brackets
    (0x1D400, 0x1D467), (0x1D6A4, 0x1D6A5), (0x1D6E2, 0x1D71B),  # bold and italic letters
)  # fmt: skip


def package(folder: str) -> tarfile.TarFile:
    """The package as npm packs it. Ends with one line where it is not the one that is pinned."""
    words = ["npm", "pack", "--json", "--silent", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        sys.exit(f"Not fetched: npm says {(done.stderr or done.stdout).strip()[-300:]}")
    content = (pathlib.Path(folder) / json.loads(done.stdout)[0]["filename"]).read_bytes()
    if "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode("ascii") != INTEGRITY:
        sys.exit(f"Not kept: what npm brought as {PACKAGE} {VERSION} is not the file whose digest stands here.")
    return tarfile.open(fileobj=io.BytesIO(content))


def cut(font: TTFont) -> None:
    """Leave only SIGNS, and what the font itself makes of them (larger brackets, smaller indices)."""
    options = subset.Options(flavor="woff", layout_features=FEATURES, hinting=False, name_IDs=[0, 1, 2, 3, 5, 13, 14])
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[sign for first, last in SIGNS for sign in range(first, last + 1)])
    cutter.subset(font)
    font.flavor, font.recalcTimestamp = "woff", False


def main() -> None:
    """Fetch, check, cut, write; say the digest."""
    with tempfile.TemporaryDirectory() as folder, package(folder) as held:
        contents = [held.extractfile(name).read() for name in (FONT, LICENCE)]  # type: ignore[union-attr]
    font = TTFont(io.BytesIO(contents[0]), recalcTimestamp=False)
    cut(font)
    font.save(OUT)
    OUT.with_name("math.woff.LICENSE.txt").write_bytes(contents[1])
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, sha256 {hashlib.sha256(OUT.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
