"""Dates and times (https://trino.io/docs/current/functions/datetime.html). The session's zone is UTC."""

from dataclasses import replace

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.errors import QueryError
from local_aws.athena.sql import literals
from local_aws.athena.sql.casts import apply_cast, rounded
from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value, fail
from local_aws.athena.sql.functions.call import Call, dispatch, function, simple
from local_aws.athena.sql.functions.formats import joda, mysql
from local_aws.athena.sql.zones import normal, to_utc, to_wall
from local_aws.athena.types import (
    BIGINT,
    DATE,
    DOUBLE,
    TIMESTAMP,
    TIMESTAMP_TZ,
    TIMESTAMPTZ,
    VARCHAR,
    Type,
    common,
    literal,
)

_SMALL = {"millisecond": 1, "second": 1000, "minute": 60_000, "hour": 3_600_000}
_LARGE = ("day", "week", "month", "quarter", "year")

simple("from_iso8601_date", "varchar -> date", "strict_date({0})")
simple("from_unixtime_nanos", "bigint -> timestamp(6) with time zone", "make_timestamp({0} // 1000)")


def moment(call: Call, i: int) -> Value:
    """An argument that is a date or a timestamp."""
    value = call.value(i)
    if value.type.base == "unknown":
        return convert(value, TIMESTAMP)
    if value.type.base != "date" and not value.type.is_timestamp:
        raise call.unexpected()
    return value


def wall(value: Value) -> str:
    """The clock that a value shows: in its zone when it has one."""
    return to_wall(value.sql, value.type.zone) if value.type.base == TIMESTAMP_TZ else value.sql


def unwall(sql: str, kind: Type) -> str:
    return to_utc(sql, kind.zone) if kind.base == TIMESTAMP_TZ else sql


def _unit(call: Call) -> str:
    unit = call.constant(0, "a unit").lower()
    if unit not in _SMALL and unit not in _LARGE:
        raise call.c.query.error(
            call.nodes[0], "INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid TIMESTAMP field"
        )
    return unit


# -- arithmetic ------------------------------------------------------------------------------------


@function("date_diff")
def date_diff(call: Call) -> Value:
    """Whole units between two moments, cut towards zero; DuckDB's date_diff counts boundaries."""
    call.expect(3)
    unit = _unit(call)
    first, second = moment(call, 1), moment(call, 2)
    kind = common(first.type, second.type)
    if kind is None:
        raise call.unexpected()
    if kind.base == "date" and unit in _SMALL:
        raise call.c.query.error(
            call.nodes[0], "INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid DATE field"
        )
    if unit in _SMALL or (unit in ("day", "week") and kind.base == "date"):
        # dates are whole days already
        if kind.base == "date":
            days = f"({second.sql} - {first.sql})"
            return Value(
                f"CAST({days} AS BIGINT)" if unit == "day" else f"CAST({days} // 7 AS BIGINT)", BIGINT
            )
        size = _SMALL[unit]
        parts = [f"epoch_ms({convert(v, kind).sql})" for v in (second, first)]
        return Value(f"(({parts[0]} - {parts[1]}) // {size})", BIGINT)
    a, b = (f"CAST({wall(replace_zone(v, kind))} AS TIMESTAMP)" for v in (first, second))
    return Value(f"date_sub('{unit}', {a}, {b})", BIGINT)


def replace_zone(value: Value, kind: Type) -> Value:
    """A value as the common type ``kind``: both clocks are read in the first one's zone."""
    converted = convert(value, kind)
    return Value(converted.sql, replace(kind, zone=kind.zone))


@function("date_add")
def date_add(call: Call) -> Value:
    """A month's end stays a month's end: 31 January and a month is 28 or 29 February."""
    call.expect(3)
    unit, count, value = _unit(call), call.whole(1), moment(call, 2)
    if value.type.base == "date" and unit in _SMALL:
        raise call.c.query.error(
            call.nodes[0], "INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid DATE field"
        )
    if unit in _SMALL:
        return Value(f"({value.sql} + to_milliseconds({count} * {_SMALL[unit]}))", value.type)
    months = {"month": 1, "quarter": 3, "year": 12}
    step = (
        f"to_months(CAST({count} * {months[unit]} AS INTEGER))"
        if unit in months
        else f"to_days(CAST({count} * {7 if unit == 'week' else 1} AS INTEGER))"
    )
    moved = f"({wall(value)} + {step})"
    if value.type.base == "date":
        return Value(f"CAST({moved} AS DATE)", DATE)
    return Value(unwall(moved, value.type), value.type)


@function("date_trunc")
def date_trunc(call: Call) -> Value:
    call.expect(2)
    unit, value = _unit(call), moment(call, 1)
    if value.type.base == "date":
        if unit in _SMALL:
            raise call.c.query.error(
                call.nodes[0], "INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid DATE field"
            )
        return Value(f"CAST(date_trunc('{unit}', {value.sql}) AS DATE)", DATE)
    return Value(unwall(f"date_trunc('{unit}', {wall(value)})", value.type), value.type)


