"""Requests: one month as Regulation 1182/71 counts it, 45 days in California."""

import random
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pandas as pd
from dateutil.easter import easter

from tests.audit.conftest import Judge
from tests.audit.stories import AUDITS, Row, event, expected, names, story, told


def requests(kind: str, answer: str) -> list[Row]:
    """Boundary cases that both kinds of request share; ``kind`` asks and ``answer`` answers."""

    def asked(when: str, place: str | None = "DE") -> Row:
        return event(f"{kind}_request", when, jurisdiction=place)

    def answered(when: str, **fields: Any) -> Row:
        return event(answer, when, **fields)

    def pair(name: str, place: str, received: str, done: str) -> list[Row]:
        return story(name, asked(received, place), answered(done), judged=0)

    return told(
        # The last hour of the day ends the period; the hour of receipt doesn't matter (Art. 3(1), 3(2)(c)).
        pair("ok: last millisecond", "DE", "2025-09-10 00:00:00", "2025-10-10 23:59:59.999"),
        pair("bad: a millisecond later", "DE", "2025-09-10 23:59:59.999", "2025-10-11 00:00:00"),
        # No such date: the month's last day. 2024 is a leap year.
        pair("ok: end of a leap February", "DE", "2024-01-31", "2024-02-29 23:59:59"),
        pair("bad: end of a leap February", "DE", "2024-01-29", "2024-03-01"),
        pair("ok: end of February", "DE", "2022-01-31", "2022-02-28 23:59:59"),
        pair("bad: end of February", "DE", "2022-01-28", "2022-03-01"),
        pair("ok: thirty days", "DE", "2023-08-31", "2023-10-02 23:59:59"),  # 30 September is a Saturday
        pair("ok: from the last of February", "DE", "2023-02-28", "2023-03-28 23:59:59"),
        pair("bad: from the last of February", "DE", "2023-02-28", "2023-03-29"),
        # Saturdays and Sundays move it to Monday (Art. 3(4)).
        pair("ok: due on a Saturday", "DE", "2026-01-14", "2026-02-16 23:59:59"),
        pair("bad: due on a Saturday", "DE", "2026-01-14", "2026-02-17"),
        pair("ok: due on a Sunday", "DE", "2026-01-15", "2026-02-16 23:59:59"),
        pair("bad: due on a Sunday", "DE", "2026-01-15", "2026-02-17"),
        # Holidays: Good Friday, the weekend and Easter Monday 2025 make four days (18 to 21 April).
        pair("ok: due on Good Friday", "DE", "2025-03-18", "2025-04-22 23:59:59"),
        pair("bad: due on Good Friday", "DE", "2025-03-18", "2025-04-23"),
        pair("bad: Good Friday in France is none", "FR", "2025-03-18", "2025-04-19"),
        pair("ok: Christmas", "DE", "2025-11-25", "2025-12-29 23:59:59"),  # Thursday, Friday, weekend
        pair("bad: Christmas", "DE", "2025-11-25", "2025-12-30"),
        pair("bad: Christmas in France has one day", "FR", "2025-11-25", "2025-12-27"),
        pair("ok: Orthodox Easter Monday", "GR", "2024-04-06", "2024-05-07 23:59:59"),
        pair("bad: Orthodox Easter Monday", "GR", "2024-04-06", "2024-05-08"),
        pair("bad: Western Easter Monday in Greece", "GR", "2024-03-01", "2024-04-02"),
        pair("ok: a region's code", "DE-BY", "2025-09-03", "2025-10-06 23:59:59"),  # Friday, 3 October
        pair("ok: first Monday of June in Ireland", "IE", "2025-05-02", "2025-06-03 23:59:59"),
        pair("bad: first Monday of June in Germany", "DE", "2025-05-02", "2025-06-03 00:00:00"),
        pair("ok: Boxing Day kept on Monday", "GB", "2020-11-26", "2020-12-29 23:59:59"),
        pair("ok: Midsummer Eve", "SE", "2025-05-20", "2025-06-23 23:59:59"),
        pair("ok: New Year's Eve in Latvia", "LV", "2024-11-30", "2024-12-30 23:59:59"),
        pair("bad: only weekends elsewhere", "BR", "2025-11-25", "2025-12-26"),
        pair("ok: only weekends elsewhere", "BR", "2025-11-27", "2025-12-29 23:59:59"),
        # California: 45 calendar days, whatever day that is; nowhere else.
        pair("ok: California", "US-CA", "2026-01-01 23:00:00", "2026-02-15 23:59:59"),  # a Sunday
        pair("bad: California", "us-ca ", "2026-01-01 00:00:00", "2026-02-16 00:00:00"),
        pair("bad: Virginia", "US-VA", "2026-01-01", "2026-02-10"),
        pair("ok: the United Kingdom by its other code", "UK", "2025-03-18", "2025-04-22 23:59:59"),
        pair("bad: the United Kingdom by its other code", "UK", "2025-03-18", "2025-04-23"),
        pair("ok: Greece by its other code", "EL", "2025-03-18", "2025-04-22 23:59:59"),
        story("ok: no code, 45 days", asked("2026-01-01", "Italy"), answered("2026-02-15"), judged=0),
        story("bad: no code, 45 days", asked("2026-01-01", "Italy"), answered("2026-02-16"), judged=0),
        story("bad: no jurisdiction", asked("2026-01-01", None), answered("2026-02-10"), judged=0),
        # Still open. The snapshot is taken as 4 March ends.
        story("bad: open, due today", asked("2026-02-04"), judged=0),
        story("ok: open, due tomorrow", asked("2026-02-05"), judged=0),
        story("bad: open, California", asked("2026-01-18", "US-CA"), judged=0),
        story("ok: open, California", asked("2026-01-19", "US-CA"), judged=0),
        # Which answer answers.
        story("bad: answered before it was asked", answered("2025-12-31"), asked("2026-01-01"), judged=1),
        story("ok: answered at the same instant", asked("2025-12-31"), answered("2025-12-31"), judged=0),
        story("ok: at the same instant answered", answered("2025-12-31"), asked("2025-12-31")),
        story(
            "ok: the first answer counts",
            asked("2025-06-02"),
            answered("2025-06-03"),
            answered("2025-12-03"),
            judged=0,
        ),
        story(
            "bad: the second request",
            asked("2025-06-02"),
            answered("2025-06-03"),
            asked("2025-06-04"),
            judged=2,
        ),
        story(
            "ok: one answer to two",
            asked("2025-06-02"),
            asked("2025-06-03"),
            answered("2025-06-04"),
            judged=1,
        ),
        story(
            "bad: answered after the snapshot", asked("2026-01-05"), answered("2026-03-05 00:00:01"), judged=0
        ),
        story("ok: asked after the snapshot", asked("2026-03-05 00:00:01"), judged=0),
        story("ok: no time, which is incomplete", event(f"{kind}_request", None), judged=0),
        story("ok: not asked", event("processing", "2020-01-01")),
        story("bad: in capitals", event(f"{kind.upper()}_request", "2025-01-01"), judged=0),
    )


