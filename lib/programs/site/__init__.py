"""The stored pages: executed, brought into one form, checked, built into a site, opened in JupyterLab or Voilà."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Where a command's lines go."""
