"""A function call as a rule sees it, and the registries of rules.

A rule takes a ``Call`` and returns a ``Value``; ``simple`` registers the many functions that are one of
DuckDB's
with the right argument types.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.errors import QueryError
from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value
from local_aws.athena.types import Type, converts

FunctionRule = Callable[["Call"], Value]
FUNCTIONS: dict[str, FunctionRule] = {}


@dataclass
class Call:
    """A call by name. Arguments are compiled when a rule asks for them, since a lambda needs its types
    first.
    """

    c: Compiler
    name: str
    node: exp.Expr
    nodes: list[exp.Expr]
    _values: dict[int, Value] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.nodes)

    def expect(self, *counts: int) -> None:
        """Refuse another number of arguments."""
        if self.count not in counts:
            raise self.unexpected()

    def unexpected(self) -> QueryError:
        shown = ", ".join(
            "function" if isinstance(n, exp.Lambda) else str(self.value(i).type)
            for i, n in enumerate(self.nodes)
        )
        return self.c.query.error(self.node, "FUNCTION_NOT_FOUND" if not self.nodes else "TYPE_MISMATCH",
                                  f"Unexpected parameters ({shown}) for function {self.name}")  # fmt: skip

    def value(self, i: int) -> Value:
        if i not in self._values:
            self._values[i] = self.c.compile(self.nodes[i])
        return self._values[i]

    def values(self) -> list[Value]:
        return [self.value(i) for i in range(self.count)]

    def arg(self, i: int, kind: Type) -> str:
        """SQL of an argument as ``kind``; refused when it does not convert."""
        value = self.value(i)
        if not converts(value.type, kind):
            raise self.unexpected()
        return convert(value, kind).sql

    def text(self, i: int) -> str:
        return self.arg(i, types.VARCHAR)

    def whole(self, i: int) -> str:
        return self.arg(i, types.BIGINT)

    def double(self, i: int) -> str:
        if self.value(i).type.base == "unknown" or self.value(i).type.is_numeric:
            return convert(self.value(i), types.DOUBLE).sql
        raise self.unexpected()

    def constant(self, i: int, what: str) -> str:
        """A string that the query spells out."""
        value = self.value(i)
        if not isinstance(value.constant, str):
            raise self.c.query.error(
                self.nodes[i],
                "NOT_SUPPORTED",
                f"{self.name} with {what} that is not a constant is not supported",
            )
        return value.constant

    def of(self, i: int, base: str) -> Value:
        """An argument that must be an array, a map, …; NULL is taken as one of unknown elements."""
        value = self.value(i)
        if value.type.base == "unknown" and base in ("array", "map"):
            items = (types.UNKNOWN,) if base == "array" else (types.UNKNOWN, types.UNKNOWN)
            return convert(value, Type(base, items=items))
        if value.type.base != base:
            raise self.unexpected()
        return value

    def lam(self, i: int, *kinds: Type) -> Value:
        """A lambda with parameters of the given types: ``sql`` is DuckDB's lambda, ``type`` that of its
        body.
        """
        names, body = self.body(i, *kinds)
        return Value(f"lambda {', '.join(names)}: {body.sql}", body.type)

    def body(self, i: int, *kinds: Type) -> tuple[list[str], Value]:
        """A lambda's parameter names in SQL and its compiled body."""
        node = self.nodes[i]
        if not isinstance(node, exp.Lambda) or len(node.expressions) != len(kinds):
            raise self.c.query.error(
                node, "TYPE_MISMATCH", f"a lambda of {len(kinds)} parameters expected in {self.name}"
            )
        level = len(self.c.lambdas)
        names = [f"p{level}_{place}" for place in range(len(kinds))]
        parameters = {
            parameter.name.lower(): Value(name, kind)
            for parameter, name, kind in zip(node.expressions, names, kinds, strict=True)
        }
        return names, self.c.nested(parameters).compile(node.this)


def function(*names: str) -> Callable[[FunctionRule], FunctionRule]:
    """Register a rule under each of ``names``."""

    def register(found: FunctionRule) -> FunctionRule:
        for name in names:
            FUNCTIONS[name] = found
        return found

    return register


def simple(name: str, signature: str, template: str) -> None:
    """A function whose SQL is ``template`` over its arguments.

    ``signature`` is ``varchar, bigint -> varchar``; several, for several argument lists, part by ``|``.
    """
    forms = []
    for form in signature.split("|"):
        left, right = form.split("->")
        arguments = [types.parse(a.strip()) for a in left.split(";")] if left.strip() else []
        forms.append((arguments, types.parse(right.strip())))

    def build(call: Call) -> Value:
        values = call.values()
        for arguments, result in forms:
            if len(arguments) == len(values) and all(
                converts(v.type, k) for v, k in zip(values, arguments, strict=True)
            ):
                sql = [convert(v, k).sql for v, k in zip(values, arguments, strict=True)]
                return Value(template.format(*sql), result)
        raise call.unexpected()

    FUNCTIONS[name] = build


@rule(exp.Anonymous)
def call_by_name(c: Compiler, node: exp.Anonymous) -> Value:
    return dispatch(c, node, node.name.lower(), list(node.expressions))


def dispatch(c: Compiler, node: exp.Expr, name: str, nodes: list[exp.Expr]) -> Value:
    """Compile a call of a scalar or aggregate function. Raises QueryError FUNCTION_NOT_FOUND."""
    from local_aws.athena.sql.functions import aggregates, windows

    if name in aggregates.AGGREGATES:
        return aggregates.aggregate(c, node, name, nodes)
    if name in windows.WINDOWS:
        raise c.query.error(node, "MISSING_OVER", f"Window function {name} requires an OVER clause")
    found = FUNCTIONS.get(name)
    if found is None:
        raise c.query.error(node, "FUNCTION_NOT_FOUND", f"Function '{name}' not registered")
    return found(Call(c, name, node, nodes))
