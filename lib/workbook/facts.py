"""The tables of facts under ``data/reference/`` and ``data/reported/``: each row with its source and its day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbook import paths
from workbook.errors import BadOption

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = ("reference", "reported")
"""What is known, and what others measured, under ``data/``."""


def table(name: str) -> pd.DataFrame:
    """The table ``<name>.csv`` of either folder; an empty field is missing, ``as_of`` is a date.

    Raises BadOption for a table that is not there.
    """
    import pandas as pd

    tables = {path.stem: path for folder in FOLDERS for path in (paths.data() / folder).glob("*.csv")}
    if name not in tables:
        raise BadOption(f"there is no table {name!r}. Tables: {', '.join(sorted(tables)) or 'none'}.")
    return pd.read_csv(tables[name], parse_dates=["as_of"], encoding="utf-8")
