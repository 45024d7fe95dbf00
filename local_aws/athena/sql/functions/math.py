"""Numbers (https://trino.io/docs/current/functions/math.html)."""

from local_aws.athena import types
from local_aws.athena.sql.compiler import convert
from local_aws.athena.sql.core import Value, fail
from local_aws.athena.sql.functions.call import Call, function, simple
from local_aws.athena.sql.operators import apply_arithmetic
from local_aws.athena.types import BIGINT, BOOLEAN, DOUBLE, INTEGER, VARCHAR, decimal, duck

for _name in (
    "cos",
    "sin",
    "tan",
    "acos",
    "asin",
    "atan",
    "cosh",
    "sinh",
    "tanh",
    "degrees",
    "radians",
    "exp",
):
    simple(_name, "double -> double", _name + "({0})")
simple("cbrt", "double -> double", "java_cbrt({0})")
simple("pi", "-> double", "pi()")
simple("e", "-> double", "exp(1.0)")
simple("nan", "-> double", "CAST('NaN' AS DOUBLE)")
simple("infinity", "-> double", "CAST('Infinity' AS DOUBLE)")
simple("atan2", "double; double -> double", "atan2({0}, {1})")
simple("is_nan", "double -> boolean", "isnan({0})")
simple("is_finite", "double -> boolean", "isfinite({0})")
simple("is_infinite", "double -> boolean", "isinf({0})")
simple("bitwise_and", "bigint; bigint -> bigint", "({0} & {1})")
simple("bitwise_or", "bigint; bigint -> bigint", "({0} | {1})")
simple("bitwise_xor", "bigint; bigint -> bigint", "xor({0}, {1})")
simple("bitwise_not", "bigint -> bigint", "(~{0})")
# logarithms and roots of what has none are NaN or -Infinity in Trino, errors in DuckDB
_LOG = (
    "(CASE WHEN {0} < 0 OR isnan({0}) THEN CAST('NaN' AS DOUBLE) WHEN {0} = 0 THEN "
    "CAST('-Infinity' AS DOUBLE) ELSE %s END)"
)
simple("ln", "double -> double", _LOG % "ln({0})")
simple("log2", "double -> double", _LOG % "log2({0})")
simple("log10", "double -> double", _LOG % "log10({0})")
simple("log", "double; double -> double", "(ln({1}) / ln({0}))")
simple("sqrt", "double -> double", "(CASE WHEN {0} < 0 THEN CAST('NaN' AS DOUBLE) ELSE sqrt({0}) END)")
simple("power", "double; double -> double", "pow({0}, {1})")
simple("pow", "double; double -> double", "pow({0}, {1})")
simple("from_base", "varchar; bigint -> bigint", "from_base({0}, {1})")
simple("to_base", "bigint; bigint -> varchar", "to_base_text({0}, {1})")
simple("rand", "-> double", "random()")
simple("uuid", "-> uuid", "uuid()")


@function("abs")
def absolute(call: Call) -> Value:
    call.expect(1)
    if not call.value(0).type.is_numeric:
        raise call.unexpected()
    return Value(f"abs({call.value(0).sql})", call.value(0).type)


@function("mod")
def modulo(call: Call) -> Value:
    call.expect(2)
    found = apply_arithmetic("%", call.value(0), call.value(1))
    if found is None or not found.type.is_numeric:
        raise call.unexpected()
    return found


@function("random")
def random(call: Call) -> Value:
    call.expect(0, 1, 2)
    if call.count == 0:
        return Value("random()", DOUBLE)
    low, high = ("0", call.whole(0)) if call.count == 1 else (call.whole(0), call.whole(1))
    return Value(f"CAST(floor({low} + random() * ({high} - {low})) AS BIGINT)", BIGINT)


@function("sign")
def sign(call: Call) -> Value:
    call.expect(1)
    kind = call.value(0).type
    if not kind.is_numeric:
        raise call.unexpected()
    target = decimal(1, 0) if kind.base == "decimal" else kind
    return Value(f"CAST(sign({call.value(0).sql}) AS {duck(target)})", target)


@function("ceil", "ceiling", "floor")
def ceiling(call: Call) -> Value:
    call.expect(1)
    value, name = call.value(0), call.name[:5].replace("ceili", "ceil")
    if not value.type.is_numeric:
        raise call.unexpected()
    if value.type.is_integer:
        return value
    if value.type.base == "decimal":
        target = decimal(min(38, value.type.precision - value.type.scale + min(value.type.scale, 1)), 0)
        return Value(f"CAST({name}({value.sql}) AS {duck(target)})", target)
    return Value(f"{name}({value.sql})", value.type)


