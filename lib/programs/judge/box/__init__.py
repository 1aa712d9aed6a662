"""Programs of others, run contained: no network, no files but their own folder, limits, and nothing left behind.

``run`` runs one program in the strongest tier that this machine has, after a yes. ``tiers`` says what there is.
``python -m programs.judge.box PROGRAM`` does it from a shell.

What a report proves. A driver that loads the program into its own process shares all with it: its memory, its
descriptors, its exit code. A program that knows the driver can then write any report: a secret read from descriptor 4
stops one that only prints or writes what looks like a report, not one that searches the driver's memory for the secret.
What holds is a judgement made outside, on behaviour that could not be known before: answers to hidden questions, frames
that follow from keys sent at times of our choosing. ``Ended`` itself holds in any case: how the program ended is told by
the guard, on a pipe that the program has not, or is seen from outside; time, memory and output are measured outside.
"""

from programs.judge.box.running import chosen, run, tiers
from programs.judge.box.shown import shown
from programs.judge.box.types import Ended, Limits, Tier
from workbook.errors import NoConsent, NoSandbox

__all__ = ["Ended", "Limits", "NoConsent", "NoSandbox", "Tier", "chosen", "run", "shown", "tiers"]
