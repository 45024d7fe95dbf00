"""Arithmetic, comparison, logic, subscripts and the conditional forms, as Trino defines them."""

from typing import Any

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value, fail
from local_aws.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    VARCHAR,
    Type,
    as_decimal,
    common,
    decimal,
)

_SIGNS: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%",
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip


# -- arithmetic ------------------------------------------------------------------------------------


@rule(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
def arithmetic(c: Compiler, node: exp.Binary) -> Value:
    left, right = c.compile(node.this), c.compile(node.expression)
    sign = _SIGNS[type(node)]
    value = apply_arithmetic(sign, left, right)
    if value is None:
        raise c.query.mismatch(node, f"Cannot apply operator: {left.type} {sign} {right.type}")
    return value


def apply_arithmetic(sign: str, left: Value, right: Value) -> Value | None:
    """``left sign right``; None when Trino has no such operator."""
    a, b = left.type, right.type
    if a.base == "unknown" and b.base == "unknown":
        return Value("NULL", INTEGER)
    if a.base == "unknown":
        left, a = convert(left, b), b
    if b.base == "unknown":
        right, b = convert(right, a), a
    if a.is_numeric and b.is_numeric:
        return _numbers(sign, left, right)
    if sign in "+-*/":
        return _times(sign, left, right)
    return None


def _numbers(sign: str, left: Value, right: Value) -> Value:
    kind = common(left.type, right.type)
    assert kind is not None
    if kind.base == "decimal":
        return _decimals(sign, left, right)
    left, right = convert(left, kind), convert(right, kind)
    if kind.is_float:
        call = f"fmod({left.sql}, {right.sql})" if sign == "%" else f"({left.sql} {sign} {right.sql})"
        return Value(f"CAST({call} AS {types.duck(kind)})" if kind.base == "real" else call, kind)
    # DuckDB's // and % cut towards zero and fail on zero, as Trino's / and % do
    return Value(f"({left.sql} {'//' if sign == '/' else sign} {right.sql})", kind)


def _decimals(sign: str, left: Value, right: Value) -> Value:
    """Decimal types as https://trino.io/docs/current/functions/decimal.html gives them."""
    a, b = as_decimal(left.type), as_decimal(right.type)
    (p1, s1), (p2, s2) = (a.precision, a.scale), (b.precision, b.scale)
    left, right = convert(left, a), convert(right, b)
    if sign in "+-":
        scale = max(s1, s2)
        kind = decimal(min(38, scale + max(p1 - s1, p2 - s2) + 1), scale)
        left, right = _widened(left, kind), _widened(right, kind)
        return Value(f"CAST({left.sql} {sign} {right.sql} AS {types.duck(kind)})", kind)
    if sign == "*":
        kind = decimal(min(38, p1 + p2), s1 + s2)
        return Value(f"CAST({left.sql} * {right.sql} AS {types.duck(kind)})", kind)
    if sign == "%":
        scale = max(s1, s2)
        kind = decimal(min(p2 - s2, p1 - s1) + scale, scale)
        wide = decimal(38, scale)
        both = f"{convert(left, wide).sql} % {convert(right, wide).sql}"
        return Value(f"CAST({_guarded(right, both)} AS {types.duck(kind)})", kind)
    scale = max(s1, s2)
    kind = decimal(min(38, p1 + s2 + max(0, s2 - s1)), scale)
    return Value(_divided(left, right, kind), kind)


def _widened(value: Value, kind: Type) -> Value:
    return convert(value, decimal(kind.precision, value.type.scale))


def _guarded(divisor: Value, sql: str) -> str:
    return f"(CASE WHEN {divisor.sql} = 0 THEN {fail('DIVISION_BY_ZERO', 'Division by zero')} ELSE {sql} END)"


def _divided(left: Value, right: Value, kind: Type) -> str:
    """The quotient, its last digit rounded half away from zero; DuckDB would divide as doubles."""
    scale = kind.scale
    parts = f"CAST({left.sql} AS VARCHAR), CAST({right.sql} AS VARCHAR), {scale}"
    return _guarded(right, f"CAST(decimal_quotient({parts}) AS {types.duck(kind)})")


def _times(sign: str, left: Value, right: Value) -> Value | None:
    a, b = left.type, right.type
    if a == b and a in (types.INTERVAL_DAY, types.INTERVAL_MONTH) and sign in "+-":
        return Value(f"({left.sql} {sign} {right.sql})", a)
    if sign == "+" and a in (types.INTERVAL_DAY, types.INTERVAL_MONTH) and not b.is_numeric:
        return _times(sign, right, left)
    if sign == "*" and a.is_numeric and b in (types.INTERVAL_DAY, types.INTERVAL_MONTH):
        return _times(sign, right, left)
    if a in (types.INTERVAL_DAY, types.INTERVAL_MONTH) and b.is_numeric and sign in "*/":
        # an interval is scaled as a number and cut to whole milliseconds or months
        return Value(f"CAST(trunc({left.sql} {sign} CAST({right.sql} AS DOUBLE)) AS BIGINT)", a)
    if sign not in "+-":
        return None
    if b == types.INTERVAL_DAY and (a.base == "date" or a.is_timestamp):
        moved = f"({left.sql} {sign} to_milliseconds({right.sql}))"
        if a.base != "date":
            return Value(moved, a)
        part = fail("INVALID_FUNCTION_ARGUMENT", "Cannot add hour, minutes or seconds to a date")
        return Value(
            f"(CASE WHEN {right.sql} % 86400000 <> 0 THEN {part} ELSE CAST({moved} AS DATE) END)", DATE
        )
    if b == types.INTERVAL_DAY and a.base == "time":
        return Value(f"({left.sql} {sign} to_milliseconds({right.sql}))", a)
    if b == types.INTERVAL_MONTH and (a.base == "date" or a.is_timestamp):
        moved = f"({left.sql} {sign} to_months(CAST({right.sql} AS INTEGER)))"
        return Value(f"CAST({moved} AS DATE)" if a.base == "date" else in_zone(left, moved, left.sql), a)
    if sign == "-" and a.base == b.base == "date":
        return Value(f"(CAST({left.sql} - {right.sql} AS BIGINT) * 86400000)", types.INTERVAL_DAY)
    if (
        sign == "-"
        and common(a, b) is not None
        and {a.base, b.base} <= {"date", "timestamp", types.TIMESTAMP_TZ}
    ):
        moments = [f"epoch_ms(CAST({v.sql} AS TIMESTAMP))" for v in (left, right)]
        return Value(f"({moments[0]} - {moments[1]})", types.INTERVAL_DAY)
    return None


def in_zone(value: Value, sql: str, original: str) -> str:
    """``sql`` on the value's wall clock: a zoned moment is moved to its zone, changed, and moved back."""
    if value.type.base != types.TIMESTAMP_TZ or value.type.zone == "UTC":
        return sql
    from local_aws.athena.sql.zones import to_utc, to_wall

    return to_utc(sql.replace(original, to_wall(original, value.type.zone), 1), value.type.zone)


@rule(exp.Neg)
def negative(c: Compiler, node: exp.Neg) -> Value:
    if isinstance(node.this, exp.Literal) and node.this.this == str(2**63):
        return Value(f"CAST('-{node.this.this}' AS BIGINT)", BIGINT)
    value = c.compile(node.this)
    if (
        not value.type.is_numeric
        and not value.type.base.startswith("interval")
        and value.type.base != "unknown"
    ):
        raise c.query.mismatch(node, f"Cannot negate {value.type}")
    known = -value.constant if isinstance(value.constant, int | float) else None
    return Value(f"(-{value.sql})", value.type, known)


@rule(exp.DPipe)
def concatenation(c: Compiler, node: exp.DPipe) -> Value:
    from local_aws.athena.sql.functions.strings import join_values

    values = [c.compile(n) for n in (node.this, node.expression)]
    joined = join_values(values)
    if joined is None:
        raise c.query.mismatch(node, f"Cannot apply operator: {values[0].type} || {values[1].type}")
    return joined


# -- comparison ------------------------------------------------------------------------------------


def compare(c: Compiler, node: exp.Expr, sign: str, left: Value, right: Value) -> Value:
    kind = common(left.type, right.type)
    if kind is None:
        raise c.query.mismatch(node, f"Cannot apply operator: {left.type} {sign} {right.type}")
    if kind.base == "map" and sign not in ("=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"):
        raise c.query.mismatch(node, f"Cannot apply operator: {left.type} {sign} {right.type}")
    left, right = as_compared([left, right], kind)
    compared = f"({left.sql} {sign} {right.sql})"
    unsure = [v.sql for v in (left, right) if v.constant is None]
    if kind.is_float and unsure and "DISTINCT" not in sign:
        # NaN equals nothing and is neither less nor greater; DuckDB takes it for the greatest number
        nan = " OR ".join(f"isnan({sql})" for sql in unsure)
        compared = f"(CASE WHEN {nan} THEN {'TRUE' if sign == '<>' else 'FALSE'} ELSE {compared} END)"
    return Value(compared, BOOLEAN)


def as_compared(values: list[Value], kind: Type) -> list[Value]:
    """The values as their common type; where one is a ``char``, blanks at the end of a text do not count."""
    converted = [convert(value, kind) for value in values]
    if not any(value.type.base == "char" for value in values):
        return converted
    return [Value(f"rtrim({value.sql}, ' ')", kind) for value in converted]


@rule(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
def comparison(c: Compiler, node: exp.Binary) -> Value:
    sign = _SIGNS[type(node)]
    left = c.compile(node.this)
    if isinstance(node.expression, exp.Any | exp.All):
        return quantified(c, node, sign, left)
    return compare(c, node, sign, left, c.compile(node.expression))


def quantified(c: Compiler, node: exp.Binary, sign: str, left: Value) -> Value:
    """``x > ALL (SELECT …)`` and ``= ANY``."""
    from local_aws.athena.sql.subqueries import one_column

    word = "ANY" if isinstance(node.expression, exp.Any) else "ALL"
    sql, kind = one_column(c, node.expression.this, common_with=left.type)
    return Value(f"({convert(left, kind).sql} {sign} {word} ({sql}))", BOOLEAN)


@rule(exp.NullSafeEQ)
def not_distinct(c: Compiler, node: exp.Binary) -> Value:
    return compare(c, node, "IS NOT DISTINCT FROM", c.compile(node.this), c.compile(node.expression))


@rule(exp.NullSafeNEQ)
def distinct(c: Compiler, node: exp.Binary) -> Value:
    return compare(c, node, "IS DISTINCT FROM", c.compile(node.this), c.compile(node.expression))


@rule(exp.Between)
def between(c: Compiler, node: exp.Between) -> Value:
    value, low, high = (c.compile(node.args[k]) for k in ("this", "low", "high"))
    kind = common(value.type, low.type)
    kind = common(kind, high.type) if kind is not None else None
    if kind is None:
        raise c.query.mismatch(node, f"Cannot check if {value.type} is BETWEEN {low.type} and {high.type}")
    a, b, d = (v.sql for v in as_compared([value, low, high], kind))
    return Value(f"({a} BETWEEN {b} AND {d})", BOOLEAN)


@rule(exp.In)
def membership(c: Compiler, node: exp.In) -> Value:
    from local_aws.athena.sql.subqueries import in_subquery

    if node.args.get("query") is not None:
        return in_subquery(c, node)
    nodes = [node.this, *node.expressions]
    _, kind = c.unify(nodes, "IN value and list items")
    values = as_compared([c.compile(n) for n in nodes], kind)
    return Value(f"({values[0].sql} IN ({', '.join(v.sql for v in values[1:])}))", BOOLEAN)


@rule(exp.Is)
def is_null(c: Compiler, node: exp.Is) -> Value:
    if not isinstance(node.expression, exp.Null):
        raise c.query.error(
            node, "SYNTAX_ERROR", f"mismatched input '{node.expression.sql()}'. Expecting: 'NULL'"
        )
    return Value(f"({c.compile(node.this).sql} IS NULL)", BOOLEAN)


@rule(exp.Like)
def like(c: Compiler, node: exp.Like) -> Value:
    return _like(c, node, None)


def _like(c: Compiler, node: exp.Expr, escape: str | None) -> Value:
    value, pattern = c.compile(node.this), c.compile(node.expression)
    for side, what in ((value, "Left"), (pattern, "Pattern")):
        if not side.type.is_text and side.type.base != "unknown":
            raise c.query.mismatch(
                node, f"{what} side of LIKE expression must evaluate to a varchar (actual: {side.type})"
            )
    suffix = f" ESCAPE {escape}" if escape else ""
    return Value(f"({convert(value, VARCHAR).sql} LIKE {convert(pattern, VARCHAR).sql}{suffix})", BOOLEAN)


@rule(exp.Escape)
def like_escape(c: Compiler, node: exp.Escape) -> Value:
    inner = node.this
    negated = isinstance(inner, exp.Not)
    value = _like(c, inner.this if negated else inner, c.compile(node.expression).sql)
    return Value(f"(NOT {value.sql})", BOOLEAN) if negated else value


# -- logic -----------------------------------------------------------------------------------------


@rule(exp.And, exp.Or)
def logic(c: Compiler, node: exp.Connector) -> Value:
    word = "AND" if isinstance(node, exp.And) else "OR"
    what = "Logical expression term"
    parts = [c.as_boolean(side, what) for side in node.flatten(unnest=False)]
    return Value("(" + f" {word} ".join(part.sql for part in parts) + ")", BOOLEAN)


@rule(exp.Not)
def negation(c: Compiler, node: exp.Not) -> Value:
    return Value(f"(NOT {c.as_boolean(node.this, 'Value of logical NOT expression').sql})", BOOLEAN)


@rule(exp.Case)
def case(c: Compiler, node: exp.Case) -> Value:
    subject = c.compile(node.this) if node.this is not None else None
    results = [branch.args["true"] for branch in node.args["ifs"]]
    default = node.args.get("default")
    values, kind = c.unify([*results, *([default] if default is not None else [])], "All CASE results")
    parts = ["CASE"]
    for branch, value in zip(node.args["ifs"], values, strict=False):
        if subject is None:
            condition = c.as_boolean(branch.this, "CASE WHEN clause")
        else:
            condition = compare(c, branch.this, "=", subject, c.compile(branch.this))
        parts.append(f"WHEN {condition.sql} THEN {value.sql}")
    if default is not None:
        parts.append(f"ELSE {values[-1].sql}")
    return Value(f"({' '.join(parts)} END)", kind)


@rule(exp.If)
def conditional(c: Compiler, node: exp.If) -> Value:
    nodes = [node.args["true"], *([node.args["false"]] if node.args.get("false") is not None else [])]
    values, kind = c.unify(nodes, "Result types for IF")
    condition = c.as_boolean(node.this, "IF condition")
    other = values[1].sql if len(values) > 1 else "NULL"
    return Value(f"(CASE WHEN {condition.sql} THEN {values[0].sql} ELSE {other} END)", kind)


# -- collections -----------------------------------------------------------------------------------


@rule(exp.Array)
def array_literal(c: Compiler, node: exp.Array) -> Value:
    values, kind = c.unify(node.expressions, "All ARRAY elements")
    sql = f"[{', '.join(v.sql for v in values)}]"
    return Value(f"CAST({sql} AS {types.duck(types.array(kind))})" if not values else sql, types.array(kind))


@rule(exp.Tuple)
def row_literal(c: Compiler, node: exp.Tuple) -> Value:
    return make_row([c.compile(n) for n in node.expressions])


def make_row(values: list[Value]) -> Value:
    kind = types.row(tuple(None for _ in values), tuple(v.type for v in values))
    fields = (f"{types.quote(f'field{i}')} := {v.sql}" for i, v in enumerate(values))
    return Value(f"struct_pack({', '.join(fields)})", kind)


@rule(exp.Bracket)
def subscript(c: Compiler, node: exp.Bracket) -> Value:
    value, index = c.compile(node.this), c.compile(node.expressions[0])
    if value.type.base == "array" and index.type.is_integer:
        return array_subscript(value, index)
    if value.type.base == "map" and common(index.type, value.type.items[0]) is not None:
        key = convert(index, value.type.items[0])
        missing = fail("INVALID_FUNCTION_ARGUMENT", "Key not present in map: {}", key.sql)
        return Value(
            f"(CASE WHEN map_contains({value.sql}, {key.sql}) IS NOT FALSE THEN "
            f"{map_value(value, key)} ELSE {missing} END)",
            value.type.items[1],
        )
    if (
        value.type.base == "row"
        and isinstance(index.constant, int)
        and 0 < index.constant <= len(value.type.items)
    ):
        return row_field(value, index.constant - 1)
    raise c.query.mismatch(node, f"Cannot use {index.type} for subscript of {value.type}")


def row_field(value: Value, position: int) -> Value:
    label = types.literal(types.field_name(value.type, position))
    return Value(f"struct_extract({value.sql}, {label})", value.type.items[position])


def map_value(value: Value, key: Value) -> str:
    """The value under a key, NULL when there is none."""
    return f"map_extract_value({value.sql}, {key.sql})"


def array_subscript(value: Value, index: Value) -> Value:
    a, i = value.sql, index.sql
    name = "INVALID_FUNCTION_ARGUMENT"
    negative_ = fail(name, "Array subscript is negative: {}", i)
    beyond = fail(name, "Array subscript must be less than or equal to array length: {} > {}", i, f"len({a})")
    checks: list[Any] = [f"WHEN {i} > len({a}) THEN {beyond}"]
    if not (isinstance(index.constant, int) and index.constant > 0):
        checks = [
            f"WHEN {i} = 0 THEN {fail(name, 'SQL array indices start at 1')}",
            f"WHEN {i} < 0 THEN {negative_}",
            *checks,
        ]
    return Value(f"(CASE {' '.join(checks)} ELSE list_extract({a}, {i}) END)", value.type.element)


__all__ = ["DOUBLE", "apply_arithmetic", "compare", "make_row"]
