"""Values as Athena prints them, as SQL: the text of result files and of casts to varchar."""

from local_aws.athena import types
from local_aws.athena.sql.zones import to_wall
from local_aws.athena.types import TIMESTAMP_TZ, Type, literal


def render(sql: str, kind: Type) -> str:  # a table of cases
    """SQL of the text of a value; NULL stays NULL. Inside collections NULL is printed ``null``."""
    if kind.is_text or kind.base == "unknown":
        return f"CAST({sql} AS VARCHAR)" if kind.base == "unknown" else sql
    if kind.is_float:
        return double_text(sql, kind.base)
    if kind.is_timestamp:
        return moment_text(sql, kind)
    if kind.base == "time":
        return (
            f"left(CAST({sql} AS VARCHAR) || (CASE WHEN strpos(CAST({sql} AS VARCHAR), '.') > 0 "
            f"THEN '000' ELSE '.000' END), 12)"
        )
    if kind.base == "varbinary":
        return f"rtrim(regexp_replace(lower(hex({sql})), '(..)', '\\1 ', 'g'))"
    if kind.base == "array":
        items = f"list_transform({sql}, lambda e: coalesce({render('e', kind.element)}, 'null'))"
        return f"('[' || array_to_string({items}, ', ') || ']')"
    if kind.base == "map":
        key, value = render("e.key", kind.items[0]), render("e.value", kind.items[1])
        items = f"list_transform(map_entries({sql}), lambda e: {key} || '=' || coalesce({value}, 'null'))"
        return f"('{{' || array_to_string({items}, ', ') || '}}')"
    if kind.base == "row":
        return _row(sql, kind)
    if kind.base == types.DAY_SECOND:
        return _interval(sql)
    if kind.base == types.YEAR_MONTH:
        return (
            f"((CASE WHEN {sql} < 0 THEN '-' ELSE '' END) || (abs({sql}) // 12) || '-' || (abs({sql}) % 12))"
        )
    return f"CAST({sql} AS VARCHAR)"


def _row(sql: str, kind: Type) -> str:
    parts = []
    for i, item in enumerate(kind.items):
        label = types.field_name(kind, i)
        inner = render(f"struct_extract({sql}, {literal(label)})", item)
        parts.append(f"{literal(label + '=')} || coalesce({inner}, 'null')")
    whole = " || ', ' || ".join(parts)
    return f"(CASE WHEN {sql} IS NULL THEN NULL ELSE '{{' || {whole} || '}}' END)"


def _interval(sql: str) -> str:
    size = f"abs({sql})"
    clock = (
        f"printf('%d %02d:%02d:%02d.%03d', {size} // 86400000, {size} // 3600000 % 24, {size} // 60000 % 60, "
        f"{size} // 1000 % 60, {size} % 1000)"
    )
    return (
        f"(CASE WHEN {sql} IS NULL THEN NULL ELSE (CASE WHEN {sql} < 0 THEN '-' ELSE '' END) || {clock} END)"
    )


def double_text(sql: str, base: str) -> str:
    """As Java prints it: ``1.0E10``, ``NaN``, ``Infinity``. Only numbers beyond 0.001 … 10 million need
    Python.
    """
    function = "java_double" if base == "double" else "java_float"
    plain = f"CAST({sql} AS VARCHAR)"
    return (
        f"(CASE WHEN {sql} = 0 OR (abs({sql}) >= 0.001 AND abs({sql}) < 10000000) THEN {plain} "
        f"ELSE {function}({sql}) END)"
    )


def moment_text(sql: str, kind: Type) -> str:
    """``2020-01-01 00:00:00.000``, with the zone's name when the type has one."""
    zone = kind.zone if kind.base == TIMESTAMP_TZ else "UTC"
    wall = to_wall(sql, zone)
    digits = "%f" if kind.precision > 3 else "%g"
    padding = f" || {literal('0' * (kind.precision - 6))}" if kind.precision > 6 else ""
    suffix = f" || {literal(' ' + zone)}" if kind.base == TIMESTAMP_TZ else ""
    return f"(strftime({wall}, '%Y-%m-%d %H:%M:%S.{digits}'){padding}{suffix})"