@function("last_day_of_month")
def last_day_of_month(call: Call) -> Value:
    call.expect(1)
    return Value(f"last_day(CAST({wall(moment(call, 0))} AS DATE))", DATE)


# -- parts -----------------------------------------------------------------------------------------

_PARTS = {
    "year": "year", "quarter": "quarter", "month": "month", "week": "week", "week_of_year": "week",
    "day": "day",
    "day_of_month": "day", "day_of_week": "isodow", "dow": "isodow", "day_of_year": "dayofyear",
    "doy": "dayofyear",
    "year_of_week": "isoyear", "yow": "isoyear", "hour": "hour", "minute": "minute", "second": "second",
}  # fmt: skip
_INTERVAL_PARTS = {
    "millisecond": "{0} % 1000", "second": "{0} // 1000 % 60", "minute": "{0} // 60000 % 60",
    "hour": "{0} // 3600000 % 24", "day": "{0} // 86400000", "month": "{0} % 12", "year": "{0} // 12",
}  # fmt: skip


@function(*_PARTS, "millisecond")
def part(call: Call) -> Value:
    call.expect(1)
    value = call.value(0)
    if value.type.base.startswith("interval"):
        small = value.type == types.INTERVAL_DAY
        if call.name not in _INTERVAL_PARTS or small == (call.name in ("month", "year")):
            raise call.unexpected()
        return Value(f"({_INTERVAL_PARTS[call.name].format(value.sql)})", BIGINT)
    clock = value.sql if value.type.base == "time" else wall(moment(call, 0))
    if call.name == "millisecond":
        return Value(f"CAST(date_part('milliseconds', {clock}) % 1000 AS BIGINT)", BIGINT)
    return Value(f"CAST({_PARTS[call.name]}({clock}) AS BIGINT)", BIGINT)


@rule(exp.Extract)
def extract(c: Compiler, node: exp.Extract) -> Value:
    name = str(node.this.name).lower()
    if name in ("timezone_hour", "timezone_minute"):
        return dispatch(c, node, name, [node.expression])
    if name not in _PARTS:
        raise c.query.error(node, "SYNTAX_ERROR", f"Invalid EXTRACT field: {name}")
    return dispatch(c, node, name, [node.expression])


@function("timezone_hour", "timezone_minute")
def timezone_part(call: Call) -> Value:
    call.expect(1)
    value = moment(call, 0)
    minutes = f"(epoch_ms({wall(value)}) - epoch_ms({value.sql})) // 60000"
    return Value(f"({minutes} {'// 60' if call.name == 'timezone_hour' else '% 60'})", BIGINT)


# -- zones -----------------------------------------------------------------------------------------


def _zone(call: Call, i: int) -> str:
    text = call.constant(i, "a time zone")
    zone = normal(text)
    if zone is None:
        raise call.c.query.error(
            call.nodes[i], "INVALID_FUNCTION_ARGUMENT", f"'{text}' is not a valid time zone"
        )
    return zone


@rule(exp.AtTimeZone)
def at_time_zone(c: Compiler, node: exp.AtTimeZone) -> Value:
    return dispatch(c, node, "at_timezone", [node.this, node.args["zone"]])


@function("at_timezone")
def at_timezone(call: Call) -> Value:
    """The same moment on another zone's clock; a timestamp without zone is one of the session's."""
    call.expect(2)
    value = moment(call, 0)
    if value.type.base == "date":
        raise call.unexpected()
    return Value(value.sql, Type(TIMESTAMP_TZ, (value.type.precision,), zone=_zone(call, 1)))


@function("with_timezone")
def with_timezone(call: Call) -> Value:
    """The clock as it is, in a zone."""
    call.expect(2)
    zone = _zone(call, 1)
    value = convert(call.value(0), TIMESTAMP) if call.value(0).type.base == "date" else call.value(0)
    if value.type.base != "timestamp":
        raise call.unexpected()
    return Value(to_utc(value.sql, zone), Type(TIMESTAMP_TZ, (value.type.precision,), zone=zone))


@function("now", "current_timestamp")
def now(call: Call) -> Value:
    return literals.current_timestamp(call.c, call.node)


@function("localtimestamp")
def localtimestamp(call: Call) -> Value:
    return literals.local_timestamp(call.c, call.node)


@function("current_timezone")
def current_timezone(call: Call) -> Value:
    return Value("'UTC'", VARCHAR)


# -- conversion ------------------------------------------------------------------------------------


@function("date")
def date(call: Call) -> Value:
    call.expect(1)
    found = apply_cast(call.value(0), DATE)
    if found is None:
        raise call.unexpected()
    return found


@function("from_unixtime")
def from_unixtime(call: Call) -> Value:
    call.expect(1, 2, 3)
    zone = "UTC" if call.count == 1 else _zone(call, 1) if call.count == 2 else _offset(call)
    return Value(
        f"make_timestamp(CAST(round({call.double(0)} * 1000) AS BIGINT) * 1000)",
        replace(TIMESTAMPTZ, zone=zone),
    )


