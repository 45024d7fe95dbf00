"""Queries: WITH, SELECT, set operations, VALUES, and how their columns are named."""

from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.sql import grouping
from local_aws.athena.sql.compiler import Compiler, convert
from local_aws.athena.sql.core import (
    Carried,
    Column,
    Cte,
    Query,
    Relation,
    Scope,
    Source,
    Value,
    beside,
    extractions_name,
)
from local_aws.athena.types import BIGINT, Type, common


@dataclass
class Compiled:
    """A query in DuckDB's SQL. ``columns`` are what it returns; their ``ref`` is the bare name inside it."""

    sql: str
    columns: list[Column] = field(default_factory=list)


def finish(q: Query, compiled: Compiled, run: Any) -> str:
    """The compiled query with its tables in place. Raises QueryError when their data can't be read."""
    sql = compiled.sql
    for carried in q.carried:
        sql = sql.replace(carried.placeholder, carried.item)
    for scan in q.scans:
        sql = sql.replace(scan.placeholder, scan.sql(run))
    return sql


def select_from(compiled: Compiled, expressions: str) -> str:
    """Other expressions over a compiled query's columns."""
    return f"SELECT {expressions} FROM ({compiled.sql})"


def compile_query(q: Query, tree: exp.Expr, parent: Scope | None) -> Compiled:
    """Compile any query expression seen from ``parent``. Raises QueryError."""
    scope = Scope(parent=parent)
    _read_with(q, tree, scope)
    q.depth += 1
    if q.depth > 100:
        raise q.error(tree, "NOT_SUPPORTED", "a query nested more than 100 deep is not supported")
    try:
        if isinstance(tree, exp.Select):
            return _select(q, tree, scope)
        if isinstance(tree, exp.SetOperation):
            return _ordered(q, tree, _set_operation(q, tree, scope))
        if isinstance(tree, exp.Subquery):
            return _ordered(q, tree, compile_query(q, tree.this, scope))
        if isinstance(tree, exp.Values):
            return _ordered(q, tree, _values(q, tree, scope))
        if isinstance(tree, exp.Table):
            return _select(q, exp.select("*").from_(tree.copy()), scope)
    finally:
        q.depth -= 1
    raise q.error(tree, "NOT_SUPPORTED", f"{tree.key.upper()} is not supported: {tree.sql('trino')[:100]}")


def _read_with(q: Query, tree: exp.Expr, scope: Scope) -> None:
    clause = tree.args.get("with_")
    if clause is None:
        return
    if clause.args.get("recursive"):
        raise q.error(clause, "NOT_SUPPORTED", "WITH RECURSIVE is not supported")
    for cte in clause.expressions:
        name = cte.alias.lower()
        if name in scope.ctes:
            raise q.error(cte, "DUPLICATE_NAMED_QUERY", f"WITH query name '{name}' specified more than once")
        columns = tuple(c.name.lower() for c in (cte.args["alias"].args.get("columns") or []))
        # each sees the ones before it, not itself
        seen = Scope(parent=scope.parent, ctes=dict(scope.ctes))
        scope.ctes[name] = Cte(cte.this, columns, seen)


# -- SELECT ----------------------------------------------------------------------------------------


@dataclass
class _Output:
    """One column of SELECT: the value, its name, and the node it came from (None for a star's)."""

    value: Value
    name: str | None
    node: exp.Expr | None
    column: Column | None = None


_KNOWN = {
    "with_", "expressions", "from_", "joins", "where", "group", "having", "windows", "distinct", "order",
    "limit",
    "offset", "sample",
}  # fmt: skip


