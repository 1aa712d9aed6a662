"""Figures in their stored form, against Pillow's reading of them; damaged ones, and ones that are too large."""

import base64
import io
import struct
import zlib

import nbformat
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from programs.site import figures, normalize
from workbook import leaks

KEY = "sk-" + "ab12" * 8
PIXELS = np.random.default_rng(1).integers(0, 256, (20, 30, 4), dtype=np.uint8)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(pixels=PIXELS, texts=(), **options) -> bytes:
    info = PngImagePlugin.PngInfo()
    for name, text in texts:
        info.add_text(name, text)
        info.add_text(name + " packed", text, zip=True)
        info.add_itxt(name + " wide", text)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png", pnginfo=info, **options)
    return out.getvalue()


def names(content: bytes) -> list[str]:
    return [name.decode() for name, _ in figures._chunks(content)]


def showing(*contents: bytes, kind: str = "image/png"):
    """A notebook whose one cell shows these figures."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("draw()", id="draw")])
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("display_data", data={kind: base64.encodebytes(content).decode()})
        for content in contents
    ]
    return notebook


def test_texts_go_and_pixels_stay():
    whole = png(texts=[("Software", "Matplotlib"), ("Comment", KEY)], dpi=(100, 100), exif=Image.Exif())
    dated = whole.replace(whole[-12:], chunk(b"tIME", bytes(7)) + chunk(b"prVt", KEY.encode()) + whole[-12:] + b"more")
    assert KEY.encode() in dated
    made = figures.stripped(dated)
    assert set(names(made)) == {"IHDR", "pHYs", "IDAT", "IEND"}
    assert KEY.encode() not in made
    assert made.endswith(b"IEND\xaeB`\x82")
    before, after = Image.open(io.BytesIO(dated)), Image.open(io.BytesIO(made))
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert after.info.get("dpi") == before.info.get("dpi")
    assert figures.stripped(made) == made, "a second time nothing is left to do"


def test_what_is_seen_stays():
    grey = Image.fromarray(PIXELS[..., 0]).quantize(8)
    out = io.BytesIO()
    grey.save(out, "png", transparency=3)
    assert {"PLTE", "tRNS"} <= set(names(figures.stripped(out.getvalue())))


def test_figures_that_differ_in_texts_alone_are_stored_alike():
    one, other = (normalize.normalize(showing(png(texts=[("Software", text)]))) for text in ("3.11.1", "3.11.2"))
    assert one == other
    assert normalize.normalize(one) == one
    held = base64.b64decode(one.cells[0].outputs[0].data["image/png"])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(held))), PIXELS)


def test_figures_inside_widgets_are_reached():
    notebook = showing()
    held = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": base64.b64encode(
        png(texts=[("Comment", KEY)])).decode()}}]  # fmt: skip
    state = {
        "a" * 32: {"model_name": "OutputModel", "state": {"outputs": held}},
        "b" * 32: {"state": {"outputs": None}},
    }
    notebook.metadata.widgets = {normalize.STATE: {"state": state}}
    made = normalize.normalize(nbformat.from_dict(notebook))
    (output,) = (output for _, output in figures.outputs(made))
    assert KEY.encode() not in base64.b64decode(output.data["image/png"])
    output.data["image/png"] = "AAAA"
    assert "that is no whole PNG file" in figures.problems(made)[0]


def _wrong_sum(content):
    at = content.index(b"IDAT") + 9
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGED = {
    "nothing": lambda content: b"",
    "another kind": lambda content: b"GIF89a" + content,
    "cut off": lambda content: content[:-20],
    "cut in a header": lambda content: content[:-5],
    "a wrong checksum": _wrong_sum,
    "no pixels": lambda content: content[: content.index(b"IDAT") - 4] + content[-12:],
    "a length of 4 GB": lambda content: content[:33] + b"\xff\xff\xff\xff" + content[37:],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_figure_is_left_and_reported(damage):
    content = DAMAGED[damage](png())
    with pytest.raises(ValueError, match=r"\w"):
        figures.stripped(content)
    notebook = showing(content)
    made = normalize.normalize(notebook)
    assert made.cells[0].outputs == notebook.cells[0].outputs
    (said,) = figures.problems(made)
    assert said.startswith("cell 1 (draw) shows a figure that is no whole PNG file (")


def test_base64_that_is_none():
    notebook = showing(png())
    notebook.cells[0].outputs[0].data["image/png"] = "no base64!"
    assert normalize.normalize(notebook).cells[0].outputs == notebook.cells[0].outputs
    assert "its base64 is damaged" in figures.problems(notebook)[0]


def test_large_figures_are_refused_with_what_to_do():
    wide = png(np.zeros((4, 1601, 3), np.uint8))
    assert figures.problems(showing(png(np.zeros((4, 1600, 3), np.uint8)), png())) == []
    (said,) = figures.problems(showing(wide))
    assert said == "cell 1 (draw) shows a figure 1601 px wide, more than 1600: give it a smaller figsize or dpi"
    heavy = png(np.random.default_rng(1).integers(0, 256, (400, 300, 3), dtype=np.uint8))
    assert len(heavy) > 300_000
    (said,) = figures.problems(showing(heavy))
    assert "more than 300: draw fewer points, or lower its dpi" in said
    assert "360 kB" in said or "361 kB" in said
    drawing = showing()
    drawing.cells[0].outputs = [nbformat.v4.new_output("display_data", data={"image/svg+xml": "<svg>" + "x" * 300_001})]
    assert "300 kB" in figures.problems(drawing)[0]


def test_a_key_in_a_figures_text_is_gone_before_it_is_looked_for():
    made = normalize.normalize(showing(png(texts=[("Comment", KEY)])))
    assert leaks.refusals(made) == figures.problems(made) == []
    assert KEY.encode() not in base64.b64decode(made.cells[0].outputs[0].data["image/png"])
