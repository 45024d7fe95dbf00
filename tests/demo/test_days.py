"""The generated days hold what they say: that the audits agree is shown by the demo itself."""

import json
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from privacy_assets.audit.definition import load_audits
from privacy_assets.demo import planted
from privacy_assets.demo.days import HISTORY_DAYS, Plan
from privacy_assets.errors import UserError
from privacy_assets.governed import PROJECT, path_of
from resources import settings

LAST = date(2026, 3, 4)


def nights(number: int) -> list[date]:
    return [LAST - timedelta(days=back) for back in reversed(range(number))]


def changes(plan: Plan) -> list[dict[str, Any]]:
    return [json.loads(line) for line in plan.lines()]


def left_over(log: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    table = {}
    for change in log:
        if "Item" in change:
            key = change["Item"]["log_id"]["S"]
            assert key not in table, "a row id twice"
            table[key] = change["Item"]
        else:
            del table[change["Delete"]["log_id"]["S"]]
    return table


@pytest.mark.parametrize(("records", "number"), [(800, 1), (1003, 3), (5000, 2), (3701, 30)])
def test_exactly_the_records_asked_for_are_left(records: int, number: int) -> None:
    assert len(left_over(changes(Plan(records, nights(number))))) == records


def test_every_expected_row_is_there_and_the_same_plan_writes_the_same() -> None:
    plan, again = Plan(2000, nights(3)), Plan(2000, nights(3))
    log = changes(plan)
    table = left_over(log)
    for night, expected in plan.expected.items():
        for audit, keys in expected.items():
            assert audit == planted.VOLUME or keys <= set(table), (night, audit)
    assert changes(again) == log
    assert again.expected == plan.expected


def test_a_night_expects_what_was_planted_until_then() -> None:
    plan = Plan(2000, nights(3))
    changes(plan)
    counts = [len(plan.expected[night]["consent.missing"]) for night in plan.nights]
    a_day = planted.DAILY["consent.missing"][1]
    assert counts == [a_day * (HISTORY_DAYS + number) for number in (1, 2, 3)]
    assert [len(plan.expected[night]["access.overdue"]) for night in plan.nights] == [7, 7, 7]
    assert [len(plan.expected[night][planted.VOLUME]) for night in plan.nights] == [0, 0, 1]


def test_every_audit_of_the_project_has_a_planted_violation() -> None:
    audits = {audit.id for audit in load_audits(PROJECT / settings.AUDITS.default)}
    assert audits == {*planted.DAILY, *planted.LONG_AGO, planted.VOLUME}
    assert path_of(settings.AUDITS).is_dir()


def test_nothing_is_written_after_the_day_it_tells_of() -> None:
    for change in changes(Plan(1500, nights(2))):
        if "Item" not in change:
            continue
        written = datetime.fromisoformat(change["WriteTime"])
        happened = datetime.fromisoformat(change["Item"]["event_time"]["S"])
        assert written <= happened < written + timedelta(minutes=1)
        assert happened.date() <= LAST


def test_the_mixture_is_the_same_every_day_but_for_the_crowd() -> None:
    plan = Plan(30_000, nights(3))
    counts: dict[date, Counter[str]] = defaultdict(Counter)
    for change in changes(plan):
        if "Item" in change:
            day = datetime.fromisoformat(change["Item"]["event_time"]["S"]).date()
            counts[day][change["Item"]["event_type"]["S"]] += 1
    first, *others = [counts[day] for day in plan.days]
    for other in others[:-1]:
        # On the first day nobody has asked to leave the day before.
        assert {name for name in first if abs(first[name] - other[name]) > 2} <= {"erasure_completed"}
    assert counts[LAST][planted.SPIKE_TYPE] > 2 * first[planted.SPIKE_TYPE]


def test_too_few_records_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(
        UserError, match=r"--records: 999, expected at least 1,000 for 3 nights and the week before"
    ):
        Plan(999, nights(3))


def test_an_erased_subject_loses_its_row_on_the_day_after() -> None:
    log = changes(Plan(1000, nights(3)))
    written = {change["Item"]["log_id"]["S"]: change["WriteTime"][:10] for change in log if "Item" in change}
    deleted = [change for change in log if "Delete" in change]
    assert len(deleted) >= HISTORY_DAYS
    for change in deleted:
        before = date.fromisoformat(written[change["Delete"]["log_id"]["S"]])
        assert change["WriteTime"][:10] == (before + timedelta(days=1)).isoformat()