def test_erasure_overdue(judge: Judge) -> None:
    rows = [
        *requests("erasure", "erasure_completed"),
        *story(
            "bad: a disclosure completes no erasure",
            event("erasure_request", "2025-06-02"),
            event("disclosure", "2025-06-03"),
            judged=0,
        ),
    ]
    found = judge("erasure.overdue", rows)
    assert names(found) == expected(rows)
    reasons = {one.row_key: one.reason for one in found}
    assert reasons["bad: due on Good Friday"] == (
        "the erasure request was due by 2025-04-22 and was answered on 2025-04-23"
    )
    assert reasons["bad: open, due today"] == "the erasure request was due by 2026-03-04 and is still open"
    assert reasons["bad: answered after the snapshot"].endswith("is still open")
    assert reasons["bad: open, California"] == "the erasure request was due by 2026-03-04 and is still open"


def test_access_overdue(judge: Judge) -> None:
    def answer(name: str, recipient: str | None, subject: str | None = None) -> list[Row]:
        asked = event("access_request", "2025-06-02", subject_id=subject)
        return story(
            name, asked, event("disclosure", "2025-06-03", recipient=recipient, subject_id=subject), judged=0
        )

    rows = [
        *requests("access", "disclosure"),
        *answer("ok: to nobody in particular", None),
        *answer("ok: to nobody in particular, blank", " "),
        *answer("ok: to the subject", "Data_Subject"),
        *answer("ok: to the subject by identifier", "s-17", "s-17"),
        *answer("bad: to somebody else", "Acme Ads"),
        *story(
            "bad: an erasure answers no access request",
            event("access_request", "2025-06-02"),
            event("erasure_completed", "2025-06-03"),
            judged=0,
        ),
    ]
    assert names(judge("access.overdue", rows)) == expected(rows)


