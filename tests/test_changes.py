"""What changed, in words: each line understood without the notebook, and nothing that changed left unsaid."""

import copy

import nbformat
import pytest
from page_samples import sample, stream

from programs.site import changes, normalize


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def said(change, start=None):
    """What is said after ``change`` of a copy of a notebook (the sample page)."""
    old = normalize.normalize(start or sample())
    new = copy.deepcopy(old)
    change(new)
    found = list(changes.differences(old, new))
    return [line.text for line in found], changes.summary(found)


def shows(*outputs, name="sum", **data):
    """A notebook whose cell shows ``outputs``, or one with ``data``."""
    notebook = sample()
    shown = [nbformat.v4.new_output("display_data", data={k.replace("_", "/"): v for k, v in data.items()})]
    cell_of(notebook, name).outputs = list(outputs) or shown
    return notebook


def test_nothing():
    assert said(lambda notebook: None) == ([], "nothing differs")


LONG = "a" * 100
TEXTS = {
    "a line": ("loss 0.31\nend", "loss 0.32\nend", "'loss 0.31' became 'loss 0.32'"),
    "the first line that differs": ("a\nb\nc", "a\nx\ny", "'b' became 'x'"),
    "a line more": ("a", "a\nb", "line 'b' is new"),
    "a line less": ("a\nb", "a", "line 'b' is gone"),
    "a long line": (LONG + "1", LONG + "2", f"'…{'a' * 59}1' became '…{'a' * 59}2'"),
    "a long line's begin": ("1" + LONG, "2" + LONG, f"'1{'a' * 59}…' became '2{'a' * 59}…'"),
    "a long line's middle": (LONG + "1" + LONG, LONG + "2" + LONG,
                             f"'…{'a' * 20}1{'a' * 39}…' became '…{'a' * 20}2{'a' * 39}…'"),
    "no visible letter": ("a\x07", "a", "'a\\x07' became 'a'"),
    "a line end": ("a\n", "a", "only its marks or line ends"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_texts_by_their_first_differing_line(case):
    old, new, words = TEXTS[case]

    def change(notebook):
        cell_of(notebook, "sum").outputs[0].text = new

    assert said(change, shows(stream(old))) == (
        [f"cell 5 (sum): printed text: {words}"],
        "1 cell differs, nothing else",
    )


def _data(**data):
    def change(notebook):
        cell_of(notebook, "sum").outputs[0].data.update({k.replace("_", "/"): v for k, v in data.items()})

    return change


@pytest.mark.parametrize(
    ("change", "start", "words"),
    [
        (_data(image_png="BBBB"), shows(image_png="AAAA", text_plain="<Figure>"), "figure redrawn"),
        (_data(text_plain="4"), None, "shown text: '3' became '4'"),
        (_data(text_plain="4", text_html="<b>4</b>"), shows(text_plain="3", text_html="<b>3</b>"), "shown text: '3' became '4'"),
        (_data(text_html="<b>4</b>"), shows(text_plain="x", text_html="<b>3</b>"), "shown text: '3' became '4'"),
        (_data(text_html="<i>3</i>"), shows(text_html="<b>3</b>"), "shown text: only its marks or line ends"),
        (_data(text_html="<b>4</b>"), shows(text_plain="x"), "its text/html is new"),
        (_data(image_png="BBBB", text_plain="b"), shows(image_png="AAAA", text_plain="a"),
         "figure redrawn; shown text: 'a' became 'b'"),
    ],
)  # fmt: skip
def test_shown_things(change, start, words):
    assert said(change, start)[0] == [f"cell 5 (sum): {words}"]


def _outputs(*made):
    def change(notebook):
        cell_of(notebook, "sum").outputs = list(made)

    return change


def _error(text):
    return nbformat.v4.new_output("error", ename="ValueError", evalue=text, traceback=[])


def _stderr(text):
    return nbformat.v4.new_output("stream", name="stderr", text=text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ([stream("a")], [], "1 output (printed) became 0 ()"),
        ([stream("a")], [stream("a"), _stderr("b")], "1 output (printed) became 2 (printed, stderr)"),
        ([_stderr("a")], [_stderr("b")], "text on stderr: 'a' became 'b'"),
        ([_error("a")], [_error("b")], "error: 'ValueError: a' became 'ValueError: b'"),
        ([stream("a"), _stderr("b")], [stream("x"), _stderr("y")], "printed text: 'a' became 'x'; text on stderr: 'b' became 'y'"),
        ([stream("a"), _error("b")] * 2, [stream("x"), _error("y")] * 2, "and 1 more"),
    ],
)  # fmt: skip
def test_outputs(old, new, words):
    (line,), _ = said(_outputs(*new), shows(*old))
    assert line.endswith(words)


def _live(notebook):
    cell_of(notebook, "live").outputs[0].text = "2.5\n"


def test_live_cells_are_marked_and_counted():
    lines, end = said(_live)
    assert lines == ["cell 3 (live), live: printed text: '1.5' became '2.5'"]
    assert end == "1 live cell differs, nothing else"

    def both(notebook):
        _live(notebook)
        _data(text_plain="4")(notebook)

    assert said(both)[1] == "1 cell and 1 live cell differ"


def test_what_is_not_an_output_is_said_too():
    def change(notebook):
        cell = cell_of(notebook, "sum")
        cell.source, cell.execution_count, cell.id = "1 + 3", 9, "add"
        cell.metadata["tags"] = ["x"]
        notebook.metadata["note"] = "x"
        notebook.metadata.workbook["minutes"] = 9
        notebook.metadata.workbook.measured["seconds"] = 12.0

    lines, end = said(change)
    assert lines == [
        "recorded cost: seconds 8.4 became 12.0",
        "metadata: workbook: minutes 5 became 9",
        "metadata: note differs",
        "cell 5 (add): its id was 'sum'; its text: '1 + 2' became '1 + 3'; its metadata: tags differs; and 1 more",
    ]
    assert end == "1 cell, the recorded cost and the page itself differ"


def test_cells_that_come_and_go():
    assert said(lambda notebook: notebook.cells.pop())[0] == ["8 cells became 7"]

    def change(notebook):
        notebook.cells[0].cell_type = "raw"

    assert said(change)[0] == ["cell 1 (head): markdown became raw"]


def test_a_cost_that_was_not_recorded():
    start = sample()
    cost = start.metadata.workbook.pop("measured")

    def change(notebook):
        notebook.metadata.workbook["measured"] = cost

    assert said(change, start) == (["recorded cost: new"], "the recorded cost differs, nothing else")


A, B, C = (f"{n:032x}" for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("moved", "lines"),
    [
        ([A], ["cell 3 (live), live: its widget's state"]),
        ([B], ["cell 3 (live), live: its widget's state"]),
        ([C], ["the state of 1 widget that no cell shows"]),
        ([A, B, C], ["cell 3 (live), live: its widget's state", "the state of 1 widget that no cell shows"]),
    ],
)
def test_widgets_are_told_with_the_cell_that_shows_them(moved, lines):
    start = shows(name="live", **{normalize.VIEW: {"model_id": A}})
    cell_of(start, "live").outputs[0].data = {normalize.VIEW: {"model_id": A}}
    states = {name: {"state": {"value": 1}} for name in (A, B, C)}
    states[A]["state"]["children"] = [f"IPY_MODEL_{B}"]
    start.metadata.widgets = {normalize.STATE: {"state": states}}

    def change(notebook):
        for name in moved:
            normalize.widget_states(notebook)[name]["state"]["value"] = 2

    assert said(change, start)[0] == lines
