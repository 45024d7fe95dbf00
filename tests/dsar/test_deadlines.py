"""Deadlines: the rules' own examples, and the audits' SQL as the second opinion."""

import random
import re
from datetime import UTC, date, datetime, timedelta

import pytest

from privacy_assets.dsar.deadlines import CCPA, GDPR, Clock, Pause, add_months, rules_for, warnings
from privacy_assets.dsar.holidays import CALENDARS, country_of, easter, is_working_day
from privacy_assets.errors import UserError
from privacy_assets.governed import PROJECT
from tests.audit.conftest import Judge, judge, lake  # noqa: F401  # fixtures
from tests.audit.stories import event, names, story


@pytest.mark.parametrize(
    ("received", "jurisdiction", "due"),
    [
        ("2026-01-05", "DE", "2026-02-05"),
        ("2026-01-31", "FR", "2026-03-02"),  # no 31 February: its last day, a Saturday, so Monday
        ("2024-01-31", "DE", "2024-02-29"),
        ("2025-03-18", "DE", "2025-04-22"),  # Good Friday, Easter Monday
        ("2025-11-25", "DE", "2025-12-29"),  # both days of Christmas, then a weekend
        ("2026-03-10", "RO", "2026-04-14"),  # Orthodox Easter: the tenth is its Good Friday
        ("2026-01-05", "BR", "2026-02-05"),
        ("2026-01-24", "BR", "2026-02-24"),
        ("2026-03-03", "EL", "2026-04-03"),  # Greece is GR to ISO: a Friday, and no holiday there
        ("2026-01-05", "US-CA", "2026-02-19"),
        ("2026-01-01", "US-CA", "2026-02-15"),  # a Sunday, on which it ends all the same
    ],
)
def test_the_last_day(received: str, jurisdiction: str, due: str) -> None:
    rules = rules_for(jurisdiction)
    assert rules.due(date.fromisoformat(received), jurisdiction).isoformat() == due


def test_extensions_count_from_receipt() -> None:
    assert GDPR.due(date(2026, 1, 31), "DE", extended=True) == date(2026, 4, 30)
    assert CCPA.due(date(2026, 1, 1), "US-CA", extended=True) == date(2026, 4, 1)


def test_days_of_a_pause_are_added() -> None:
    pauses = (Pause(date(2026, 1, 10), date(2026, 1, 20)), Pause(date(2026, 2, 2)))
    assert GDPR.due(date(2026, 1, 5), "DE", pauses=pauses, today=date(2026, 2, 3)) == date(2026, 2, 16)
    assert GDPR.due(date(2026, 1, 5), "DE", pauses=pauses, today=date(2026, 2, 6)) == date(2026, 2, 19)
    assert not CCPA.pausable


def test_acknowledgement_in_ten_business_days() -> None:
    assert CCPA.acknowledge_by(date(2026, 1, 2)) == date(2026, 1, 16)
    assert CCPA.acknowledge_by(date(2026, 1, 3)) == date(2026, 1, 16)  # a Saturday
    assert GDPR.acknowledge_by(date(2026, 1, 2)) is None


@pytest.mark.parametrize("jurisdiction", ["", "de", "Germany", "DE-", "DE-ABCD", "1A", "DE\n"])
def test_what_is_no_jurisdiction_is_refused(jurisdiction: str) -> None:
    with pytest.raises(UserError, match="expected an ISO 3166 code"):
        rules_for(jurisdiction)


def test_months_of_any_length() -> None:
    assert add_months(date(2026, 11, 30), 3) == date(2027, 2, 28)
    assert add_months(date(2026, 12, 31), 1) == date(2027, 1, 31)


def test_both_easters() -> None:
    assert [easter(year) for year in (1981, 2025, 2026)] == [
        date(1981, 4, 19),
        date(2025, 4, 20),
        date(2026, 4, 5),
    ]
    assert easter(2024, orthodox=True) == date(2024, 5, 5)
    assert easter(2025, orthodox=True) == easter(2025)


def test_the_holidays_are_those_of_the_audits() -> None:
    sql = (PROJECT / "audits" / "access.overdue.sql").read_text()
    rows = re.findall(r"\('([A-Z]{2})', (true|false), ARRAY\[([-\d, ]*)\], ARRAY\[([-\d, ]*)\]\)", sql)
    assert {
        country: (orthodox == "true", _numbers(on_date), _numbers(from_easter))
        for country, orthodox, on_date, from_easter in rows
    } == {
        country: (calendar.orthodox, calendar.on_date, calendar.from_easter)
        for country, calendar in CALENDARS.items()
    }


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def test_the_audit_counts_alike(judge: Judge) -> None:  # noqa: F811
    """For random days in every country: what the audit calls due is what a request is due by."""
    chance = random.Random(12)
    places = [*CALENDARS, "UK", "EL", "BR", "US-NY", "US-CA"]
    rows, due = [], {}
    for number in range(3_000):
        place = places[number % len(places)]
        received = date(2001, 1, 1) + timedelta(days=chance.randrange(90 * 365))
        name = f"bad {number}"
        rows += story(
            name, event("access_request", datetime.combine(received, datetime.min.time()), jurisdiction=place)
        )
        due[name] = rules_for(place).due(received, place).isoformat()
    found = judge("access.overdue", rows, date(2099, 1, 1), datetime(2099, 1, 2, tzinfo=UTC))
    assert {one.row_key: one.reason.split("due by ")[1].split()[0] for one in found} == due
    assert len(names(found)) == len(due)


def test_moved_holidays() -> None:
    assert not is_working_day(date(2026, 12, 28), "GB")  # Boxing Day is a Saturday
    assert not is_working_day(date(2026, 2, 2), "IE")
    assert is_working_day(date(2019, 2, 4), "IE")  # kept on Friday the first
    assert not is_working_day(date(2026, 6, 19), "SE")
    assert country_of("UK-LND") == "GB"


def test_warnings_come_once_a_step() -> None:
    received = datetime(2026, 1, 5, 12, tzinfo=UTC)
    clock = Clock(GDPR, "DE", received)
    told = [warnings(clock, date(2026, 1, 28) + timedelta(days=each)) for each in range(11)]
    assert [[name for name, _ in each] for each in told] == [
        [],
        *[["answer:2026-02-05:7"]] * 4,
        *[["answer:2026-02-05:3"]] * 2,
        *[["answer:2026-02-05:1"]] * 2,
        *[["answer:2026-02-05:overdue"]] * 2,
    ]
    assert told[8][0][1] == "answer due today, on 2026-02-05"
    california = Clock(CCPA, "US-CA", received)
    assert [name for name, _ in warnings(california, date(2026, 1, 18))] == ["acknowledgement:2026-01-19:1"]
    assert not warnings(Clock(CCPA, "US-CA", received, acknowledged=True), date(2026, 1, 18))