def german_deadline(received: date) -> date:
    """Regulation 1182/71, counted in another way than the audit does."""
    last = (pd.Timestamp(received) + pd.DateOffset(months=1)).date()
    while last.weekday() >= 5 or last in german_holidays(last.year):
        last += timedelta(days=1)
    return last


def german_holidays(year: int) -> set[date]:
    fixed = {date(year, 1, 1), date(year, 5, 1), date(year, 10, 3), date(year, 12, 25), date(year, 12, 26)}
    return fixed | {easter(year) + timedelta(days=days) for days in (-2, 1, 39, 50)}


def test_deadlines_of_any_day(judge: Judge) -> None:
    """Against a reference in Python, for random days: the last second is in time, the next one too late."""
    chance = random.Random(1182)
    days = sorted({date(2001, 1, 1) + timedelta(days=chance.randrange(90 * 365)) for _ in range(3_000)})
    rows = []
    for received in days:
        asked = datetime.combine(received, time(chance.randrange(24), chance.randrange(60)))
        last = datetime.combine(german_deadline(received), time(23, 59, 59))
        rows += [
            *story(f"ok {received}", event("access_request", asked), event("disclosure", last), judged=0),
            *story(
                f"bad {received}",
                event("access_request", asked),
                event("disclosure", last + timedelta(seconds=1)),
                judged=0,
            ),
        ]
    found = judge("access.overdue", rows, date(2099, 1, 1), datetime(2099, 1, 2, tzinfo=UTC))
    assert names(found) == expected(rows)
    due = {one.row_key.split()[1]: one.reason.split("due by ")[1].split()[0] for one in found}
    assert due == {str(received): str(german_deadline(received)) for received in days}


def test_orthodox_easter(judge: Judge) -> None:
    """What falls due on Orthodox Good Friday is due on the Tuesday after, in every year."""
    rows = []
    for year in range(2000, 2099):
        good_friday = easter(year, 2) - timedelta(days=2)
        tuesday = good_friday + timedelta(days=4)
        received = (pd.Timestamp(good_friday) - pd.DateOffset(months=1)).date()
        if tuesday < date(year, 5, 1) and received.day == good_friday.day:  # Labour Day would meddle
            rows += story(f"bad {tuesday}", event("access_request", f"{received}", jurisdiction="RO"))
    found = judge("access.overdue", rows, date(2099, 6, 1), datetime(2099, 6, 2, tzinfo=UTC))
    assert len(found) > 50
    for one in found:
        assert f"due by {one.row_key.removeprefix('bad ')} and is still open" in one.reason


def test_both_deadlines_know_the_same_holidays() -> None:
    blocks = {
        AUDITS[name].sql.split("-- The public holidays")[1].split("\nSELECT DISTINCT")[0] for name in OVERDUE
    }
    assert len(blocks) == 1


OVERDUE = ("access.overdue", "erasure.overdue")
