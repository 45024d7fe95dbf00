"""Time zones: a moment's wall clock in a zone, and back. Zones are names or offsets such as ``+02:00``."""

import re
import zoneinfo

from local_aws.athena.types import literal

_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d{2}))?")
_UTC = {"utc", "z", "gmt", "etc/utc", "uct", "zulu", "ut", "+00:00", "-00:00"}


def normal(zone: str) -> str | None:
    """The zone as it is printed, ``UTC`` for all its names; None when there is no such zone."""
    if zone.lower() in _UTC:
        return "UTC"
    match = _OFFSET.fullmatch(zone)
    if match:
        return f"{match.group(1)}{int(match.group(2)):02d}:{match.group(3) or '00'}"
    names = {name.lower(): name for name in zoneinfo.available_timezones()}
    return names.get(zone.lower())


def _minutes(zone: str) -> int | None:
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return None
    sign = -1 if match.group(1) == "-" else 1
    return sign * (int(match.group(2)) * 60 + int(match.group(3) or 0))


def to_wall(sql: str, zone: str) -> str:
    """The wall clock in ``zone`` at a moment of UTC."""
    if zone == "UTC":
        return sql
    minutes = _minutes(zone)
    if minutes is not None:
        return f"({sql} + to_minutes({minutes}))"
    return f"timezone({literal(zone)}, timezone('UTC', {sql}))"


def to_utc(sql: str, zone: str) -> str:
    """The moment of UTC at which a clock in ``zone`` shows ``sql``, the first one if it shows it twice."""
    if zone == "UTC":
        return sql
    minutes = _minutes(zone)
    if minutes is not None:
        return f"({sql} - to_minutes({minutes}))"
    return f"earlier_moment(timezone('UTC', timezone({literal(zone)}, {sql})), {literal(zone)})"
