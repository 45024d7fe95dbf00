"""CAST and TRY_CAST, as strict as Trino's.

``TRY_CAST`` is ``TRY`` around ``CAST``, so each conversion is written once, as SQL that fails. A failed
conversion is INVALID_CAST_ARGUMENT.
"""

import re
from dataclasses import replace

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.errors import not_supported
from local_aws.athena.output.render import double_text, moment_text, render
from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value, attempt, fail
from local_aws.athena.sql.zones import normal, to_utc, to_wall
from local_aws.athena.types import JSON, TIMESTAMP_TZ, VARCHAR, Type, duck, literal

CAST_FAILED = "INVALID_CAST_ARGUMENT"
_INTEGER = "[+-]?[0-9]+"
_DECIMAL = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DOUBLE = r"[+-]?(NaN|Infinity|(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?))[dDfF]?"
_DATE = r"[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}"
_CLOCK = r"[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]+)?)?"
_TIMESTAMP = rf"{_DATE}( {_CLOCK})?"
_ZONE = r"[A-Za-z][A-Za-z0-9_/+-]*|[+-][0-9]{1,2}(:?[0-9]{2})?"
_REGION = "[A-Za-z_]+/[A-Za-z0-9_/+-]+|CET|MET|EET|WET|EST5EDT|CST6CDT|MST7MDT|PST8PDT"  # where clocks change
_TIMESTAMP_ZONE = rf"{_DATE} {_CLOCK} ?({_ZONE})"
_SHOWN = {
    "integer": "INT",
    "bigint": "BIGINT",
    "smallint": "SMALLINT",
    "tinyint": "TINYINT",
    "boolean": "BOOLEAN",
}


def type_of(c: Compiler, node: exp.DataType) -> Type:
    """The type that a cast names."""
    text = node.sql(dialect="trino")
    try:
        return types.parse(text)
    except ValueError:
        raise c.query.error(node, "TYPE_NOT_FOUND", f"Unknown type: {text.lower()}") from None


@rule(exp.Cast)
def cast(c: Compiler, node: exp.Cast) -> Value:
    kind = type_of(c, node.to)
    source = c.compile(node.this)
    if isinstance(source.constant, str) and isinstance(node.this, exp.Literal):
        if kind.base == "decimal" and _is_typed_literal(c, node):
            return _decimal_literal(source.constant)
        if kind.base == "timestamp" and _has_zone(source.constant):
            kind = types.TIMESTAMPTZ
        if kind.base == TIMESTAMP_TZ:
            kind = replace(kind, zone=_zone_of(source.constant))
    if kind.is_timestamp and kind.precision < 3:
        kind = replace(kind, params=(3,))
    value = apply_cast(source, kind)
    if value is None:
        raise c.query.mismatch(node, f"Cannot cast {source.type} to {kind}")
    return value


@rule(exp.TryCast)
def try_cast(c: Compiler, node: exp.TryCast) -> Value:
    value = cast(c, node)
    source = c.compile(node.this)
    simple = _quick_try(source, value.type)
    return Value(simple or attempt(value.sql), value.type, keys=attempt(value.keys) if value.keys else None)


def _quick_try(source: Value, kind: Type) -> str | None:
    """TRY_CAST of text to the common types without raising and catching an error per value."""
    if source.type.base != "varchar":
        return None
    text = source.sql
    if kind.base in types.INTEGERS:
        return (
            f"(CASE WHEN regexp_full_match({text}, '{_INTEGER}') THEN TRY_CAST({text} AS {duck(kind)}) END)"
        )
    if kind.base in ("double", "decimal"):
        pattern = _DECIMAL
        if kind.base == "double":
            return None
        return f"(CASE WHEN regexp_full_match({text}, '{pattern}') THEN TRY_CAST({text} AS {duck(kind)}) END)"
    if kind.base == "date":
        return (
            f"(CASE WHEN regexp_full_match(trim({text}), '{_DATE}') THEN TRY_CAST(trim({text}) AS DATE) END)"
        )
    return None


def _is_typed_literal(c: Compiler, node: exp.Cast) -> bool:
    """Whether a cast was written ``DECIMAL '1.50'``, whose digits make the type."""
    start = node.this.meta.get("start")
    return start is not None and c.query.text[:start].rstrip().lower().endswith("decimal")