@function("round")
def round_(call: Call) -> Value:
    """Half away from zero, as DuckDB too; a decimal gets one digit more before the point."""
    call.expect(1, 2)
    value = call.value(0)
    kind = value.type
    if not kind.is_numeric:
        raise call.unexpected()
    digits = f"CAST({call.whole(1)} AS INTEGER)" if call.count == 2 else "0"
    if kind.is_integer:
        if call.count == 1 or (isinstance(call.value(1).constant, int) and call.value(1).constant >= 0):
            return Value(value.sql, kind)
        return Value(f"CAST(round({value.sql}, {digits}) AS {duck(kind)})", kind)
    if kind.is_float:
        return Value(f"CAST(round({value.sql}, {digits}) AS {duck(kind)})", kind)
    return _round_decimal(call, value, digits)


def _round_decimal(call: Call, value: Value, digits: str) -> Value:
    kind = value.type
    if call.count == 1:
        target = decimal(min(38, kind.precision - kind.scale + min(1, kind.scale)), 0)
        return Value(f"CAST(round({value.sql}, 0) AS {duck(target)})", target)
    target = decimal(min(38, kind.precision + 1), kind.scale)
    known = call.value(1).constant
    if isinstance(known, int) and known >= kind.scale:
        return convert(value, target)
    return Value(f"CAST(round({value.sql}, {digits}) AS {duck(target)})", target)


@function("truncate")
def truncate(call: Call) -> Value:
    call.expect(1, 2)
    value = call.value(0)
    if call.count == 2:
        scale = f"pow(10, {call.whole(1)})"
        return Value(
            f"CAST(trunc(CAST({value.sql} AS DOUBLE) * {scale}) / {scale} AS {duck(value.type)})", value.type
        )
    if value.type.base == "decimal":
        target = decimal(max(1, value.type.precision - value.type.scale), 0)
        return Value(f"CAST(trunc({value.sql}) AS {duck(target)})", target)
    return Value(f"trunc({value.sql})", value.type)


@function("width_bucket")
def width_bucket(call: Call) -> Value:
    """Bins of equal width numbered from 1, 0 below and n + 1 above; or the place among given bounds."""
    call.expect(2, 4)
    x = call.double(0)
    if call.count == 2:
        bounds = call.of(1, "array")
        inner = convert(bounds, types.array(DOUBLE)).sql
        return Value(f"CAST(len(list_filter({inner}, lambda e: e <= {x})) AS BIGINT)", BIGINT)
    low, high, count = call.double(1), call.double(2), call.whole(3)
    up = (
        f"(CASE WHEN {x} < {low} THEN 0 WHEN {x} >= {high} THEN {count} + 1 ELSE CAST(floor(({x} - "
        f"{low}) * {count} / ({high} - {low})) AS BIGINT) + 1 END)"
    )
    down = (
        f"(CASE WHEN {x} > {low} THEN 0 WHEN {x} <= {high} THEN {count} + 1 ELSE "
        f"CAST(floor(({low} - {x}) * {count} / ({low} - {high})) AS BIGINT) + 1 END)"
    )
    bad = fail("INVALID_FUNCTION_ARGUMENT", "bucketCount must be greater than 0")
    return Value(f"(CASE WHEN {count} <= 0 THEN {bad} WHEN {low} < {high} THEN {up} ELSE {down} END)", BIGINT)


@function("greatest", "least")
def extreme(call: Call) -> Value:
    """NULL when any argument is; DuckDB's own skip NULLs."""
    if not call.nodes:
        raise call.unexpected()
    values, kind = call.c.unify(call.nodes, f"All arguments of {call.name}")
    nulls = " OR ".join(f"{v.sql} IS NULL" for v in values)
    return Value(
        f"(CASE WHEN {nulls} THEN NULL ELSE {call.name}({', '.join(v.sql for v in values)}) END)", kind
    )


@function("bit_count")
def bit_count(call: Call) -> Value:
    call.expect(2)
    return Value(f"CAST(bit_count({call.whole(0)}) AS BIGINT)", BIGINT)


@function("bitwise_left_shift", "bitwise_right_shift", "bitwise_right_shift_arithmetic")
def shift(call: Call) -> Value:
    call.expect(2)
    word = "<<" if call.name == "bitwise_left_shift" else ">>"
    return Value(f"({call.whole(0)} {word} CAST({call.whole(1)} AS INTEGER))", BIGINT)


__all__ = ["BOOLEAN", "INTEGER", "VARCHAR"]
