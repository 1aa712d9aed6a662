"""Figures of stored pages: without what tells of the program or the hour that made them, and not too large.

Their display size is not written into the outputs' metadata. Theme and browser take a figure's own size, and with a
width and a height given, a theme that sets only ``max-width`` would squeeze the figure on a phone.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator
from typing import Any

WIDEST_PX = 1600
LARGEST_BYTES = 300_000

STATE = "application/vnd.jupyter.widget-state+json"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHOWN = {
    b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
}  # fmt: skip
"""Ancillary chunks that change what is seen. The others (texts, dates, what programs add) are left out."""


def stripped(png: bytes) -> bytes:
    """``png`` with its pixels as they are, without chunks of text, of time or of a program's own.

    Raises ValueError for what is no whole PNG file.
    """
    return SIGNATURE + b"".join(
        chunk for name, chunk in _chunks(png) if name[:1].isupper() or name in SHOWN
    )  # an upper-case first letter: a decoder cannot do without the chunk


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, whole chunk) up to the end chunk; what stands behind that is no part of the picture."""
    if not png.startswith(SIGNATURE + b"\x00\x00\x00\x0dIHDR"):
        raise ValueError("it does not begin as one")
    at, name, data = len(SIGNATURE), b"", False
    while name != b"IEND":
        if len(png) < at + 12:
            raise ValueError("it is cut off")
        length, name = struct.unpack_from(">I4s", png, at)
        chunk = png[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise ValueError("it is cut off")
        if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
            raise ValueError("a checksum is wrong")
        data |= name == b"IDAT"
        at += 12 + length
        yield name, chunk
    if not data:
        raise ValueError("it holds no pixels")


def width_px(png: bytes) -> int:
    """The width in its header. Raises ValueError for what is no whole PNG file."""
    return int(struct.unpack_from(">I", next(_chunks(png))[1], 8)[0])


def outputs(notebook: Any) -> Iterator[tuple[str, Any]]:
    """(where, output) of every output: the cells', and those that widgets hold."""
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            yield f"cell {number} ({cell.get('id', 'no id')})", output
    for name, model in notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {}).items():
        for output in model.get("state", {}).get("outputs") or ():
            yield f"widget {name.lstrip('0')}", output


def strip(notebook: Any) -> None:
    """Bring every PNG figure of ``notebook`` into its stored form, in place; a damaged one stays as it is."""
    for _, output in outputs(notebook):
        data = output.get("data", {})
        if isinstance(data.get("image/png"), str):
            try:
                data["image/png"] = base64.b64encode(stripped(_decoded(data["image/png"]))).decode("ascii")
            except ValueError:
                continue  # ``problems`` reports it


def problems(notebook: Any) -> list[str]:
    """Why the figures of ``notebook`` must not be stored, a line each."""
    found = []
    for where, output in outputs(notebook):
        for kind, text in output.get("data", {}).items():
            if kind.startswith("image/") and isinstance(text, str):
                found += [f"{where} shows a figure {problem}" for problem in _wrong(kind, text)]
    return found


def _wrong(kind: str, text: str) -> Iterator[str]:
    try:
        content = text.encode() if kind == "image/svg+xml" else _decoded(text)
        if kind == "image/png":
            stripped(content)
            if width_px(content) > WIDEST_PX:
                yield f"{width_px(content)} px wide, more than {WIDEST_PX}: give it a smaller figsize or dpi"
    except ValueError as error:
        yield f"that is no whole {kind.removeprefix('image/').upper()} file ({error}): draw it again"
        return
    if len(content) > LARGEST_BYTES:
        yield f"of {len(content) / 1e3:.0f} kB, more than {LARGEST_BYTES / 1e3:.0f}: draw fewer points, or lower its dpi"


def _decoded(text: str) -> bytes:
    """Base64 with line ends or without. Raises ValueError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("its base64 is damaged") from None