def _decimal_literal(text: str) -> Value:
    whole, _, fraction = text.lstrip("+-").partition(".")
    kind = types.decimal(max(1, len(whole.lstrip("0")) + len(fraction)), len(fraction))
    return Value(f"CAST({literal(text)} AS {duck(kind)})", kind, text)


def _has_zone(text: str) -> bool:
    return re.fullmatch(_TIMESTAMP_ZONE, text.strip()) is not None


def _zone_of(text: str) -> str:
    match = re.fullmatch(rf"{_DATE} {_CLOCK} ?(?P<zone>{_ZONE})", text.strip())
    return (normal(match.group("zone")) if match else None) or "UTC"


def apply_cast(value: Value, kind: Type) -> Value | None:  # a table of cases
    """The value as ``kind`` by CAST; None when Trino has no such cast."""
    source = value.type
    if source == kind and source.zone == kind.zone:
        return Value(value.sql, kind, value.constant)
    if source.base == "unknown":
        return Value(f"CAST(NULL AS {duck(kind)})", kind)
    if source.base == "json":
        sql = from_json(value.sql, kind)
        return None if sql is None else Value(sql, kind, keys=_keys(value.sql, kind))
    if kind.base == "json":
        return Value(to_json(value), JSON)
    if kind.is_text:
        return _to_text(value, kind)
    if source.items or kind.items:
        return _to_nested(value, kind)
    if source.is_text:
        return _from_text(value, kind)
    if kind.is_numeric or kind.base == "boolean":
        return _to_number(value, kind)
    return _to_time(value, kind)


def _failed(value: Value, kind: Type, shown: str | None = None) -> str:
    return fail(
        CAST_FAILED, f"Cannot cast '{{}}' to {shown or _SHOWN.get(kind.base, kind.base.upper())}", value.sql
    )


def _checked(value: Value, pattern: str, sql: str, failed: str, text: str | None = None) -> str:
    """``sql`` where the text has the pattern and converts, else the failure."""
    text = text or value.sql
    return (
        f"(CASE WHEN {value.sql} IS NULL THEN NULL WHEN regexp_full_match({text}, {literal(pattern)}) "
        f"AND {sql} IS NOT NULL THEN {sql} ELSE {failed} END)"
    )


def _from_text(value: Value, kind: Type) -> Value | None:
    text, trimmed, target = value.sql, f"trim({value.sql})", duck(kind)
    if kind.is_integer:
        sql = _checked(value, _INTEGER, f"TRY_CAST({text} AS {target})", _failed(value, kind))
    elif kind.base in ("double", "real"):
        bare = f"rtrim({trimmed}, 'dDfF')"
        number = (
            f"(CASE WHEN {trimmed} ~ '^[+-]?[A-Z]' THEN TRY_CAST({trimmed} AS {target}) ELSE "
            f"TRY_CAST({bare} AS {target}) END)"
        )
        sql = _checked(value, _DOUBLE, number, _failed(value, kind), trimmed)
    elif kind.base == "decimal":
        failed = fail(CAST_FAILED, f"Cannot cast VARCHAR '{{}}' to {kind}. Value is not a number.", text)
        sql = _checked(value, _DECIMAL, f"TRY_CAST({text} AS {target})", failed)
    elif kind.base == "boolean":
        low = f"lower({text})"
        sql = (
            f"(CASE WHEN {text} IS NULL THEN NULL WHEN {low} IN ('t', 'true', '1') THEN TRUE "
            f"WHEN {low} IN ('f', 'false', '0') THEN FALSE ELSE {_failed(value, kind)} END)"
        )
    elif kind.base == "date":
        failed = fail(CAST_FAILED, "Value cannot be cast to date: {}", text)
        sql = _checked(value, _DATE, f"TRY_CAST({trimmed} AS DATE)", failed, trimmed)
    elif kind.base == "time":
        failed = fail(CAST_FAILED, "Value cannot be cast to time: {}", text)
        sql = _checked(value, _CLOCK, f"TRY_CAST({trimmed} AS TIME)", failed, trimmed)
    elif kind.is_timestamp:
        return _text_to_moment(value, kind)
    elif kind.base == "uuid":
        sql = f"CAST({text} AS UUID)"
    else:
        return None
    return Value(sql, kind)


