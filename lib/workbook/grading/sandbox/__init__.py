"""Programs of others, run contained: no network, no files but their own folder, limits, and nothing left behind.

``run`` runs one program in the strongest tier that this machine has, after a yes. ``tiers`` says what there is.
``python -m workbook.grading.sandbox PROGRAM`` does it from a shell.
"""

from workbook.grading.sandbox.running import run, tiers
from workbook.grading.sandbox.types import Ended, Limits, Tier

__all__ = ["Ended", "Limits", "Tier", "run", "tiers"]
