"""GROUP BY, and the rule that what is not grouped by must be aggregated."""

from dataclasses import dataclass, field

from sqlglot import exp

from local_aws.athena.sql.compiler import Compiler
from local_aws.athena.sql.core import Column, Query, Value


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node is a call of an aggregate function (not of a window)."""
    from local_aws.athena.sql.functions.aggregates import AGGREGATES

    if isinstance(node, exp.GroupConcat):
        return True
    return isinstance(node, exp.Anonymous) and node.name.lower() in AGGREGATES


def _windowed(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        parent = parent.parent
    return (
        isinstance(parent, exp.Window)
        and node.find_ancestor(exp.Window) is parent
        and not _in_clause(node, parent)
    )


def _in_clause(node: exp.Expr, window: exp.Window) -> bool:
    """Whether the node stands in PARTITION BY or ORDER BY and not in the place of the function."""
    return not any(n is node for n in window.this.walk())


def aggregates_of(node: exp.Expr) -> list[exp.Expr]:
    """The aggregate calls of this query level in an expression."""
    found: list[exp.Expr] = []

    def visit(item: exp.Expr) -> None:
        if isinstance(item, exp.Query | exp.Subquery):
            return
        if is_aggregate(item) and not _windowed(item):
            found.append(item)
            return
        for child in item.iter_expressions():
            visit(child)

    visit(node)
    return found


def refuse_aggregates(q: Query, node: exp.Expr, where: str) -> None:
    for call in aggregates_of(node):
        said = "cannot contain aggregations, window functions or grouping operations"
        shown = call.sql("trino").lower()
        raise q.error(call, "EXPRESSION_NOT_SCALAR", f"{where} {said}: [{shown}]")


@dataclass
class Groups:
    """What a SELECT groups by. ``grouped`` also when it only aggregates."""

    sql: str = ""
    grouped: bool = False
    keys: set[str] = field(default_factory=set)

    def check(self, c: Compiler, node: exp.Expr | None, column: Column | None, value: Value | None) -> None:
        """Raises QueryError EXPRESSION_NOT_AGGREGATE for what is neither grouped by nor aggregated."""
        if node is None:
            if value is not None and value.sql not in self.keys:
                name = column.name if column is not None else value.sql
                raise c.query.error(None, "EXPRESSION_NOT_AGGREGATE", _unaggregated(str(name)))
            return
        self._visit(c, node)

    def _visit(self, c: Compiler, node: exp.Expr) -> None:
        if isinstance(node, exp.Filter | exp.IgnoreNulls) and aggregates_of(node):
            return
        if isinstance(node, exp.Query | exp.Subquery | exp.Literal | exp.Lambda) or (
            is_aggregate(node) and not _windowed(node)
        ):
            return
        if isinstance(node, exp.Anonymous) and node.name.lower() == "grouping":
            return
        if not isinstance(
            node, exp.Anonymous | exp.Window | exp.Filter | exp.Order | exp.Ordered | exp.WindowSpec
        ):
            from local_aws.athena.sql.compiler import RULES

            if type(node) in RULES and not isinstance(node, exp.Identifier):
                value = c.compile(node)
                if value.sql in self.keys:
                    return
                if isinstance(node, exp.Column | exp.Dot) and _is_column(c, value):
                    raise c.query.error(
                        node, "EXPRESSION_NOT_AGGREGATE", _unaggregated(node.sql("trino").lower())
                    )
                if isinstance(node, exp.Column):
                    return
        elif isinstance(node, exp.Anonymous) and not _windowed(node) and c.compile(node).sql in self.keys:
            return
        for child in node.iter_expressions():
            if isinstance(child, exp.Expr):
                self._visit(c, child)


def _is_column(c: Compiler, value: Value) -> bool:
    own = {column.ref for relation in c.scope.relations for column in relation.columns}
    return value.sql in own or (
        value.sql.startswith("struct_extract(") and any(ref in value.sql for ref in own)
    )


def _unaggregated(shown: str) -> str:
    return f"'{shown}' must be an aggregate expression or appear in GROUP BY clause"


def compile_groups(c: Compiler, tree: exp.Select, outputs: list[tuple[exp.Expr | None, Value]]) -> Groups:
    """The GROUP BY clause; ``outputs`` are what its positions stand for."""
    clause = tree.args.get("group")
    groups = Groups()
    groups.grouped = clause is not None or any(
        aggregates_of(node)
        for node in [*tree.expressions, *([tree.args["having"].this] if tree.args.get("having") else [])]
    )
    if clause is None:
        return groups

    def key(node: exp.Expr) -> str:
        if isinstance(node, exp.Literal) and not node.is_string:
            place = int(node.this)
            if not 1 <= place <= len(outputs):
                raise c.query.error(
                    node, "INVALID_COLUMN_REFERENCE", f"GROUP BY position {place} is not in select list"
                )
            chosen, value = outputs[place - 1]
            if chosen is not None:
                refuse_aggregates(c.query, chosen, "GROUP BY clause")
        else:
            refuse_aggregates(c.query, node, "GROUP BY clause")
            value = c.compile(node)
        groups.keys.add(value.sql)
        return value.sql

    def members(node: exp.Expr) -> str:
        if isinstance(node, exp.Paren):
            return f"({key(node.this)})"
        if isinstance(node, exp.Tuple):
            return f"({', '.join(key(n) for n in node.expressions)})"
        return f"({key(node)})"

    def item(node: exp.Expr) -> str:
        if isinstance(node, exp.GroupingSets | exp.Rollup | exp.Cube):
            word = {"groupingsets": "GROUPING SETS", "rollup": "ROLLUP", "cube": "CUBE"}[node.key]
            return f"{word} ({', '.join(members(n) for n in node.expressions)})"
        return key(node)

    parts = [item(n) for n in clause.expressions]
    for name in ("grouping_sets", "rollup", "cube"):
        parts += [item(node) for node in clause.args.get(name) or [] if isinstance(node, exp.Expr)]
    groups.sql = ", ".join(f"({p})" if p.isdigit() else p for p in parts)
    return groups
