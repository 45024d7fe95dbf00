"""The page of costs is the one that is printed."""

from infra.costs import Prices, Volume, nightly, page
from privacy_assets.governed import PROJECT


def test_the_page_holds_the_tables_that_are_printed() -> None:
    text = (PROJECT / "docs" / "production.md").read_text()
    assert page() in text, "print them again: python -m infra.costs"


def test_an_export_costs_by_what_the_table_holds() -> None:
    """A terabyte, 30.4 nights, ten cents a gigabyte."""
    volume = Volume(records_a_day=1e6, days_kept=1000, record_bytes=1000)
    assert round(nightly(volume, Prices())["DynamoDB: exports"]) == 3040
