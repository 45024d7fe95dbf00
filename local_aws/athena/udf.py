"""Functions that DuckDB lacks, in Python: seldom used or called for few rows, since they hold the
interpreter.
"""

import functools
import hashlib
import hmac
import json
import math
import re
import struct
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb

_WIDE = Context(prec=120, rounding=ROUND_HALF_UP)
ADDRESSES: dict[str, str] = {}
"""The s3:// address of each local file that a query read."""


def fail(message: str) -> int:
    """Fail the query with ``!NAME: message``; never answers."""
    raise ValueError(message)


def fail_at(place: int, message: str) -> int:
    """The same; ``place`` only tells one failure of an expression from another."""
    raise ValueError(message)


def decimal_quotient(left: str, right: str, scale: int) -> str:
    """``left / right`` with ``scale`` digits, half away from zero."""
    quotient = _WIDE.divide(Decimal(left), Decimal(right))
    return format(quotient.quantize(Decimal(1).scaleb(-scale), context=_WIDE), "f")


def java_double(value: float) -> str:
    """As Java's Double.toString prints it."""
    return _java(value, repr(value))


def java_float(value: float) -> str:
    """As Java's Float.toString prints it: the shortest digits that give the same 32 bits."""
    if math.isnan(value) or math.isinf(value):
        return _java(value, "")
    shortest = repr(value)
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            shortest = repr(float(text))
            break
    return _java(float(shortest), shortest)


def _java(value: float, shortest: str) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return shortest if "." in shortest else f"{float(shortest):.1f}"
    sign, digits, exponent = Decimal(shortest).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) - 1 + exponent
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"