def _select(q: Query, tree: exp.Select, scope: Scope) -> Compiled:
    from local_aws.athena.sql.relations import compile_from, push_conditions

    for clause, given in tree.args.items():
        if given and clause not in _KNOWN:
            shown = "MATCH_RECOGNIZE" if clause == "match" else clause.upper()
            raise q.error(tree, "NOT_SUPPORTED", f"{shown} is not supported")
    source = compile_from(q, tree, scope)
    compiler = Compiler(q, scope)
    compiler.windows = {w.name.lower(): w for w in tree.args.get("windows") or []}
    sql = []
    if source:
        sql.append(f"FROM {source}")
    if tree.args.get("where"):
        condition = tree.args["where"].this
        grouping.refuse_aggregates(q, condition, "WHERE clause")
        sql.append(f"WHERE {compiler.as_boolean(condition, 'WHERE clause').sql}")
        push_conditions(q, scope, condition)
    outputs = _outputs(q, compiler, tree)
    groups = grouping.compile_groups(compiler, tree, [(o.node, o.value) for o in outputs])
    if groups.sql:
        sql.append(f"GROUP BY {groups.sql}")
    if groups.grouped:
        for output in outputs:
            groups.check(compiler, output.node, output.column, output.value)
    if tree.args.get("having"):
        condition = tree.args["having"].this
        sql.append(f"HAVING {compiler.as_boolean(condition, 'HAVING clause').sql}")
        if groups.grouped:
            groups.check(compiler, condition, None, None)
    columns = _name_outputs(q, tree, outputs, passes=not groups.grouped)
    distinct = _distinct(q, tree)
    order = _order(q, compiler, tree, outputs, distinct=bool(distinct))
    listed = ", ".join(f"{o.value.sql} AS {c.ref}{_carry(c)}" for o, c in zip(outputs, columns, strict=True))
    whole = f"SELECT {distinct}{listed} {' '.join(sql)}{order}{_limit(q, tree)}"
    return Compiled(whole, columns)


def _distinct(q: Query, tree: exp.Select) -> str:
    clause = tree.args.get("distinct")
    if clause is None:
        return ""
    if clause.args.get("on"):
        raise q.error(tree, "NOT_SUPPORTED", "DISTINCT ON is not supported")
    return "DISTINCT "


def _outputs(q: Query, compiler: Compiler, tree: exp.Select) -> list[_Output]:
    outputs: list[_Output] = []
    for node in tree.expressions:
        if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
            outputs += _star(q, compiler, node)
        elif isinstance(node, exp.Alias):
            outputs.append(
                _Output(
                    compiler.compile(node.this), node.alias.lower(), node.this, _bare(compiler, node.this)
                )
            )
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
            outputs += _row_star(compiler, node)
        else:
            outputs.append(_Output(compiler.compile(node), _implied_name(node), node, _bare(compiler, node)))
    if not outputs:
        raise q.error(tree, "SYNTAX_ERROR", "SELECT expects at least one column")
    return outputs


def _bare(compiler: Compiler, node: exp.Expr) -> Column | None:
    """The column that a node simply is, so that what is known of it is passed on."""
    if not isinstance(node, exp.Column):
        return None
    before = len(compiler.used)
    value = compiler.compile(node)
    used = compiler.used[before:]
    return used[0] if len(used) == 1 and used[0].ref == value.sql else None


def _implied_name(node: exp.Expr) -> str | None:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Column | exp.Identifier):
        return node.name.lower()
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        return node.expression.name.lower()
    return None


def _star(q: Query, compiler: Compiler, node: exp.Expr) -> list[_Output]:
    relations = compiler.scope.relations
    if isinstance(node, exp.Column):
        qualifier = [str(part.name).lower() for part in node.parts[:-1]]
        relations = [r for r in relations if r.name == qualifier[-1]]
        if not relations:
            return _row_star(compiler, node)
    if not relations:
        raise q.error(node, "COLUMN_NOT_FOUND", "SELECT * not allowed in queries without FROM clause")
    columns = [column for relation in relations for column in relation.columns if not column.hidden]
    if isinstance(node, exp.Star):
        merged = compiler.scope.merged
        columns = [*merged.values(), *(c for c in columns if c.name not in merged)]
    return [_Output(compiler.reference(column), column.name, None, column) for column in columns]


def _row_star(compiler: Compiler, node: exp.Expr) -> list[_Output]:
    """``row_column.*``."""
    parts = list(node.parts[:-1]) if isinstance(node, exp.Column) else [node.this]
    value = compiler.resolve(parts, node) if isinstance(node, exp.Column) else compiler.compile(node.this)
    if value.type.base != "row":
        raise compiler.query.error(
            node, "TABLE_NOT_FOUND", f"Unable to resolve reference {node.sql('trino')}"
        )
    found = []
    for i, item in enumerate(value.type.items):
        label = types.literal(types.field_name(value.type, i))
        found.append(_Output(Value(f"struct_extract({value.sql}, {label})", item), value.type.names[i], None))
    return found


