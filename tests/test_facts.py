"""Every table of facts: rows with a source and a date, no duplicate, and a name that is wrong is refused in one line."""

import datetime
import re

import pytest

from workbook import facts, paths
from workbook.errors import BadOption

FILES = {path.stem: path for folder in facts.FOLDERS for path in (paths.data() / folder).glob("*.csv")}
TABLES = sorted(FILES)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_its_source_and_its_day(name):
    table = facts.table(name)
    assert len(table)
    assert {"source", "as_of"} <= set(table.columns)
    assert not table["source"].isna().any()
    assert all(re.search(r"\w{4}", text) for text in table["source"])
    assert table["as_of"].dt.date.between(datetime.date(2015, 1, 1), datetime.date(2026, 12, 31)).all()
    assert not table.duplicated().any()
    raw = FILES[name].read_bytes()
    assert b"\r" not in raw
    assert raw.endswith(b"\n")


def test_no_name_stands_for_two_tables():
    assert len(FILES) == sum(len(list((paths.data() / folder).glob("*.csv"))) for folder in facts.FOLDERS)


def test_a_table_that_is_not_there():
    with pytest.raises(BadOption, match="there is no table 'nosuch'"):
        facts.table("nosuch")