def _text_to_moment(value: Value, kind: Type) -> Value:
    trimmed = f"trim({value.sql})"
    failed = fail(CAST_FAILED, f"Value cannot be cast to {kind.base}: {{}}", value.sql)
    if kind.base == "timestamp":
        sql = _checked(value, _TIMESTAMP, f"TRY_CAST({trimmed} AS TIMESTAMP)", failed, trimmed)
        return Value(rounded(sql, kind), kind)
    # DuckDB wants no blank before an offset
    joined = f"regexp_replace({trimmed}, ' ([+-][0-9:]+)$', '\\1')"
    zoned = f"timezone('UTC', TRY_CAST({joined} AS TIMESTAMPTZ))"
    region = f"regexp_extract({trimmed}, '({_REGION})$')"
    zoned = f"(CASE WHEN {region} = '' THEN {zoned} ELSE earlier_moment({zoned}, {region}) END)"
    plain = f"TRY_CAST({trimmed} AS TIMESTAMP)"
    # a text without a zone is a wall clock of the session, whose zone is UTC
    moment = f"(CASE WHEN regexp_full_match({trimmed}, {literal(_TIMESTAMP)}) THEN {plain} ELSE {zoned} END)"
    sql = _checked(value, f"({_TIMESTAMP})|({_TIMESTAMP_ZONE})", moment, failed, trimmed)
    return Value(rounded(sql, kind), kind)


def rounded(sql: str, kind: Type) -> str:
    """A timestamp rounded to milliseconds, unless its type has more digits."""
    return sql if kind.precision > 3 else f"round_moment({sql})"


def _to_number(value: Value, kind: Type) -> Value | None:
    source, target = value.type, duck(kind)
    if source.base != "boolean" and not source.is_numeric:
        return None
    if kind.base == "boolean" or source.base == "boolean":
        if source.base == "boolean" and kind.base == "decimal":
            return Value(f"CAST(CAST({value.sql} AS INTEGER) AS {target})", kind)
        return Value(f"CAST({value.sql} AS {target})", kind)
    if source.is_float and kind.is_integer:
        whole = f"TRY_CAST(round({value.sql}) AS {target})"
        failed = fail(CAST_FAILED, f"Unable to cast {{}} to {kind.base}", value.sql)
        return Value(
            f"(CASE WHEN {value.sql} IS NULL THEN NULL WHEN {whole} IS NULL THEN {failed} ELSE {whole} END)",
            kind,
        )
    if source.is_float and kind.is_float:
        return Value(f"CAST({value.sql} AS {target})", kind)
    number = f"TRY_CAST({value.sql} AS {target})"
    if converts_always(source, kind):
        return Value(f"CAST({value.sql} AS {target})", kind, value.constant)
    name = CAST_FAILED if kind.base == "decimal" else "NUMERIC_VALUE_OUT_OF_RANGE"
    failed = fail(name, f"Cannot cast {source.base.upper()} '{{}}' to {kind}" if name == CAST_FAILED
                  else f"Out of range for {kind.base}: {{}}", value.sql)  # fmt: skip
    return Value(
        f"(CASE WHEN {value.sql} IS NULL THEN NULL WHEN {number} IS NULL THEN {failed} ELSE {number} END)",
        kind,
    )


def converts_always(source: Type, kind: Type) -> bool:
    return kind.is_float or types.converts(source, kind)


def _to_text(value: Value, kind: Type) -> Value | None:
    source = value.type
    if source.base == "varbinary" or source.items:
        return None
    if source.is_text:
        sql, known = value.sql, value.constant
    elif source.base in ("double", "real"):
        sql, known = double_text(value.sql, source.base), None
    elif source.is_timestamp:
        sql, known = moment_text(value.sql, source), None
    else:
        sql, known = render(value.sql, source), None
    if kind.base == "char":
        return Value(f"rpad(left({sql}, {kind.precision}), {kind.precision}, ' ')", kind)
    if kind.params:
        if source.is_text:
            if source.params and source.params[0] <= kind.params[0]:
                return Value(sql, kind, known)
            return Value(f"left({sql}, {kind.params[0]})", kind)
        failed = fail(CAST_FAILED, f"Value {{}} cannot be represented as {kind}", sql)
        return Value(f"(CASE WHEN length({sql}) > {kind.params[0]} THEN {failed} ELSE {sql} END)", kind)
    return Value(sql, VARCHAR, known)


