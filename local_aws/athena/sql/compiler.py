"""The compiler of expressions: dispatch, name resolution and conversion. The rules stand in the modules
around.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.errors import QueryError
from local_aws.athena.sql.core import (
    Column,
    Query,
    Relation,
    Scope,
    Value,
    beside,
    extractions_name,
)
from local_aws.athena.types import Type, common, converts, duck, quote

Rule = Callable[["Compiler", Any], Value]
RULES: dict[type[exp.Expr], Rule] = {}


def rule(*nodes: type[exp.Expr]) -> Callable[[Rule], Rule]:
    """Register how a kind of node is compiled."""

    def register(function: Rule) -> Rule:
        for node in nodes:
            RULES[node] = function
        return function

    return register


class Compiler:
    """Compiles expressions that stand in ``scope``; ``lambdas`` are the parameters of the lambdas around."""

    def __init__(self, query: Query, scope: Scope, lambdas: tuple[dict[str, Value], ...] = ()) -> None:
        self.query = query
        self.scope = scope
        self.lambdas = lambdas
        self.windows: dict[str, exp.Window] = {}
        self.used: list[Column] = []

    def compile(self, node: exp.Expr) -> Value:
        found = RULES.get(type(node))
        if found is None:
            raise self.query.error(
                node, "NOT_SUPPORTED", f"{node.key.upper()} is not supported: {node.sql('trino')[:100]}"
            )
        return found(self, node)

    def nested(self, parameters: dict[str, Value]) -> "Compiler":
        """A compiler for a lambda's body."""
        inner = Compiler(self.query, self.scope, (*self.lambdas, parameters))
        inner.windows, inner.used = self.windows, self.used
        return inner

    # -- types -------------------------------------------------------------------------------------

    def coerce(self, value: Value, kind: Type, node: exp.Expr | None = None) -> Value:
        """The value as ``kind``, if it converts by itself. Raises QueryError TYPE_MISMATCH."""
        if not converts(value.type, kind):
            raise self.query.mismatch(node, f"Cannot convert {value.type} to {kind}")
        return convert(value, kind)

    def as_boolean(self, node: exp.Expr, where: str) -> Value:
        value = self.compile(node)
        if value.type.base not in ("boolean", "unknown"):
            raise self.query.mismatch(node, f"{where} must evaluate to a boolean: actual type {value.type}")
        return convert(value, types.BOOLEAN)

    def unify(self, nodes: list[exp.Expr], what: str) -> tuple[list[Value], Type]:
        """Compile ``nodes`` and convert all to their common type. ``what`` words the error."""
        values = [self.compile(node) for node in nodes]
        kind = types.UNKNOWN
        for value, node in zip(values, nodes, strict=True):
            shared = common(kind, value.type)
            if shared is None:
                said = f"{what} must be the same type or coercible to a common type. Cannot find common type"
                every = f"all types (without duplicates): {_listed(values)}"
                raise self.query.mismatch(node, f"{said} between {kind} and {value.type}, {every}")
            kind = shared
        return [convert(value, kind) for value in values], kind

    # -- names -------------------------------------------------------------------------------------

    def resolve(self, parts: list[exp.Expr], node: exp.Expr) -> Value:
        """The column, or the field of one, that a dotted name means. Raises QueryError COLUMN_NOT_FOUND."""
        names = [str(part.name).lower() for part in parts]
        for parameters in reversed(self.lambdas):
            if names[0] in parameters:
                return self.fields(parameters[names[0]], parts[1:])
        for scope in self.scope.chain():
            if scope is self.scope and len(names) == 1 and names[0] in scope.aliases:
                return scope.aliases[names[0]]
            found = self._find(scope, names, node)
            if found is not None:
                column, used = found
                return self.fields(self.reference(column), parts[used:])
        shown = ".".join(names)
        raise self.unresolved(node, shown)

    def unresolved(self, node: exp.Expr, name: str) -> QueryError:
        said = "cannot be resolved or requester is not authorized to access requested resources"
        return self.query.error(node, "COLUMN_NOT_FOUND", f"Column '{name}' {said}")

    def reference(self, column: Column) -> Value:
        column.used = True
        self.used.append(column)
        return Value(column.ref, column.type)

    def _find(self, scope: Scope, names: list[str], node: exp.Expr) -> tuple[Column, int] | None:
        """The column and how many of the names it took."""
        for taken in (3, 2):
            if len(names) >= taken:
                owners = [r for r in scope.relations if _is_named(r, names[: taken - 1])]
                matches = [c for r in owners for c in r.columns if c.name == names[taken - 1]]
                if matches:
                    return self._only(matches, names[:taken], node), taken
        if names[0] in scope.merged:
            return scope.merged[names[0]], 1
        matches = [c for r in scope.relations for c in r.columns if c.name == names[0]]
        return (self._only(matches, names[:1], node), 1) if matches else None

    def _only(self, matches: list[Column], names: list[str], node: exp.Expr) -> Column:
        if len(matches) > 1:
            raise self.query.error(node, "AMBIGUOUS_NAME", f"Column '{'.'.join(names)}' is ambiguous")
        return matches[0]

    def fields(self, value: Value, parts: list[exp.Expr]) -> Value:
        """Descend into the fields of rows."""
        for part in parts:
            name = part.name.lower()
            if value.type.base != "row":
                raise self.query.mismatch(part, f"Expression {name} is not of type ROW")
            labels = [types.field_name(value.type, i).lower() for i in range(len(value.type.items))]
            if name not in labels:
                raise self.unresolved(part, name)
            position = labels.index(name)
            label = types.field_name(value.type, position)
            value = Value(f"struct_extract({value.sql}, {types.literal(label)})", value.type.items[position])
        return value

    def plain_column(self, node: exp.Expr) -> Column | None:
        """The column of this query level that a node simply is."""
        if not isinstance(node, exp.Column) or self.lambdas:
            return None
        names = [str(part.name).lower() for part in node.parts]
        if names[0] in self.scope.aliases:
            return None
        found = self._find(self.scope, names, node)
        return found[0] if found is not None and found[1] == len(names) else None

    def extracted(self, node: exp.Expr, path: str) -> str | None:
        """SQL of the JSON at ``path`` of a text column straight from a table; None for any other."""
        column = self.plain_column(node)
        if column is None or column.source is None:
            return None
        self.reference(column)
        if column.carried is not None:
            column.carried.ask()
        place = column.source.scan.extraction(column.source.index, path)
        return f"{beside(column, extractions_name(column))}[{place}]"