def _name_outputs(q: Query, tree: exp.Select, outputs: list[_Output], *, passes: bool) -> list[Column]:
    """New columns; one that simply passes on a scanned table's column says so, unless rows are cut or joined
    up.
    """
    cut = any(tree.args.get(k) for k in ("limit", "offset")) or any(tree.find_all(exp.Window))
    columns = []
    for output in outputs:
        source: Source | None = None
        if output.column is not None and passes and not cut:
            source = output.column.source
        optional = output.column is not None and output.column.optional
        column = Column(output.name, output.value.type, q.fresh("c"), source, optional=optional)
        if passes:
            column.carried = _carried(q, output, column)
        columns.append(column)
    return columns


def _carried(q: Query, output: _Output, column: Column) -> Carried | None:
    """What can be passed on beside a column, see Carried."""
    number = len(q.carried)
    inner = output.column
    if column.source is not None and inner is not None and column.type.base == "varchar":
        name = extractions_name(column)
        made = Carried(number, name, beside(inner, name), inner.carried)
    elif inner is not None and inner.carried is not None:
        made = Carried(number, inner.carried.name, beside(inner, inner.carried.name), inner.carried)
    elif output.value.keys is not None:
        made = Carried(number, q.fresh("k"), output.value.keys)
    else:
        return None
    q.carried.append(made)
    return made


def _carry(column: Column) -> str:
    return column.carried.placeholder if column.carried is not None else ""


# -- ORDER BY, LIMIT -------------------------------------------------------------------------------


def direction(ordered: exp.Expr) -> str:
    """Trino sorts NULLs last in both directions unless told otherwise."""
    first = ordered.args.get("nulls_first")
    written = "NULLS FIRST" in ordered.sql("trino").upper()
    return f"{'DESC' if ordered.args.get('desc') else 'ASC'} NULLS {'FIRST' if first and written else 'LAST'}"


def _order(q: Query, compiler: Compiler, tree: exp.Select, outputs: list[_Output], *, distinct: bool) -> str:
    clause = tree.args.get("order")
    if clause is None:
        return ""
    inner = Compiler(q, compiler.scope)
    inner.windows = compiler.windows
    compiler.scope.aliases = _aliases(outputs)
    parts = []
    try:
        for ordered in clause.expressions:
            position = _position(q, ordered.this, len(outputs))
            value = outputs[position].value if position is not None else inner.compile(ordered.this)
            if distinct and value.sql not in {o.value.sql for o in outputs}:
                raise q.error(
                    ordered,
                    "EXPRESSION_NOT_IN_DISTINCT",
                    "For SELECT DISTINCT, ORDER BY expressions must appear in select list",
                )
            places = [i for i, o in enumerate(outputs) if o.value.sql == value.sql]
            parts.append(f"{places[0] + 1 if places else value.sql} {direction(ordered)}")
    finally:
        compiler.scope.aliases = {}
    return f" ORDER BY {', '.join(parts)}"


def _aliases(outputs: list[_Output]) -> dict[str, Value]:
    return {o.name: o.value for o in reversed(outputs) if o.name is not None}


def _position(q: Query, node: exp.Expr, count: int) -> int | None:
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    position = int(node.this)
    if not 1 <= position <= count:
        raise q.error(node, "INVALID_COLUMN_REFERENCE", f"ORDER BY position {position} is not in select list")
    return position - 1


def _limit(q: Query, tree: exp.Expr) -> str:
    limit, offset = tree.args.get("limit"), tree.args.get("offset")
    sql = ""
    if limit is not None:
        count = limit.args.get("count") if isinstance(limit, exp.Fetch) else limit.expression
        options = limit.args.get("limit_options")
        if options is not None and (options.args.get("with_ties") or options.args.get("percent")):
            raise q.error(tree, "NOT_SUPPORTED", "FETCH FIRST … WITH TIES is not supported")
        if not (isinstance(count, exp.Column) and count.name.lower() == "all"):
            sql += f" LIMIT {_whole(q, count)}" if count is not None else " LIMIT 1"
    if offset is not None:
        sql += f" OFFSET {_whole(q, offset.expression)}"
    return sql