def _to_time(value: Value, kind: Type) -> Value | None:
    source, sql = value.type, value.sql
    zone = source.zone if source.base == TIMESTAMP_TZ else "UTC"
    if source.base not in ("date", "timestamp", TIMESTAMP_TZ, "time") or kind.base not in (
        "date", "timestamp", TIMESTAMP_TZ, "time",
    ):  # fmt: skip
        return None
    if {source.base, kind.base} == {"date", "time"}:
        return None
    if source.base == TIMESTAMP_TZ and kind.base != TIMESTAMP_TZ:
        sql = to_wall(sql, zone)
    if kind.base == TIMESTAMP_TZ:
        shown = zone if source.base == TIMESTAMP_TZ else "UTC"
        kind = replace(kind, zone=shown)
        if source.base != TIMESTAMP_TZ and shown != "UTC":
            sql = to_utc(sql, shown)
    if kind.is_timestamp:
        moment = f"CAST({sql} AS TIMESTAMP)" if not source.is_timestamp else sql
        return Value(
            rounded(moment, kind) if source.precision > kind.precision and source.is_timestamp else moment,
            kind,
        )
    return Value(f"CAST({sql} AS {duck(kind)})", kind)


def _to_nested(value: Value, kind: Type) -> Value | None:
    source, sql = value.type, value.sql
    if source.base != kind.base or len(source.items) != len(kind.items):
        return None
    if kind.base == "array":
        inner = apply_cast(Value("e", source.element), kind.element)
        if inner is None:
            return None
        return Value(sql if inner.sql == "e" else f"list_transform({sql}, lambda e: {inner.sql})", kind)
    if kind.base == "map":
        k, v = (apply_cast(Value("e", s), t) for s, t in zip(source.items, kind.items, strict=True))
        if k is None or v is None:
            return None
        keys = f"list_transform(map_keys({sql}), lambda e: {k.sql})"
        values = f"list_transform(map_values({sql}), lambda e: {v.sql})"
        return Value(f"(CASE WHEN {sql} IS NULL THEN NULL ELSE map({keys}, {values}) END)", kind)
    fields = []
    for i, (s, t) in enumerate(zip(source.items, kind.items, strict=True)):
        label = literal(types.field_name(source, i))
        inner = apply_cast(Value(f"struct_extract({sql}, {label})", s), t)
        if inner is None:
            return None
        fields.append(f"{types.quote(types.field_name(kind, i))} := {inner.sql}")
    return Value(f"(CASE WHEN {sql} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END)", kind)


# -- JSON ------------------------------------------------------------------------------------------


def to_json(value: Value) -> str:
    """CAST(x AS JSON): numbers, booleans and strings as such, times as strings, rows as objects."""
    kind, sql = value.type, value.sql
    if kind.base == "json":
        return sql
    if kind.base == "boolean" or kind.is_integer:
        return f"CAST(CAST({sql} AS VARCHAR) AS JSON)"
    if kind.is_float or kind.base == "decimal":
        return f"CAST({double_text(sql, kind.base) if kind.is_float else f'CAST({sql} AS VARCHAR)'} AS JSON)"
    if kind.base == "array":
        return f"to_json(list_transform({sql}, lambda e: {to_json(Value('e', kind.element))}))"
    if kind.base == "map":
        entries = f"list_sort(map_entries({sql}))"
        key = render("e.key", kind.items[0])
        member = to_json(Value("e.value", kind.items[1]))
        one = f"to_json({key}) || ':' || coalesce({member}, 'null')"
        return (
            f"CAST('{{' || array_to_string(list_transform({entries}, lambda e: {one}), ',') || '}}' AS JSON)"
        )
    if kind.base == "row":
        members = []
        for i, item in enumerate(kind.items):
            label = types.field_name(kind, i)
            inner = to_json(Value(f"struct_extract({sql}, {literal(label)})", item))
            opening = literal('"' + label + '":')
            members.append(f"{opening} || coalesce({inner}, 'null')")
        whole = " || ',' || ".join(members)
        return f"(CASE WHEN {sql} IS NULL THEN NULL ELSE CAST('{{' || {whole} || '}}' AS JSON) END)"
    if kind.base in ("varbinary", types.DAY_SECOND, types.YEAR_MONTH):
        raise not_supported(f"CAST({kind} AS JSON)")
    return f"to_json({render(sql, kind)})"


