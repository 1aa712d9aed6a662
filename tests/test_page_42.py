"""Page 42 and its evidence: nothing that a model wrote runs without the reader's yes."""

from __future__ import annotations

import nbformat
import page_cells

from workbook import paths

LINK = "4_benchmarks/42_snake.ipynb"
CODE = page_cells.load(LINK)
EVIDENCE = page_cells.load("9_evidence/98_grading.ipynb")


def test_no_programs_of_a_model_run_without_a_yes() -> None:
    """Every cell that grades an answer of the model asks for the reader's yes; the others run what ships."""
    assert CODE["yes"].startswith('RUN_GENERATED_CODE = os.environ.get("WORKBOOK_SANDBOX") == "yes"')
    ours = {name for name, code in CODE.items() if "graded(" in code and "RUN_GENERATED_CODE" not in code}
    assert ours == {"graded", "contract", "cases-graded"}
    assert "graded(task_id, answer.text, RUN_GENERATED_CODE" in CODE["model-grades"]
    runs = {name for name, code in EVIDENCE.items() if "consent=True" in code or "consent=task.needs_code" in code}
    assert runs == {"closed", "curious", "film", "known", "score-run"}
    assert "here and RUN_GENERATED_CODE" in EVIDENCE["score-run"]
    assert not any("exec(" in code or "eval(" in code for code in [*CODE.values(), *EVIDENCE.values()])


def test_the_refusal_is_the_real_one() -> None:
    assert "consent=False" in CODE["refused"]
    page = nbformat.read(paths.notebooks() / LINK, as_version=4)
    (cell,) = (cell for cell in page.cells if cell.get("id") == "refused")
    (error,) = (output for output in cell.outputs if output.output_type == "error")
    assert error.ename == "NoConsent"
