"""Constants, names, parentheses and the current time."""

import re
from datetime import UTC
from typing import Any

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.sql.compiler import Compiler, rule
from local_aws.athena.sql.core import Value, string
from local_aws.athena.types import BIGINT, BOOLEAN, DOUBLE, INTEGER, UNKNOWN, VARBINARY, decimal, literal

_UNITS = {
    "millisecond": 1, "second": 1000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000,
    "week": 7 * 86_400_000,
}  # fmt: skip
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@rule(exp.Literal)
def constant(c: Compiler, node: exp.Literal) -> Value:
    return string(node.this) if node.is_string else number(c, node)


def number(c: Compiler, node: exp.Literal) -> Value:
    """``1`` is an integer or a bigint, ``1.5`` a decimal, ``1e3`` a double."""
    text = node.this
    if "e" in text.lower():
        return Value(f"CAST({literal(text)} AS DOUBLE)", DOUBLE, float(text))
    if "." in text:
        whole, fraction = text.split(".")
        whole = whole.lstrip("0")
        kind = decimal(max(1, len(whole) + len(fraction)), len(fraction))
        return Value(f"CAST({literal(text)} AS {types.duck(kind)})", kind, text)
    value = int(text)
    if value >= 2**63:
        raise c.query.error(node, "INVALID_LITERAL", f"Invalid numeric literal: {text}")
    return Value(text, INTEGER, value) if value < 2**31 else Value(f"CAST({text} AS BIGINT)", BIGINT, value)


@rule(exp.UnicodeString)
def unicode_string(c: Compiler, node: exp.UnicodeString) -> Value:
    """``U&'\\00fc'``."""
    return string(
        re.sub(
            r"\\(?:\+([0-9A-Fa-f]{6})|([0-9A-Fa-f]{4}))",
            lambda m: chr(int(m.group(1) or m.group(2), 16)),
            node.this,
        )
    )


@rule(exp.Null)
def null_literal(c: Compiler, node: exp.Null) -> Value:
    return Value("NULL", UNKNOWN)


@rule(exp.Boolean)
def boolean(c: Compiler, node: exp.Boolean) -> Value:
    return Value("TRUE" if node.this else "FALSE", BOOLEAN, bool(node.this))


@rule(exp.HexString)
def binary(c: Compiler, node: exp.HexString) -> Value:
    text = re.sub(r"\s", "", node.this)
    return Value(f"from_hex({literal(text)})", VARBINARY)


@rule(exp.Paren)
def parenthesis(c: Compiler, node: exp.Paren) -> Value:
    value = c.compile(node.this)
    return Value(f"({value.sql})", value.type, value.constant)


@rule(exp.Column)
def column(c: Compiler, node: exp.Column) -> Value:
    return c.resolve(list(node.parts), node)


@rule(exp.Identifier)
def lambda_parameter(c: Compiler, node: exp.Identifier) -> Value:
    return c.resolve([node], node)


@rule(exp.Dot)
def field(c: Compiler, node: exp.Dot) -> Value:
    if isinstance(node.expression, exp.Identifier):
        return c.fields(c.compile(node.this), [node.expression])
    raise c.query.error(node, "FUNCTION_NOT_FOUND", f"Function '{node.sql('trino').lower()}' not registered")


@rule(exp.Interval)
def interval(c: Compiler, node: exp.Interval) -> Value:
    """``INTERVAL '3' DAY`` in milliseconds; ``INTERVAL '1' YEAR`` in months."""
    text = str(node.this.this if isinstance(node.this, exp.Literal) else node.this.sql())
    unit = node.args.get("unit")
    if isinstance(unit, exp.IntervalSpan):
        return _span(c, node, text, str(unit.this).lower(), str(unit.expression).lower())
    name = str(unit).lower().removesuffix("s") if unit is not None else ""
    if name in _MONTHS and re.fullmatch(r"[+-]?\d+", text):
        months = int(text) * _MONTHS[name]
        return Value(f"CAST({months} AS BIGINT)", types.INTERVAL_MONTH, months)
    if name in _UNITS and re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        milliseconds = round(float(text) * _UNITS[name])
        return Value(f"CAST({milliseconds} AS BIGINT)", types.INTERVAL_DAY, milliseconds)
    raise c.query.error(node, "INVALID_LITERAL", f"'{text}' is not a valid interval literal")


def _span(c: Compiler, node: exp.Interval, text: str, first: str, last: str) -> Value:
    """``INTERVAL '2 03:04:05.678' DAY TO SECOND`` and ``INTERVAL '1-2' YEAR TO MONTH``."""
    sign = -1 if text.startswith("-") else 1
    parts = re.split(r"[- :]", text.lstrip("+-"))
    order = ["year", "month"] if first == "year" else ["day", "hour", "minute", "second"]
    units = order[order.index(first) : order.index(last) + 1] if {first, last} <= set(order) else []
    if len(units) != len(parts):
        raise c.query.error(node, "INVALID_LITERAL", f"'{text}' is not a valid interval literal")
    sizes: dict[str, Any] = _MONTHS if first == "year" else _UNITS
    total = sign * round(sum(float(part) * sizes[unit] for part, unit in zip(parts, units, strict=True)))
    return Value(
        f"CAST({total} AS BIGINT)", types.INTERVAL_MONTH if first == "year" else types.INTERVAL_DAY, total
    )


def _now(c: Compiler, format_: str = "%Y-%m-%d %H:%M:%S.%f") -> str:
    moment = c.query.started.astimezone(UTC)
    milliseconds = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return literal(milliseconds.strftime(format_))


@rule(exp.CurrentTimestamp)
def current_timestamp(c: Compiler, node: exp.Expr) -> Value:
    """The moment the query started, the same everywhere in it."""
    return Value(f"CAST({_now(c)} AS TIMESTAMP)", types.TIMESTAMPTZ)


@rule(exp.Localtimestamp)
def local_timestamp(c: Compiler, node: exp.Expr) -> Value:
    return Value(f"CAST({_now(c)} AS TIMESTAMP)", types.TIMESTAMP)


@rule(exp.CurrentDate)
def current_date(c: Compiler, node: exp.Expr) -> Value:
    return Value(f"CAST({_now(c, '%Y-%m-%d')} AS DATE)", types.DATE)


@rule(exp.CurrentTime, exp.Localtime)
def current_time(c: Compiler, node: exp.Expr) -> Value:
    return Value(f"CAST({_now(c, '%H:%M:%S.%f')} AS TIME)", types.TIME)


@rule(exp.CurrentUser)
def current_user(c: Compiler, node: exp.Expr) -> Value:
    return string("local")
