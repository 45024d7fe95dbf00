"""ISO 8601 periods, counted by the calendar: ten years from 29 February end on 28 February."""

import calendar
import re
from datetime import datetime, timedelta

_PERIOD = re.compile(r"P(?=\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")


def checked(text: str) -> str:
    """``text`` if it is a period of years, months, weeks and days. Raises ValueError.

    >>> checked("P1Y6M")
    'P1Y6M'
    """
    if not _PERIOD.fullmatch(text):
        raise ValueError(f"{text!r}, expected an ISO 8601 period such as P10Y")
    return text


def after(start: datetime, period: str) -> datetime:
    """The end of a ``period`` that begins at ``start``; the last representable instant if that is later.

    >>> after(datetime(2024, 2, 29), "P1Y1M").isoformat()
    '2025-03-29T00:00:00'
    """
    match = _PERIOD.fullmatch(checked(period))
    assert match is not None
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    month = start.month - 1 + months + 12 * years
    try:
        year, number = start.year + month // 12, month % 12 + 1
        day = min(start.day, calendar.monthrange(year, number)[1])
        return start.replace(year=year, month=number, day=day) + timedelta(weeks=weeks, days=days)
    except (ValueError, OverflowError):
        return datetime.max.replace(tzinfo=start.tzinfo)