def _offset(call: Call) -> str:
    """The zone of hours and minutes that the query spells out."""
    hours, minutes = call.value(1).constant, call.value(2).constant
    if not isinstance(hours, int) or not isinstance(minutes, int):
        raise call.c.query.error(
            call.nodes[1], "NOT_SUPPORTED", "from_unixtime with an offset that varies is not supported"
        )
    total = hours * 60 + minutes
    if abs(total) > 14 * 60:
        raise call.c.query.error(
            call.nodes[1], "INVALID_FUNCTION_ARGUMENT", f"Invalid offset minutes {total}"
        )
    return normal(f"{'-' if total < 0 else '+'}{abs(total) // 60:02d}:{abs(total) % 60:02d}") or "UTC"


@function("to_unixtime")
def to_unixtime(call: Call) -> Value:
    call.expect(1)
    value = moment(call, 0)
    return Value(f"(CAST(epoch_us(CAST({value.sql} AS TIMESTAMP)) AS DOUBLE) / 1000000)", DOUBLE)


@function("from_iso8601_timestamp", "from_iso8601_timestamp_nanos")
def from_iso8601_timestamp(call: Call) -> Value:
    """A text without a zone is UTC. The value is shown in UTC whatever zone the text had."""
    call.expect(1)
    text = call.text(0)
    bad = fail("INVALID_FUNCTION_ARGUMENT", 'Invalid format: "{}"', text)
    return Value(
        f"(CASE WHEN {text} IS NULL THEN NULL WHEN iso_moment({text}) IS NULL THEN {bad} ELSE "
        f"iso_moment({text}) END)",
        TIMESTAMPTZ,
    )


@function("to_iso8601")
def to_iso8601(call: Call) -> Value:
    call.expect(1)
    value = moment(call, 0)
    if value.type.base == "date":
        return Value(f"CAST({value.sql} AS VARCHAR)", VARCHAR)
    digits = "%f" if value.type.precision > 3 else "%g"
    text = f"strftime({wall(value)}, '%Y-%m-%dT%H:%M:%S.{digits}')"
    if value.type.base == "timestamp":
        return Value(text, VARCHAR)
    if value.type.zone == "UTC":
        return Value(f"({text} || 'Z')", VARCHAR)
    minutes = f"((epoch_ms({wall(value)}) - epoch_ms({value.sql})) // 60000)"
    offset = (
        f"(CASE WHEN {minutes} < 0 THEN '-' ELSE '+' END) || printf('%02d:%02d', abs({minutes}) "
        f"// 60, abs({minutes}) % 60)"
    )
    return Value(f"({text} || {offset})", VARCHAR)


@function("date_format")
def date_format(call: Call) -> Value:
    call.expect(2)
    return Value(f"strftime({_clock(call)}, {literal(_pattern(call, mysql))})", VARCHAR)


def _clock(call: Call) -> str:
    return f"CAST({wall(moment(call, 0))} AS TIMESTAMP)"


def _pattern(call: Call, translate: object) -> str:
    try:
        return translate(call.constant(1, "a pattern"))  # type: ignore[operator,no-any-return]  # mysql or joda
    except QueryError as error:
        raise call.c.query.error(call.nodes[1], error.name, error.message) from None


@function("date_parse")
def date_parse(call: Call) -> Value:
    call.expect(2)
    text, pattern = call.text(0), literal(_pattern(call, mysql))
    bad = fail("INVALID_FUNCTION_ARGUMENT", 'Invalid format: "{}"', text)
    found = rounded(f"try_strptime({text}, {pattern})", TIMESTAMP)
    return Value(
        f"(CASE WHEN {text} IS NULL THEN NULL WHEN {found} IS NULL THEN {bad} ELSE {found} END)", TIMESTAMP
    )


@function("format_datetime")
def format_datetime(call: Call) -> Value:
    call.expect(2)
    kind = moment(call, 0).type
    zone = kind.zone if kind.base == TIMESTAMP_TZ else "UTC"
    pattern = _pattern(call, lambda text: joda(text, zone, parsing=False))
    return Value(f"strftime({_clock(call)}, {literal(pattern)})", VARCHAR)


@function("parse_datetime")
def parse_datetime(call: Call) -> Value:
    call.expect(2)
    text = call.text(0)
    pattern = literal(_pattern(call, lambda p: joda(p, None, parsing=True)))
    bad = fail("INVALID_FUNCTION_ARGUMENT", 'Invalid format: "{}"', text)
    found = f"try_strptime({text}, {pattern})"
    if "%z" in pattern:
        found = f"timezone('UTC', CAST({found} AS TIMESTAMPTZ))"
    return Value(
        f"(CASE WHEN {text} IS NULL THEN NULL WHEN {found} IS NULL THEN {bad} ELSE {found} END)", TIMESTAMPTZ
    )


@function("human_readable_seconds", "parse_duration", "to_milliseconds")
def to_milliseconds(call: Call) -> Value:
    call.expect(1)
    if call.name != "to_milliseconds":
        raise call.c.query.error(call.node, "NOT_SUPPORTED", f"{call.name} is not supported")
    if call.value(0).type != types.INTERVAL_DAY:
        raise call.unexpected()
    return Value(call.value(0).sql, BIGINT)