def _whole(q: Query, node: exp.Expr) -> int:
    value = Compiler(q, Scope()).compile(node)
    if not isinstance(value.constant, int) or value.constant < 0:
        raise q.error(node, "TYPE_MISMATCH", f"a whole number expected, found {node.sql('trino')}")
    return value.constant


def _ordered(q: Query, tree: exp.Expr, inner: Compiled) -> Compiled:
    """ORDER BY and LIMIT around a query that is no SELECT: only its columns can be named."""
    clause = tree.args.get("order")
    tail = _limit(q, tree)
    if clause is None and not tail:
        return inner
    scope = Scope(relations=[Relation(None, inner.columns)])
    compiler = Compiler(q, scope)
    parts = []
    for ordered in clause.expressions if clause is not None else []:
        position = _position(q, ordered.this, len(inner.columns))
        sql = inner.columns[position].ref if position is not None else compiler.compile(ordered.this).sql
        parts.append(f"{sql} {direction(ordered)}")
    order = f" ORDER BY {', '.join(parts)}" if parts else ""
    columns = [Column(c.name, c.type, c.ref) for c in inner.columns]
    return Compiled(f"SELECT * FROM ({inner.sql}){order}{tail}", columns)


# -- set operations and VALUES ---------------------------------------------------------------------


def _set_operation(q: Query, tree: exp.SetOperation, scope: Scope) -> Compiled:
    sides = [compile_query(q, side, scope) for side in (tree.this, tree.expression)]
    word = {"union": "UNION", "except": "EXCEPT", "intersect": "INTERSECT"}[tree.key]
    left, right = sides
    if len(left.columns) != len(right.columns):
        raise q.error(
            tree,
            "TYPE_MISMATCH",
            f"{word} query has different number of fields: {len(left.columns)}, {len(right.columns)}",
        )
    kinds: list[Type] = []
    for i, (a, b) in enumerate(zip(left.columns, right.columns, strict=True)):
        kind = common(a.type, b.type)
        if kind is None:
            raise q.error(
                tree,
                "TYPE_MISMATCH",
                f"column {i + 1} in {word} query has incompatible types: {a.type}, {b.type}",
            )
        kinds.append(kind)
    columns = [
        Column(a.name, kind, q.fresh("c"), a.source if tree.key != "union" and a.type == kind else None)
        for a, kind in zip(left.columns, kinds, strict=True)
    ]
    all_ = "" if tree.args.get("distinct") in (None, True) else " ALL"
    parts = [_as(side, kinds, columns) for side in sides]
    return Compiled(f"(SELECT * FROM ({parts[0]})) {word}{all_} (SELECT * FROM ({parts[1]}))", columns)


def _as(side: Compiled, kinds: list[Type], columns: list[Column]) -> str:
    """One side of a set operation with the types and names of the whole."""
    listed = (
        f"{convert(Value(c.ref, c.type), kind).sql} AS {target.ref}"
        for c, kind, target in zip(side.columns, kinds, columns, strict=True)
    )
    return select_from(side, ", ".join(listed))


def _values(q: Query, tree: exp.Values, scope: Scope) -> Compiled:
    compiler = Compiler(q, scope)
    rows = []
    for item in tree.expressions:
        while isinstance(item, exp.Paren):
            item = item.this  # unwrapped
        nodes = item.expressions if isinstance(item, exp.Tuple) else [item]
        rows.append([compiler.compile(node) for node in nodes])
    if len({len(row) for row in rows}) != 1:
        raise q.error(tree, "TYPE_MISMATCH", "Values rows have mismatched sizes")
    kinds: list[Type] = []
    for place in range(len(rows[0])):
        kind = types.UNKNOWN
        for row in rows:
            shared = common(kind, row[place].type)
            if shared is None:
                raise q.error(
                    tree, "TYPE_MISMATCH", f"Values rows have mismatched types: {kind} vs {row[place].type}"
                )
            kind = shared
        kinds.append(kind)
    columns = [Column(None, kind, q.fresh("c")) for kind in kinds]
    listed = ", ".join(
        "(" + ", ".join(convert(v, k).sql for v, k in zip(row, kinds, strict=True)) + ")" for row in rows
    )
    names = ", ".join(column.ref for column in columns)
    return Compiled(f"SELECT * FROM (VALUES {listed}) AS {q.fresh('t')}({names})", columns)


__all__ = ["BIGINT", "Compiled", "compile_query", "direction", "select_from"]
