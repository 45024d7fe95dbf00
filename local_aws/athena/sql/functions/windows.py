"""Window functions and the OVER clause (https://trino.io/docs/current/functions/window.html)."""

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.sql.compiler import Compiler, rule
from local_aws.athena.sql.core import Value
from local_aws.athena.sql.functions.aggregates import AGGREGATES, Modifiers, aggregate, name_and_arguments
from local_aws.athena.sql.functions.call import Call
from local_aws.athena.types import BIGINT, DOUBLE, common

_RANKS = {
    "row_number": BIGINT,
    "rank": BIGINT,
    "dense_rank": BIGINT,
    "percent_rank": DOUBLE,
    "cume_dist": DOUBLE,
}
_VALUES = ("lag", "lead", "first_value", "last_value", "nth_value")
WINDOWS = {*_RANKS, *_VALUES, "ntile"}


@rule(exp.Window)
def window(c: Compiler, node: exp.Window) -> Value:
    modifiers = Modifiers()
    inner = node.this
    while isinstance(inner, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
        if isinstance(inner, exp.IgnoreNulls):
            modifiers.nulls = " IGNORE NULLS"
        if isinstance(inner, exp.Filter):
            modifiers.filter = inner.expression.this
        inner = inner.this
    modifiers.over = over(c, node)
    name, nodes = name_and_arguments(c, inner, modifiers)
    if name in AGGREGATES:
        return aggregate(c, inner, name, nodes, modifiers)
    if name not in WINDOWS:
        raise c.query.error(
            node, "FUNCTION_NOT_FOUND", f"Function '{name}' not registered as a window function"
        )
    return _window_function(Call(c, name, inner, nodes), modifiers)


def _window_function(call: Call, modifiers: Modifiers) -> Value:
    over_ = f" OVER {modifiers.over}"
    if call.name in _RANKS:
        call.expect(0)
        return Value(f"{call.name}(){over_}", _RANKS[call.name])
    if call.name == "ntile":
        call.expect(1)
        return Value(f"ntile({call.whole(0)}){over_}", BIGINT)
    value = call.value(0)
    parts = [value.sql]
    if call.name in ("lag", "lead", "nth_value") and call.count > 1:
        parts.append(call.whole(1))
    kind = value.type
    if call.name in ("lag", "lead") and call.count > 2:
        shared = common(kind, call.value(2).type)
        if shared is None:
            raise call.unexpected()
        kind = shared
        parts = [call.arg(0, kind), parts[1], call.arg(2, kind)]
    return Value(f"{call.name}({', '.join(parts)}{modifiers.nulls}){over_}", kind)


def over(c: Compiler, node: exp.Window) -> str:
    """The OVER clause; a named window is put in its place."""
    base = node.args.get("alias")
    name = base.name if isinstance(base, exp.Expr) else None
    if (
        name
        and name.lower() in c.windows
        and not node.args.get("partition_by")
        and not node.args.get("order")
    ):
        return over(c, c.windows[name.lower()])
    from local_aws.athena.sql.queries import direction

    parts = []
    partition = node.args.get("partition_by") or []
    if partition:
        parts.append("PARTITION BY " + ", ".join(c.compile(p).sql for p in partition))
    order = node.args.get("order")
    sort_type = None
    if order is not None:
        values = [c.compile(o.this) for o in order.expressions]
        sort_type = values[0].type
        parts.append(
            "ORDER BY "
            + ", ".join(f"{v.sql} {direction(o)}" for v, o in zip(values, order.expressions, strict=True))
        )
    spec = node.args.get("spec")
    if spec is not None:
        parts.append(_frame(c, spec, sort_type))
    return f"({' '.join(parts)})"


def _frame(c: Compiler, spec: exp.WindowSpec, sort_type: types.Type | None) -> str:
    kind = str(spec.args.get("kind") or "ROWS").upper()
    start = _bound(c, spec.args.get("start"), spec.args.get("start_side"), sort_type)
    if spec.args.get("end") is None:
        return f"{kind} {start}"
    return (
        f"{kind} BETWEEN {start} AND {_bound(c, spec.args.get('end'), spec.args.get('end_side'), sort_type)}"
    )


def _bound(c: Compiler, bound: object, side: object, sort_type: types.Type | None) -> str:
    if isinstance(bound, exp.Expr):
        value = c.compile(bound)
        sql = value.sql
        if value.type == types.INTERVAL_DAY:
            sql = f"to_milliseconds({sql})"
        elif value.type == types.INTERVAL_MONTH:
            sql = f"to_months(CAST({sql} AS INTEGER))"
        elif sort_type is not None and sort_type.base in ("date", "timestamp"):
            raise c.query.mismatch(
                bound,
                f"Window frame RANGE value type ({value.type}) not compatible with sort item type "
                f"({sort_type})",
            )
        return f"{sql} {str(side).upper()}"
    words = str(bound).upper()
    return words if words == "CURRENT ROW" else f"{words} {str(side or '').upper()}"
