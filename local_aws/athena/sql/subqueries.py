"""Queries inside expressions: scalar, EXISTS, IN and quantified."""

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value
from local_aws.athena.sql.operators import make_row
from local_aws.athena.sql.queries import Compiled, compile_query, select_from
from local_aws.athena.types import BOOLEAN, Type, common


def _compile(c: Compiler, tree: exp.Expr) -> Compiled:
    if isinstance(tree, exp.Subquery):
        tree = tree.this if not tree.args.get("with_") else tree
    return compile_query(c.query, tree, c.scope)


@rule(exp.Subquery)
def scalar(c: Compiler, node: exp.Subquery) -> Value:
    found = _compile(c, node)
    if len(found.columns) == 1:
        return Value(f"({found.sql})", found.columns[0].type)
    kind = types.row(tuple(k.name for k in found.columns), tuple(k.type for k in found.columns))
    fields = ", ".join(
        f"{types.quote(types.field_name(kind, i))} := {k.ref}" for i, k in enumerate(found.columns)
    )
    return Value(f"({select_from(found, f'struct_pack({fields})')})", kind)


@rule(exp.Exists)
def exists(c: Compiler, node: exp.Exists) -> Value:
    return Value(f"EXISTS ({_compile(c, node.this).sql})", BOOLEAN)


def one_column(c: Compiler, tree: exp.Expr, common_with: Type) -> tuple[str, Type]:
    """A query of one column as the common type of it and ``common_with``."""
    found = _compile(c, tree)
    if len(found.columns) != 1:
        raise c.query.error(
            tree,
            "SYNTAX_ERROR",
            f"Multiple columns returned by subquery are not yet supported. Found {len(found.columns)}",
        )
    column = found.columns[0]
    kind = common(column.type, common_with)
    if kind is None:
        raise c.query.mismatch(
            tree, f"value and result of subquery must be of the same type: {common_with} vs {column.type}"
        )
    converted = convert(Value(column.ref, column.type), kind)
    return (found.sql if converted.sql == column.ref else select_from(found, converted.sql)), kind


def in_subquery(c: Compiler, node: exp.In) -> Value:
    tree = node.args["query"]
    if isinstance(node.this, exp.Tuple) and len(node.this.expressions) > 1:
        return _row_in_subquery(c, node, tree)
    left = c.compile(node.this)
    sql, kind = one_column(c, tree, left.type)
    return Value(f"({convert(left, kind).sql} IN ({sql}))", BOOLEAN)


def _row_in_subquery(c: Compiler, node: exp.In, tree: exp.Expr) -> Value:
    left = [c.compile(part) for part in node.this.expressions]
    found = _compile(c, tree)
    if len(found.columns) != len(left):
        raise c.query.mismatch(node, "value and result of subquery must be of the same type: "
                               f"{make_row(left).type} vs row of {len(found.columns)} columns")  # fmt: skip
    pairs = []
    for value, column in zip(left, found.columns, strict=True):
        kind = common(value.type, column.type)
        if kind is None:
            raise c.query.mismatch(
                node, f"value and result of subquery must be of the same type: {value.type} vs {column.type}"
            )
        pairs.append((convert(value, kind).sql, convert(Value(column.ref, column.type), kind).sql))
    inner = select_from(found, ", ".join(b for _, b in pairs))
    return Value(f"(({', '.join(a for a, _ in pairs)}) IN ({inner}))", BOOLEAN)
