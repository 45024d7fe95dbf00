"""coalesce, nullif, try, typeof and their like."""

from local_aws.athena.sql.core import Value, attempt, string
from local_aws.athena.sql.functions.call import Call, function
from local_aws.athena.sql.operators import compare, make_row
from local_aws.athena.types import VARCHAR


@function("coalesce")
def coalesce(call: Call) -> Value:
    if call.count < 2:
        raise call.unexpected()
    values, kind = call.c.unify(call.nodes, "All COALESCE operands")
    return Value(f"coalesce({', '.join(v.sql for v in values)})", kind)


@function("nullif")
def nullif(call: Call) -> Value:
    call.expect(2)
    first = call.value(0)
    same = compare(call.c, call.node, "=", first, call.value(1))
    return Value(f"(CASE WHEN {same.sql} THEN NULL ELSE {first.sql} END)", first.type)


@function("if")
def if_(call: Call) -> Value:
    call.expect(2, 3)
    values, kind = call.c.unify(call.nodes[1:], "Result types for IF")
    condition = call.c.as_boolean(call.nodes[0], "IF condition")
    other = values[1].sql if len(values) > 1 else "NULL"
    return Value(f"(CASE WHEN {condition.sql} THEN {values[0].sql} ELSE {other} END)", kind)


@function("try")
def try_(call: Call) -> Value:
    """NULL where the value can't be computed: division by zero, a bad cast or argument, a number out of
    range.
    """
    call.expect(1)
    return Value(attempt(call.value(0).sql), call.value(0).type)


@function("typeof")
def typeof(call: Call) -> Value:
    call.expect(1)
    return Value(string(str(call.value(0).type)).sql, VARCHAR)


@function("row")
def row(call: Call) -> Value:
    return make_row(call.values())


@function("version")
def version(call: Call) -> Value:
    return string("local")
