"""Working days of the European Economic Area and the United Kingdom.

The public holidays that hold in a whole country, as in force in 2026: the same that the audits
``access.overdue`` and ``erasure.overdue`` count with. Holidays of a region, or decreed for one year, aren't
known here. Outside these countries Saturdays and Sundays alone are no working days.
"""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class _Calendar:
    """Holidays on a date (month and day as ``MMDD``) and those so many days from Easter Sunday."""

    on_date: tuple[int, ...]
    from_easter: tuple[int, ...]
    orthodox: bool = False


CALENDARS = {
    "AT": _Calendar((101, 106, 501, 815, 1026, 1101, 1208, 1225, 1226), (1, 39, 50, 60)),
    "BE": _Calendar((101, 501, 721, 815, 1101, 1111, 1225), (1, 39, 50)),
    "BG": _Calendar((101, 303, 501, 506, 524, 906, 922, 1224, 1225, 1226), (-2, -1, 0, 1), orthodox=True),
    "CY": _Calendar((101, 106, 325, 401, 501, 815, 1001, 1028, 1225, 1226), (-48, -2, 1, 50), orthodox=True),
    "CZ": _Calendar((101, 501, 508, 705, 706, 928, 1028, 1117, 1224, 1225, 1226), (-2, 1)),
    "DE": _Calendar((101, 501, 1003, 1225, 1226), (-2, 1, 39, 50)),
    "DK": _Calendar((101, 1225, 1226), (-3, -2, 1, 39, 50)),
    "EE": _Calendar((101, 224, 501, 623, 624, 820, 1224, 1225, 1226), (-2,)),
    "ES": _Calendar((101, 106, 501, 815, 1012, 1101, 1206, 1208, 1225), (-2,)),
    "FI": _Calendar((101, 106, 501, 1206, 1224, 1225, 1226), (-2, 1, 39)),
    "FR": _Calendar((101, 501, 508, 714, 815, 1101, 1111, 1225), (1, 39, 50)),
    "GB": _Calendar((101, 1225, 1226), (-2, 1)),
    "GR": _Calendar((101, 106, 325, 501, 815, 1028, 1225, 1226), (-48, -2, 1, 50), orthodox=True),
    "HR": _Calendar((101, 106, 501, 530, 622, 805, 815, 1101, 1118, 1225, 1226), (1, 60)),
    "HU": _Calendar((101, 315, 501, 820, 1023, 1101, 1225, 1226), (-2, 1, 50)),
    "IE": _Calendar((101, 317, 1225, 1226), (1,)),
    "IS": _Calendar((101, 501, 617, 1225, 1226), (-3, -2, 1, 39, 50)),
    "IT": _Calendar((101, 106, 425, 501, 602, 815, 1004, 1101, 1208, 1225, 1226), (1,)),
    "LI": _Calendar((101, 106, 501, 815, 908, 1101, 1208, 1225, 1226), (1, 39, 50, 60)),
    "LT": _Calendar((101, 216, 311, 501, 624, 706, 815, 1101, 1102, 1224, 1225, 1226), (1,)),
    "LU": _Calendar((101, 501, 509, 623, 815, 1101, 1225, 1226), (1, 39, 50)),
    "LV": _Calendar((101, 501, 504, 623, 624, 1118, 1224, 1225, 1226, 1231), (-2, 1)),
    "MT": _Calendar((101, 210, 319, 331, 501, 607, 629, 815, 908, 921, 1208, 1213, 1225), (-2,)),
    "NL": _Calendar((101, 427, 505, 1225, 1226), (-2, 1, 39, 50)),
    "NO": _Calendar((101, 501, 517, 1225, 1226), (-3, -2, 1, 39, 50)),
    "PL": _Calendar((101, 106, 501, 503, 815, 1101, 1111, 1224, 1225, 1226), (1, 60)),
    "PT": _Calendar((101, 425, 501, 610, 815, 1005, 1101, 1201, 1208, 1225), (-2, 60)),
    "RO": _Calendar(
        (101, 102, 106, 107, 124, 501, 601, 815, 1130, 1201, 1225, 1226), (-2, 1, 50), orthodox=True
    ),
    "SE": _Calendar((101, 106, 501, 606, 1224, 1225, 1226, 1231), (-2, 1, 39)),
    "SI": _Calendar((101, 102, 208, 427, 501, 502, 625, 815, 1031, 1101, 1225, 1226), (1,)),
    "SK": _Calendar((101, 106, 501, 508, 705, 829, 915, 1101, 1117, 1224, 1225, 1226), (-2, 1)),
}
_OTHER_NAMES = {"UK": "GB", "EL": "GR"}


def country_of(jurisdiction: str) -> str:
    """The ISO 3166 country of a jurisdiction such as ``DE``, ``DE-BY`` or ``US-CA``."""
    code = jurisdiction[:2]
    return _OTHER_NAMES.get(code, code)


def next_working_day(day: date, country: str) -> date:
    """``day``, or the first working day after it (Regulation 1182/71 Art. 3(4))."""
    while not is_working_day(day, country):
        day += timedelta(days=1)
    return day


def is_working_day(day: date, country: str) -> bool:
    """Neither Saturday, Sunday nor a public holiday of ``country``."""
    if day.isoweekday() > 5:
        return False
    calendar = CALENDARS.get(country)
    if calendar is None:
        return True
    month_day = 100 * day.month + day.day
    if month_day in calendar.on_date:
        return False
    if (day - easter(day.year, orthodox=calendar.orthodox)).days in calendar.from_easter:
        return False
    return not _moves(country, calendar, day.isoweekday(), month_day)


def easter(year: int, *, orthodox: bool = False) -> date:
    """Easter Sunday in the Gregorian calendar, by Gauss's rule; holds from 1900 to 2099."""
    weeks = 2 * (year % 4) + 4 * (year % 7)
    if orthodox:
        moon = (19 * (year % 19) + 15) % 30
        return date(year, 3, 22) + timedelta(days=13 + moon + (weeks + 6 * moon + 6) % 7)
    moon = (19 * (year % 19) + 24) % 30
    too_late = 7 if year in (1954, 1981, 2049, 2076) else 0
    return date(year, 3, 22) + timedelta(days=moon + (weeks + 6 * moon + 5) % 7 - too_late)


def _moves(country: str, calendar: _Calendar, weekday: int, month_day: int) -> bool:
    """Holidays on a weekday of a month, and those that are kept on a day after."""
    monday = weekday == 1

    def on_monday(*spans: tuple[int, int]) -> bool:
        return monday and any(first <= month_day <= last for first, last in spans)

    match country:
        case "BG":
            return monday and bool({month_day - 1, month_day - 2} & set(calendar.on_date))
        case "FI" | "SE":  # Midsummer Eve
            return weekday == 5 and 619 <= month_day <= 625
        case "GB":
            banks = on_monday((501, 507), (525, 531), (825, 831), (102, 103))
            return banks or (weekday in (1, 2) and month_day in (1227, 1228))
        case "IE":
            months = ((501, 507), (601, 607), (801, 807), (1025, 1031), (202, 203), (205, 207))
            return on_monday(*months) or (month_day == 201 and weekday in (1, 5))
        case "IS":
            return on_monday((801, 807)) or (weekday == 4 and 419 <= month_day <= 425)
        case "LV":
            return monday and month_day in (505, 506, 1119, 1120)
        case _:
            return False
