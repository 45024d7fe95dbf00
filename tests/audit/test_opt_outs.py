"""Opt-outs and Global Privacy Control signals, and the days that the law grants."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from pandas.tseries.holiday import USFederalHolidayCalendar

from tests.audit.conftest import Judge
from tests.audit.stories import AFTER, BEFORE, Row, T, event, expected, names, story, told


def sold(when: str, **fields: Any) -> Row:
    return event("sale_or_share", when, jurisdiction="US-CA", **fields)


def test_sale_after_opt_out(judge: Judge) -> None:
    # From Monday 2 February 2026: Washington's Birthday (16 February) isn't a business day, so the
    # fifteenth is Tuesday 24 February.
    out, back = "opt_out_sale", "opt_in_sale"
    rows = told(
        story("ok: day 15, last millisecond", event(out, "2026-02-02"), sold("2026-02-24 23:59:59.999")),
        story(
            "bad: day 16, first millisecond",
            event(out, "2026-02-02 23:59:59.999"),
            sold("2026-02-25 00:00:00"),
        ),
        # From Friday 6 February the fifteenth is Monday 2 March; from the weekend after it too.
        story("ok: from a Friday", event(out, "2026-02-06"), sold("2026-03-02 23:59:59")),
        story("bad: from a Friday", event(out, "2026-02-06"), sold("2026-03-03")),
        story("ok: from a Sunday", event(out, "2026-02-08"), sold("2026-03-02 23:59:59")),
        story("bad: from a Sunday", event(out, "2026-02-08"), sold("2026-03-03")),
        # From Thursday 5 February the fifteenth is Friday 27 February: the Saturday is too late.
        story("bad: on a Saturday", event(out, "2026-02-05"), sold("2026-02-28")),
        story("bad: asked twice", event(out, "2026-01-02"), event(out, "2026-02-23"), sold("2026-02-24")),
        story(
            "bad: out, in, out again",
            event(out, "2025-01-02"),
            event(back, "2025-02-02"),
            event(out, "2025-03-03"),
            sold("2026-02-24"),
        ),
        story("bad: in and out at one instant", event(back, "2026-01-05"), event(out, "2026-01-05"), sold(T)),
        story("bad: out and in at one instant", event(out, "2026-01-05"), event(back, "2026-01-05"), sold(T)),
        story("bad: anywhere", event(out, "2026-01-05"), event("SALE_OR_SHARE", T, jurisdiction="DE")),
        story("ok: back in", event(out, "2026-01-02"), event(back, "2026-02-23"), sold("2026-02-24")),
        story("ok: back in at that instant", event(out, "2026-01-02"), event(back, T), sold(T)),
        story("ok: at that instant back in", sold(T), event(out, "2026-01-02"), event(back, T), judged=0),
        story(
            "ok: out again lately",
            event(out, "2025-01-02"),
            event(back, "2025-02-02"),
            event(out, "2026-02-20"),
            sold("2026-02-24"),
        ),
        story("ok: before the opt-out", event(out, T), sold("2026-02-01")),
        story("ok: never out", sold(T)),
        story("ok: a signal is another audit's", event("gpc_signal", "2025-01-01"), sold(T)),
        story("ok: no sale", event(out, "2025-01-01"), event("processing", T)),
        story("ok: no time, which is incomplete", event(out, "2025-01-01"), event("sale_or_share", None)),
    )
    assert names(judge("optout.sale_after_opt_out", rows)) == expected(rows)


def test_fifteen_business_days_from_any_day(judge: Judge) -> None:
    """Against pandas' calendar of federal holidays and numpy's business days, over nine years of opt-outs."""
    first, last = date(2022, 1, 1), date(2030, 12, 31)
    holidays = (
        USFederalHolidayCalendar().holidays("2021-12-01", "2031-03-01").to_numpy().astype("datetime64[D]")
    )
    days = np.arange(first, last, dtype="datetime64[D]")
    deadlines = np.busday_offset(days, 15, roll="backward", holidays=holidays)
    rows = []
    for opted_out, deadline in zip(days.tolist(), deadlines.tolist(), strict=True):
        in_time = datetime.combine(deadline, time(23, 59, 59))
        rows += [
            *story(
                f"ok {opted_out}",
                event("opt_out_sale", f"{opted_out} 18:00"),
                event("sale_or_share", in_time),
            ),
            *story(
                f"bad {opted_out}",
                event("opt_out_sale", f"{opted_out} 06:00"),
                event("sale_or_share", in_time + timedelta(seconds=1)),
            ),
        ]
    found = judge("optout.sale_after_opt_out", rows, date(2031, 12, 31), datetime(2032, 1, 1, tzinfo=UTC))
    assert names(found) == expected(rows)


def test_gpc_ignored(judge: Judge) -> None:
    gpc, back = "gpc_signal", "opt_in_sale"
    rows = told(
        story("bad: a millisecond after the signal", event(gpc, BEFORE), sold(T)),
        story("bad: years after", event(gpc, "2019-01-01"), sold(T)),
        story("bad: in, then the signal", event(back, "2026-01-01"), event(gpc, BEFORE), sold(T)),
        story("bad: both at one instant", event(back, BEFORE), event(gpc, BEFORE), sold(T)),
        story("bad: both at one instant, turned round", event(gpc, BEFORE), event(back, BEFORE), sold(T)),
        story(
            "bad: a new signal after the opt-in",
            event(gpc, "2026-01-01"),
            event(back, "2026-01-02"),
            event(gpc, "2026-01-03"),
            sold(T),
        ),
        story("bad: in capitals", event("GPC_Signal", BEFORE), event("Sale_or_Share", T)),
        story("ok: in after the signal", event(gpc, "2026-01-01"), event(back, BEFORE), sold(T)),
        story("ok: in at the instant of the sale", event(gpc, "2026-01-01"), event(back, T), sold(T)),
        story("ok: the signal at the instant of the sale", event(gpc, T), sold(T)),
        story("ok: the signal later", event(gpc, AFTER), sold(T)),
        story("ok: no signal", sold(T)),
        story("ok: an opt-out is another audit's", event("opt_out_sale", "2020-01-01"), sold(T)),
        story("ok: no sale", event(gpc, BEFORE), event("processing", T)),
    )
    assert names(judge("optout.gpc_ignored", rows)) == expected(rows)
