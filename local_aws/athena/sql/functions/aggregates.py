"""Aggregate functions (https://trino.io/docs/current/functions/aggregate.html), also over windows.

A rule gets the call and ``emit``, which writes a call of one of DuckDB's aggregates with the DISTINCT,
ORDER BY,
FILTER and OVER that the query gave.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value
from local_aws.athena.sql.functions.call import Call
from local_aws.athena.types import BIGINT, BOOLEAN, DOUBLE, REAL, VARCHAR, array, decimal, duck, map_of

Emit = Callable[..., str]
AggregateRule = Callable[[Call, Emit], Value]
AGGREGATES: dict[str, AggregateRule] = {}


@dataclass
class Modifiers:
    """What surrounds a call of an aggregate: FILTER (WHERE …), OVER (…), IGNORE NULLS."""

    filter: exp.Expr | None = None
    over: str | None = None
    nulls: str = ""
    order: list[exp.Expr] = field(default_factory=list)


def aggregate_rule(*names: str) -> Callable[[AggregateRule], AggregateRule]:
    def register(found: AggregateRule) -> AggregateRule:
        for name in names:
            AGGREGATES[name] = found
        return found

    return register


def aggregate(
    c: Compiler,
    node: exp.Expr,
    name: str,
    nodes: list[exp.Expr],
    modifiers: Modifiers | None = None,
) -> Value:
    """Compile a call of an aggregate function."""
    modifiers = modifiers or Modifiers()
    distinct = False
    order = list(modifiers.order)
    arguments: list[exp.Expr] = []
    for item in nodes:
        if isinstance(item, exp.Distinct):
            distinct = True
            arguments += item.expressions
        else:
            arguments.append(item)
    if arguments and isinstance(arguments[-1], exp.Order):
        ordering = arguments.pop()
        if isinstance(ordering.this, exp.Distinct):
            distinct = True
            arguments += ordering.this.expressions
        elif ordering.this is not None:
            arguments.append(ordering.this)
        order += ordering.expressions
    condition = c.as_boolean(modifiers.filter, "FILTER clause").sql if modifiers.filter is not None else None

    def emit(
        function: str, *parts: str, by: str | None = None, only: str | None = None, once: bool | None = None
    ) -> str:
        from local_aws.athena.sql.queries import direction

        inner = ("DISTINCT " if (distinct if once is None else once) else "") + ", ".join(parts)
        sorting = by or ", ".join(f"{c.compile(o.this).sql} {direction(o)}" for o in order)
        if sorting and function not in ("count", "sum", "min", "max"):
            inner += f" ORDER BY {sorting}"
        inner += modifiers.nulls
        wheres = [w for w in (condition, only) if w]
        filtered = f" FILTER (WHERE {' AND '.join(wheres)})" if wheres else ""
        over = f" OVER {modifiers.over}" if modifiers.over is not None else ""
        return f"{function}({inner}){filtered}{over}"

    return AGGREGATES[name](Call(c, name, node, arguments), emit)


@rule(exp.Filter)
def filtered(c: Compiler, node: exp.Filter) -> Value:
    inner = node.this
    modifiers = Modifiers(filter=node.expression.this)
    name, nodes = name_and_arguments(c, inner, modifiers)
    if name not in AGGREGATES:
        raise c.query.error(
            node, "FUNCTION_NOT_AGGREGATE", f"Filter is only valid for aggregation functions: {name}"
        )
    return aggregate(c, inner, name, nodes, modifiers)


@rule(exp.GroupConcat)
def listagg_call(c: Compiler, node: exp.GroupConcat) -> Value:
    modifiers = Modifiers()
    name, nodes = name_and_arguments(c, node, modifiers)
    return aggregate(c, node, name, nodes, modifiers)


def name_and_arguments(c: Compiler, node: exp.Expr, modifiers: Modifiers) -> tuple[str, list[exp.Expr]]:
    """The function that a node calls; LISTAGG, which sqlglot reads as GROUP_CONCAT, included."""
    if isinstance(node, exp.GroupConcat):
        value = node.this
        if isinstance(value, exp.Order):
            modifiers.order = list(value.expressions)
            value = value.this
        separator = node.args.get("separator")
        return "listagg", [value, *([separator] if separator is not None else [])]
    if isinstance(node, exp.Anonymous):
        return node.name.lower(), list(node.expressions)
    raise c.query.error(node, "NOT_SUPPORTED", f"{node.key.upper()} is not supported here")


# -- counting and adding ---------------------------------------------------------------------------


@aggregate_rule("count")
def count(call: Call, emit: Emit) -> Value:
    if not call.nodes or isinstance(call.nodes[0], exp.Star):
        return Value(emit("count", "*"), BIGINT)
    call.expect(1)
    return Value(emit("count", call.value(0).sql), BIGINT)


@aggregate_rule("count_if")
def count_if(call: Call, emit: Emit) -> Value:
    call.expect(1)
    return Value(emit("count", "*", only=f"({call.c.as_boolean(call.nodes[0], 'count_if').sql})"), BIGINT)


@aggregate_rule("approx_distinct")
def approx_distinct(call: Call, emit: Emit) -> Value:
    """Exact here, which is within the promised error."""
    call.expect(1, 2)
    return Value(emit("count", call.value(0).sql, once=True), BIGINT)


@aggregate_rule("sum")
def sum_(call: Call, emit: Emit) -> Value:
    call.expect(1)
    value = call.value(0)
    kind = value.type
    if kind.is_integer:
        return Value(f"CAST({emit('sum', value.sql)} AS BIGINT)", BIGINT)
    if kind.base == "decimal":
        total = decimal(38, kind.scale)
        return Value(f"CAST({emit('sum', value.sql)} AS {duck(total)})", total)
    if kind.is_float:
        return Value(f"CAST({emit('sum', value.sql)} AS {duck(kind)})", kind)
    if kind.base.startswith("interval"):
        return Value(f"CAST({emit('sum', value.sql)} AS BIGINT)", kind)
    raise call.unexpected()


@aggregate_rule("avg")
def avg(call: Call, emit: Emit) -> Value:
    call.expect(1)
    value = call.value(0)
    kind = value.type
    if kind.is_integer or kind.base == "double":
        return Value(emit("avg", value.sql), DOUBLE)
    if kind.base == "real":
        return Value(f"CAST({emit('avg', value.sql)} AS FLOAT)", REAL)
    if kind.base == "decimal":
        total, number = emit("sum", value.sql), emit("count", value.sql)
        quotient = f"decimal_quotient(CAST({total} AS VARCHAR), CAST({number} AS VARCHAR), {kind.scale})"
        return Value(f"CAST((CASE WHEN {number} = 0 THEN NULL ELSE {quotient} END) AS {duck(kind)})", kind)
    if kind.base.startswith("interval"):
        return Value(f"CAST({emit('avg', value.sql)} AS BIGINT)", kind)
    raise call.unexpected()


@aggregate_rule("min", "max")
def extreme(call: Call, emit: Emit) -> Value:
    call.expect(1, 2)
    value = call.value(0)
    if value.type.base in ("map", "json"):
        raise call.unexpected()
    if call.count == 1:
        return Value(emit(call.name, value.sql), value.type)
    return Value(emit(call.name, value.sql, call.whole(1)), array(value.type))


@aggregate_rule("min_by", "max_by")
def by(call: Call, emit: Emit) -> Value:
    """The value at the least or greatest key, also when that value is NULL."""
    call.expect(2, 3)
    value, key = call.value(0), call.value(1)
    name = "arg_min" if call.name == "min_by" else "arg_max"
    if call.count == 3:
        return Value(emit(name, value.sql, key.sql, call.whole(2)), array(value.type))
    return Value(emit(f"{name}_null", value.sql, key.sql), value.type)


@aggregate_rule("bool_and", "every", "bool_or")
def boolean(call: Call, emit: Emit) -> Value:
    call.expect(1)
    name = "bool_or" if call.name == "bool_or" else "bool_and"
    return Value(emit(name, call.arg(0, BOOLEAN)), BOOLEAN)


@aggregate_rule("arbitrary", "any_value")
def arbitrary(call: Call, emit: Emit) -> Value:
    """Some value that is not NULL, if there is one."""
    call.expect(1)
    return Value(emit("any_value", call.value(0).sql), call.value(0).type)


# -- collecting ------------------------------------------------------------------------------------


@aggregate_rule("array_agg")
def array_agg(call: Call, emit: Emit) -> Value:
    call.expect(1)
    return Value(emit("list", call.value(0).sql), array(call.value(0).type))


@aggregate_rule("set_agg")
def set_agg(call: Call, emit: Emit) -> Value:
    call.expect(1)
    return Value(emit("list", call.value(0).sql, once=True), array(call.value(0).type))


@aggregate_rule("map_agg")
def map_agg(call: Call, emit: Emit) -> Value:
    """A key seen twice keeps one of its values; rows with a NULL key are left out."""
    call.expect(2)
    key, value = call.value(0), call.value(1)
    kind = map_of(key.type, value.type)
    pairs = emit("list", f"struct_pack(k := {key.sql}, v := {value.sql})", only=f"({key.sql} IS NOT NULL)")
    return Value(f"CAST(first_of_key({pairs}) AS {duck(kind)})", kind)


@aggregate_rule("multimap_agg")
def multimap_agg(call: Call, emit: Emit) -> Value:
    call.expect(2)
    key, value = call.value(0), call.value(1)
    kind = map_of(key.type, array(value.type))
    pairs = emit("list", f"struct_pack(k := {key.sql}, v := {value.sql})", only=f"({key.sql} IS NOT NULL)")
    return Value(f"CAST(all_of_key({pairs}) AS {duck(kind)})", kind)


@aggregate_rule("map_union")
def map_union(call: Call, emit: Emit) -> Value:
    call.expect(1)
    value = call.of(0, "map")
    pairs = emit(
        "list", f"list_transform(map_entries({value.sql}), lambda e: struct_pack(k := e.key, v := e.value))"
    )
    return Value(f"CAST(first_of_key(flatten({pairs})) AS {duck(value.type)})", value.type)


@aggregate_rule("histogram")
def histogram(call: Call, emit: Emit) -> Value:
    call.expect(1)
    kind = map_of(call.value(0).type, BIGINT)
    return Value(f"CAST({emit('histogram', call.value(0).sql)} AS {duck(kind)})", kind)


@aggregate_rule("listagg")
def listagg(call: Call, emit: Emit) -> Value:
    call.expect(1, 2)
    separator = call.text(1) if call.count == 2 else "''"
    return Value(emit("string_agg", call.text(0), separator), VARCHAR)


# -- statistics ------------------------------------------------------------------------------------

_STATISTICS = {
    "stddev": "stddev_samp", "stddev_samp": "stddev_samp", "stddev_pop": "stddev_pop", "variance": "var_samp",
    "var_samp": "var_samp", "var_pop": "var_pop", "skewness": "skewness", "kurtosis": "kurtosis",
}  # fmt: skip


@aggregate_rule(*_STATISTICS)
def statistic(call: Call, emit: Emit) -> Value:
    call.expect(1)
    return Value(emit(_STATISTICS[call.name], call.double(0)), DOUBLE)


@aggregate_rule("corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept")
def pair_statistic(call: Call, emit: Emit) -> Value:
    call.expect(2)
    return Value(emit(call.name, call.double(0), call.double(1)), DOUBLE)


@aggregate_rule("geometric_mean")
def geometric_mean(call: Call, emit: Emit) -> Value:
    call.expect(1)
    return Value(f"exp({emit('avg', f'ln({call.double(0)})')})", DOUBLE)


@aggregate_rule("approx_percentile")
def approx_percentile(call: Call, emit: Emit) -> Value:
    """Exact here: a whole number is one of the values, a double is interpolated."""
    call.expect(2)
    value, share = call.value(0), call.value(1)
    if not value.type.is_numeric:
        raise call.unexpected()
    function = "quantile_disc" if value.type.is_integer else "quantile_cont"
    if share.type.base == "array":
        sql = emit(function, value.sql, convert(share, array(DOUBLE)).sql)
        return Value(f"CAST({sql} AS {duck(array(value.type))})", array(value.type))
    return Value(f"CAST({emit(function, value.sql, call.double(1))} AS {duck(value.type)})", value.type)


@aggregate_rule("bitwise_and_agg", "bitwise_or_agg")
def bitwise(call: Call, emit: Emit) -> Value:
    call.expect(1)
    return Value(emit("bit_and" if call.name == "bitwise_and_agg" else "bit_or", call.whole(0)), BIGINT)


@aggregate_rule("checksum")
def checksum(call: Call, emit: Emit) -> Value:
    raise call.c.query.error(call.node, "NOT_SUPPORTED", "checksum is not supported")


@aggregate_rule("reduce_agg")
def reduce_agg(call: Call, emit: Emit) -> Value:
    raise call.c.query.error(call.node, "NOT_SUPPORTED", "reduce_agg is not supported")


@aggregate_rule("grouping")
def grouping(call: Call, emit: Emit) -> Value:
    return Value(f"grouping({', '.join(v.sql for v in call.values())})", BIGINT)
