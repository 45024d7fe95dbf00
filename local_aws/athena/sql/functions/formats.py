"""Patterns of dates: MySQL's (date_format, date_parse), Joda's (format_datetime) and Java's format()."""

import re

from local_aws.athena.errors import QueryError
from local_aws.athena.output.render import double_text, render
from local_aws.athena.sql.core import Value
from local_aws.athena.sql.functions.call import Call, function
from local_aws.athena.types import VARCHAR, literal

_MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I",
    "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S",
    "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
_JODA = {
    "y": "%Y", "yy": "%y", "yyy": "%Y", "yyyy": "%Y", "YYYY": "%Y", "x": "%G", "xxxx": "%G", "M": "%-m",
    "MM": "%m",
    "MMM": "%b", "MMMM": "%B", "d": "%-d", "dd": "%d", "D": "%-j", "DDD": "%j", "E": "%a", "EE": "%a",
    "EEE": "%a",
    "EEEE": "%A", "e": "%u", "w": "%V", "ww": "%V", "H": "%-H", "HH": "%H", "h": "%-I", "hh": "%I",
    "m": "%-M",
    "mm": "%M", "s": "%-S", "ss": "%S", "SSS": "%g", "SSSSSS": "%f", "a": "%p",
}  # fmt: skip


def mysql(pattern: str) -> str:
    """A MySQL pattern as strftime's. Raises QueryError for a part that Trino refuses too."""
    parts = []
    for match in re.finditer(r"%(.)|([^%]+)|%$", pattern, re.DOTALL):
        letter, text = match.groups()
        if text is not None:
            parts.append(text)
        elif letter in _MYSQL:
            parts.append(_MYSQL[letter])
        elif letter in tuple("DUuVwX"):
            raise QueryError("INVALID_FUNCTION_ARGUMENT", f"%{letter} not supported in date format string")
        else:
            parts.append(letter or "%%")
    return "".join(parts)


def joda(pattern: str, zone: str | None, *, parsing: bool) -> str:
    """A Joda pattern as strftime's. ``zone`` is the value's where it is known."""
    parts = []
    for match in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", pattern):
        whole = match.group()
        if match.group(1) is not None:
            parts.append((match.group(1).replace("''", "'") or "'").replace("%", "%%"))
        elif not match.group(2):
            parts.append(whole.replace("%", "%%"))
        elif whole in _JODA:
            parts.append(_JODA[whole])
        elif whole[0] in "Zz" and parsing:
            parts.append("%z")
        elif whole[0] in "Zz" and zone == "UTC":
            parts.append({"Z": "+0000", "ZZ": "+00:00"}.get(whole, "UTC"))
        else:
            raise QueryError("NOT_SUPPORTED", f"'{whole}' in a date pattern is not supported")
    return "".join(parts)


_FORMAT = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


@function("format")
def format_(call: Call) -> Value:
    """Java's format: %s %d %f %e %x %b %c with flags, width and precision."""
    pattern = call.constant(0, "a pattern")
    parts, end, following = [], 0, 1
    for match in _FORMAT.finditer(pattern):
        parts.append(literal(pattern[end : match.start()]))
        end = match.end()
        place, flags, width, precision, letter = match.groups()
        if letter in "%n":
            parts.append(literal("%" if letter == "%" else "\n"))
            continue
        index = int(place) if place else following
        following += 0 if place else 1
        if index >= call.count:
            raise call.c.query.error(
                call.node,
                "INVALID_FUNCTION_ARGUMENT",
                f"Invalid format string: {pattern} (Format specifier '{match.group()}')",
            )
        parts.append(_formatted(call, call.value(index), flags, width, precision, letter, match.group()))
    parts.append(literal(pattern[end:]))
    return Value(
        "(" + " || ".join(p for p in parts if p != "''") + ")" if any(p != "''" for p in parts) else "''",
        VARCHAR,
    )


def _formatted(
    call: Call, value: Value, flags: str, width: str | None, precision: str | None, letter: str, shown: str
) -> str:
    spec = "%" + flags.replace(",", "").replace("(", "") + (width or "")
    if letter in "sS":
        text = (
            double_text(value.sql, value.type.base) if value.type.is_float else render(value.sql, value.type)
        )
        text = f"coalesce({text}, 'null')"
        if precision:
            text = f"left({text}, {precision})"
        text = f"upper({text})" if letter == "S" else text
        if not width:
            return text
        return f"printf({literal(spec + 's')}, {text})"
    if letter == "d" and value.type.is_integer:
        if "," in flags:
            grouped = f"format('{{:,}}', {value.sql})"
            return f"printf({literal(spec + 's')}, {grouped})" if width else grouped
        return f"coalesce(printf({literal(spec + 'd')}, CAST({value.sql} AS BIGINT)), 'null')"
    if letter in "fe" and value.type.is_numeric and not value.type.is_integer:
        digits = precision or "6"
        if "," in flags and letter == "f":
            return f"format('{{:,.{digits}f}}', CAST({value.sql} AS DOUBLE))"
        return f"coalesce(printf({literal(f'{spec}.{digits}{letter}')}, CAST({value.sql} AS DOUBLE)), 'null')"
    if letter in "xX" and value.type.is_integer:
        return f"coalesce(printf({literal(spec + letter)}, CAST({value.sql} AS BIGINT)), 'null')"
    if letter == "b" and value.type.base == "boolean":
        return f"CAST({value.sql} AS VARCHAR)"
    raise call.c.query.error(
        call.node, "INVALID_FUNCTION_ARGUMENT", f"Invalid format string: {shown} for {value.type}"
    )
