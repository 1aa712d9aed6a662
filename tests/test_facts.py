"""Every table of facts: rows with a source and a date, no duplicate, and a name that is wrong is refused in one line."""

import datetime

import pytest

from workbook import facts, paths
from workbook.errors import BadOption

FILES = {path.stem: path for folder in facts.FOLDERS for path in (paths.data() / folder).glob("*.csv")}
TABLES = sorted(FILES)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_its_source_and_its_day(name: str) -> None:
    table = facts.table(name)
    assert len(table)
    assert table["source"].str.contains(r"\w{4}").all()
    assert table["as_of"].dt.date.between(datetime.date(2015, 1, 1), datetime.date(2026, 12, 31)).all()
    assert not table.duplicated().any()


def test_no_name_stands_for_two_tables() -> None:
    assert len(FILES) == sum(len(list((paths.data() / folder).glob("*.csv"))) for folder in facts.FOLDERS)


def test_a_table_that_is_not_there() -> None:
    with pytest.raises(BadOption, match="there is no table 'nosuch'"):
        facts.table("nosuch")


def test_what_pages_ask_of_a_table_is_in_it_once() -> None:
    keys = {
        "openai_ignored": ["server", "setting"], "sampling_defaults": ["setting", "program"],
        "prices": ["provider", "model"], "terms": ["who", "question"], "formats": ["format", "engine"],
    }  # fmt: skip
    for name, columns in keys.items():
        assert not facts.table(name).duplicated(columns).any(), name
    assert facts.table("model_file_flaws")["id"].dropna().str.fullmatch(r"CVE-\d{4}-\d{4,6}").all()
    prices = facts.table("prices")
    assert (prices["usd_per_m_output"] >= prices["usd_per_m_input"]).all()
    assert prices["source"].str.contains("https://").all()
