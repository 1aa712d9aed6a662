"""Programs of others, run contained: no network, no files but their own folder, limits, and nothing left behind.

``run`` runs one program in the strongest tier that this machine has, after a yes. ``tiers`` says what there is.
``python -m programs.judge.box PROGRAM`` does it from a shell.

What a run proves. How a program ended, its time, memory and output are told by the supervisor, a process that the
program cannot reach behind walls. A driver that loads the program into its own process shares all with it: a program
that knows the driver can say in its place what it likes, so a secret that the driver is told stops only what is printed
by chance. What holds is a judgement made outside, on behaviour that could not be known before: answers to hidden
questions, frames that follow from keys sent at times of our choosing.
"""

from programs.judge.box.execution import Ended, chosen, run, tiers
from programs.judge.box.walls import Limits, Tier
from workbook.errors import NoConsent, NoSandbox

__all__ = ["Ended", "Limits", "NoConsent", "NoSandbox", "Tier", "chosen", "run", "tiers"]