def java_cbrt(value: float) -> float:
    """The cube root as Java's StrictMath has it (FDLIBM's): cbrt(27) is 3.0, in DuckDB and in C a digit
    more.
    """
    x = abs(value)
    if x == 0 or not math.isfinite(x):
        return value
    if x < sys.float_info.min:
        t = _from_high_word(_high_word(x * 2.0**54) // 3 + 696219795)
    else:
        t = _from_high_word(_high_word(x) // 3 + 715094163)
    s = 19 / 35 + t * t / x * t  # to five digits
    t *= 5 / 14 + 45 / 28 / (s + 99 / 70 - 864 / 1225 / s)
    t = _from_high_word(_high_word(t) + 1)  # so that t * t is exact
    r = x / (t * t)
    return math.copysign(t + t * ((r - t) / (t + t + r)), value)


def _high_word(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0] >> 32)


def _from_high_word(word: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", word << 32))[0])


def sorted_json(text: str) -> str:
    """JSON without blanks, keys in order, numbers as they were written."""

    class Number(float):
        def __repr__(self) -> str:
            return self.text  # type: ignore[attr-defined,no-any-return]  # set below

    def number(written: str) -> Any:
        value = Number(float(written))
        value.text = repr(float(written)) if "e" in written.lower() else written  # type: ignore[attr-defined]
        return value

    found = json.loads(text, parse_float=number)
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def nth_position(text: str, part: str, instance: int) -> int:
    """Where the n-th occurrence begins, from 1, counted from the end when negative; 0 when there is none."""
    places = [m.start() + 1 for m in re.finditer(f"(?={re.escape(part)})", text)]
    index = instance - 1 if instance > 0 else instance
    try:
        return places[index]
    except IndexError:
        return 0


def luhn_check(text: str) -> bool:
    digits = [int(c) for c in reversed(text)]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0


def java_soundex(text: str) -> str:
    codes = {
        c: d for d, letters in enumerate(("", "bfpv", "cgjkqsxz", "dt", "l", "mn", "r")) for c in letters
    }
    letters = [c for c in text.lower() if c.isalpha()]
    if not letters:
        return ""
    found, before = letters[0].upper(), codes.get(letters[0])
    for letter in letters[1:]:
        code = codes.get(letter)
        if code and code != before:
            found += str(code)
        if letter not in "hw":
            before = code
    return (found + "000")[:4]


def utf8_replaced(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def from_base(text: str, radix: int) -> int:
    return int(text, radix)


_ISO = re.compile(
    r"(?P<year>[+-]?\d{4,})"
    r"(-(?P<day_of_year>\d{3})|-W(?P<week>\d{1,2})(-(?P<weekday>\d))?|-(?P<month>\d{1,2})(-(?P<day>\d{1,2}))?)?"
    r"(T((?P<hour>\d{1,2})(:(?P<minute>\d{1,2})(:(?P<second>\d{1,2})([.,](?P<fraction>\d+))?)?)?)?"
    r"(?P<zone>Z|[+-]\d{2}(:?\d{2})?)?)?"
)


def iso_moment_other(text: str) -> datetime | None:
    """The moment in UTC that an ISO 8601 text means, to the millisecond; None when it is none.

    Its date is one of the calendar, a day of the year (2024-366) or of a week (2024-W01-1).
    """
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    clock = [int(match.group(n) or 0) for n in ("hour", "minute", "second")]
    fraction = int(((match.group("fraction") or "") + "000")[:3]) * 1000
    try:
        moment = datetime.combine(_iso_day(match), time(clock[0], clock[1], clock[2], fraction, UTC))
    except (ValueError, OverflowError):
        return None
    zone = match.group("zone")
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
        moment -= sign * timedelta(hours=hours, minutes=minutes)
    return moment.replace(tzinfo=None)


def _iso_day(match: re.Match[str]) -> date:
    """The date of an ISO text. Raises ValueError or OverflowError when there is none."""
    year = int(match.group("year"))
    month, day, of_year, week, weekday = (
        int(match.group(name) or 1) for name in ("month", "day", "day_of_year", "week", "weekday")
    )
    if match.group("week"):
        return date.fromisocalendar(year, week, weekday)
    if not match.group("day_of_year"):
        return date(year, month, day)
    found = date(year, 1, 1) + timedelta(days=of_year - 1)
    if found.year != year:
        raise ValueError("no such day")
    return found


def blob_sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def blob_crc32(data: bytes) -> int:
    return zlib.crc32(data)


def blob_hmac_sha256(data: bytes, key: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def url_part(text: str, part: str) -> str | None:
    try:
        url = urlsplit(text)
        found = {
            "protocol": url.scheme, "host": url.hostname or "", "path": url.path, "query": url.query,
            "fragment": url.fragment, "port": str(url.port) if url.port is not None else None,
        }  # fmt: skip
    except ValueError:
        return None
    return found[part]


def url_parameter(text: str, name: str) -> str | None:
    try:
        return dict(reversed(parse_qsl(urlsplit(text).query, keep_blank_values=True))).get(name)
    except ValueError:
        return None


def s3_address(path: str) -> str | None:
    return ADDRESSES.get(path)


_TYPES: dict[Any, str] = {
    str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN", bytes: "BLOB", datetime: "TIMESTAMP",
    str | None: "VARCHAR", datetime | None: "TIMESTAMP",
}  # fmt: skip
_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    fail, fail_at, decimal_quotient, java_double, java_float, java_cbrt, sorted_json, nth_position,
    luhn_check, java_soundex, utf8_replaced,
    from_base, iso_moment_other, blob_sha512, blob_crc32, blob_hmac_sha256, url_part, url_parameter,
    s3_address,
)  # fmt: skip


# a failure fits where any type is wanted
_RESULTS = {"sorted_json": "JSON", "fail": '"NULL"', "fail_at": '"NULL"'}


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to the database."""
    create: Any = connection.create_function  # typed for literal names of types only
    for found in _FUNCTIONS:
        kinds = dict(found.__annotations__)
        answer = kinds.pop("return")
        result = _RESULTS.get(found.__name__) or _TYPES[answer]
        arguments: list[Any] = [_TYPES[kind] for kind in kinds.values()]
        if answer in (str | None, datetime | None):
            create(found.__name__, _null_for_null(found), arguments, result, null_handling="special")
        else:
            create(found.__name__, found, arguments, result)


def _null_for_null(found: Callable[..., Any]) -> Callable[..., Any]:
    """A function that may answer NULL; DuckDB then passes NULLs to it too."""

    @functools.wraps(found)  # DuckDB counts the parameters
    def call(*values: Any) -> Any:
        return None if any(value is None for value in values) else found(*values)

    return call