def _is_named(relation: Relation, qualifier: list[str]) -> bool:
    if len(qualifier) == 1:
        return relation.name == qualifier[0]
    return relation.name == qualifier[1] and relation.schema == qualifier[0]


def _listed(values: list[Value]) -> str:
    return "[" + ", ".join(dict.fromkeys(str(v.type) for v in values)) + "]"


def convert(value: Value, kind: Type) -> Value:
    """A value whose conversion to ``kind`` can't fail, converted."""
    if duck(value.type) == duck(kind) and value.type.base != "unknown":
        return Value(value.sql, kind, value.constant)
    if value.type.base == "row" and kind.base == "row":
        return _convert_row(value, kind)
    if value.type.base == "array" and _renames(value.type, kind):
        inner = convert(Value("e", value.type.element), kind.element)
        return Value(f"list_transform({value.sql}, lambda e: {inner.sql})", kind)
    if value.type.base == "char" and kind.base == "varchar":
        return Value(value.sql, kind, value.constant)
    return Value(f"CAST({value.sql} AS {duck(kind)})", kind, value.constant)


def _renames(source: Type, target: Type) -> bool:
    return any(item.base == "row" for item in source.items) and source != target


def _convert_row(value: Value, kind: Type) -> Value:
    """Rows convert by position: DuckDB would go by name."""
    fields = []
    for i, (source, target) in enumerate(zip(value.type.items, kind.items, strict=True)):
        label = types.literal(types.field_name(value.type, i))
        inner = convert(Value(f"struct_extract({value.sql}, {label})", source), target)
        fields.append(f"{quote(types.field_name(kind, i))} := {inner.sql}")
    return Value(f"(CASE WHEN {value.sql} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END)", kind)