def from_json(sql: str, kind: Type) -> str | None:  # a table of cases
    """CAST(json AS …), into the innermost type. None when Trino has no such cast."""
    if kind.base == "json":
        return sql
    text = f"json_value_text({sql})"
    shape = f"json_type({sql})"
    wrong = fail(CAST_FAILED, f"Cannot cast to {kind}.\n{{}}", sql)
    if kind.base == "array":
        inner = from_json("e", kind.element)
        items = f"CAST({sql} AS JSON[])"
        if inner is None:
            return None
        each = items if inner == "e" else f"list_transform({items}, lambda e: {inner})"
        return f"(CASE {shape} WHEN 'ARRAY' THEN {each} {_or_null(shape, wrong)} END)"
    if kind.base == "map":
        return _json_to_map(sql, kind, shape, wrong)
    if kind.base == "row":
        return _json_to_row(sql, kind, shape, wrong)
    if kind.is_text:
        length = f"left({text}, {kind.params[0]})" if kind.params else text
        return f"(CASE WHEN {shape} IN ('OBJECT', 'ARRAY') THEN {wrong} ELSE {length} END)"
    if not kind.is_numeric and kind.base != "boolean":
        return None
    return (
        f"(CASE WHEN {shape} IN ('OBJECT', 'ARRAY') THEN {wrong} ELSE {_json_scalar(text, shape, kind)} END)"
    )


def _keys(sql: str, kind: Type) -> str | None:
    """The keys that the map of a JSON object has."""
    if kind != types.map_of(VARCHAR, JSON):
        return None
    wrong = fail(CAST_FAILED, f"Cannot cast to {kind}.\n{{}}", sql)
    shape = f"json_type({sql})"
    return f"(CASE {shape} WHEN 'OBJECT' THEN json_keys({sql}) {_or_null(shape, wrong)} END)"


def _or_null(shape: str, wrong: str) -> str:
    """The end of a CASE on a JSON value's type: nothing and null are NULL, anything else is wrong."""
    return f"ELSE (CASE WHEN {shape} IS NULL OR {shape} = 'NULL' THEN NULL ELSE {wrong} END)"


def _json_scalar(text: str, shape: str, kind: Type) -> str:
    value = Value(text, VARCHAR)
    if kind.base == "boolean":
        number = f"(CAST({text} AS DOUBLE) <> 0)"
        from_text = apply_cast(value, kind)
        assert from_text is not None
        return f"(CASE WHEN {shape} IN ('BOOLEAN', 'VARCHAR', 'NULL') THEN {from_text.sql} ELSE {number} END)"
    truth = f"(CASE WHEN {text} = 'true' THEN 1 ELSE 0 END)"
    from_text = apply_cast(value, kind)
    assert from_text is not None
    from_double = apply_cast(Value(f"CAST({text} AS DOUBLE)", types.DOUBLE), kind)
    assert from_double is not None
    parts = [f"WHEN {shape} = 'BOOLEAN' THEN CAST({truth} AS {duck(kind)})"]
    if kind.is_integer:
        parts.append(f"WHEN {shape} = 'DOUBLE' THEN {from_double.sql}")
    return f"(CASE {' '.join(parts)} ELSE {from_text.sql} END)"


def _json_to_map(sql: str, kind: Type, shape: str, wrong: str) -> str | None:
    key = apply_cast(Value("e", VARCHAR), kind.items[0])
    inner = from_json("e", kind.items[1])
    if key is None or inner is None:
        return None
    plain = f"CAST({sql} AS MAP(VARCHAR, JSON))"
    if key.sql == "e" and inner == "e":
        entries = plain
    else:
        keys = f"list_transform(map_keys({plain}), lambda e: {key.sql})"
        entries = f"map({keys}, list_transform(map_values({plain}), lambda e: {inner}))"
    return f"(CASE {shape} WHEN 'OBJECT' THEN {entries} {_or_null(shape, wrong)} END)"


def _json_to_row(sql: str, kind: Type, shape: str, wrong: str) -> str | None:
    by_name, by_place = [], []
    for i, item in enumerate(kind.items):
        label = types.field_name(kind, i)
        path = literal('$."' + label + '"')
        named = from_json(f"json_extract({sql}, {path})", item)
        placed = from_json(f"json_extract({sql}, '$[{i}]')", item)
        if named is None or placed is None:
            return None
        by_name.append(f"{types.quote(label)} := {named}")
        by_place.append(f"{types.quote(label)} := {placed}")
    return (
        f"(CASE {shape} WHEN 'OBJECT' THEN struct_pack({', '.join(by_name)}) "
        f"WHEN 'ARRAY' THEN struct_pack({', '.join(by_place)}) {_or_null(shape, wrong)} END)"
    )


__all__ = ["apply_cast", "convert", "from_json", "to_json", "type_of"]
