"""What the compiler passes around: typed values, columns, relations, scopes and the state of one query."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlglot import exp

from local_aws.athena.errors import QueryError, at
from local_aws.athena.types import Type, duck, literal


@dataclass(frozen=True)
class Value:
    """An expression in DuckDB's SQL with its Trino type. ``constant`` is its value where the query spells
    it out.

    ``keys`` is SQL of the keys of a map that is a JSON object, without making the map.
    """

    sql: str
    type: Type
    constant: Any = None
    keys: str | None = None


@dataclass
class Column:
    """A column of a relation. ``ref`` is its SQL; ``source`` the column of a scanned table that it simply
    passes on.

    ``optional`` says that an outer join may make it NULL.
    """

    name: str | None
    type: Type
    ref: str
    source: "Source | None" = None
    hidden: bool = False
    used: bool = False
    optional: bool = False
    carried: "Carried | None" = None


@dataclass
class Carried:
    """Something that a SELECT passes on beside a column, if anyone asks for it.

    Beside a text column of a table it is the list of the JSON extracted from it; beside a JSON object cast to
    a map it is the list of the object's keys. ``sql`` is what it is at this level, ``inner`` the same thing
    one level down where the column is just passed on.
    """

    number: int
    name: str
    sql: str
    inner: "Carried | None" = None
    asked: bool = False

    @property
    def placeholder(self) -> str:
        return f"/*carried {self.number}*/"

    @property
    def item(self) -> str:
        return f", {self.sql} AS {self.name}" if self.asked else ""

    def ask(self) -> None:
        """Have it passed on from where it comes from up to here."""
        carried: Carried | None = self
        while carried is not None:
            carried.asked = True
            carried = carried.inner


def beside(column: Column, name: str) -> str:
    """What is named ``name`` in the relation of a column."""
    return f"{column.ref.split('.')[0]}.{name}"


def extractions_name(column: Column) -> str:
    """The name of the list of JSON extracted from a text column of a scanned table."""
    assert column.source is not None
    return column.source.scan.extractions_name(column.source.index)


@dataclass(frozen=True)
class Source:
    """A column of a scanned table, by position."""

    scan: "ScanLike"
    index: int


class ScanLike(Protocol):
    """A table that a query reads, as far as the compiler needs to know."""

    alias: str

    def extraction(self, index: int, path: str) -> int:
        """The place, from 1, of the JSON at ``path`` in the list of all that is extracted from a column."""
        ...

    def extractions_name(self, index: int) -> str: ...

    def restrict(self, condition: str, indexes: set[int], *, optional: bool) -> None:
        """Remember a condition on partition columns alone; ``optional`` when rows may be made up of NULLs."""
        ...

    def compare(self, index: int, sign: str, constants: list[str]) -> None:
        """A condition of one column against constants, by which files may be left out."""
        ...

    def is_partition_column(self, index: int) -> bool: ...


@dataclass
class Relation:
    """One item of FROM. ``name`` is what qualifies its columns."""

    name: str | None
    columns: list[Column]
    schema: str | None = None


@dataclass
class Scope:
    """The names an expression sees, and around it those of the query it stands in."""

    relations: list[Relation] = field(default_factory=list)
    parent: "Scope | None" = None
    ctes: dict[str, "Cte"] = field(default_factory=dict)
    aliases: dict[str, Value] = field(default_factory=dict)
    merged: dict[str, Column] = field(default_factory=dict)

    def chain(self) -> Iterator["Scope"]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def cte(self, name: str) -> "Cte | None":
        for scope in self.chain():
            if name in scope.ctes:
                return scope.ctes[name]
        return None


@dataclass(frozen=True)
class Cte:
    """A named query of WITH: compiled anew where it is used, as Trino does."""

    tree: exp.Expr
    columns: tuple[str, ...]
    scope: Scope


@dataclass
class Query:
    """The state of one query's compilation."""

    text: str
    catalog: Any
    started: datetime
    scans: list[Any] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    depth: int = 0
    _count: int = 0

    def fresh(self, prefix: str) -> str:
        """A name that nothing else in this query has."""
        self._count += 1
        return f"{prefix}{self._count}"

    def error(self, node: exp.Expr | None, name: str, message: str) -> QueryError:
        """An error at a node's place."""
        return at(self.text, start_of(node), name, message)

    def mismatch(self, node: exp.Expr | None, message: str) -> QueryError:
        return self.error(node, "TYPE_MISMATCH", message)


def start_of(node: exp.Expr | None) -> int | None:
    """Where a node begins in the text: its own place or the first of what it holds."""
    if node is None:
        return None
    starts = [n.meta["start"] for n in node.walk() if "start" in n.meta]
    return min(starts) if starts else None


def null(kind: Type) -> Value:
    return Value(f"CAST(NULL AS {duck(kind)})", kind)


def string(text: str) -> Value:
    return Value(literal(text), Type("varchar", (len(text),)), text)


def failure(message: str) -> str:
    """SQL that fails with ``message`` (itself SQL of a string) when it is evaluated, and has no type of
    its own.

    A failing cast rather than DuckDB's ``error``, which may not stand inside TRY.
    """
    return f"fail({message})"


def fail(name: str, message: str, *parts: str) -> str:
    """SQL that fails as ``NAME: message``; ``{}`` in the message take the SQL strings ``parts``."""
    pieces = message.split("{}")
    sql = [literal(f"!{name}: {pieces[0]}")]
    for piece, part in zip(pieces[1:], parts, strict=True):
        sql += [f"coalesce(CAST({part} AS VARCHAR), 'null')", literal(piece)]
    return failure(" || ".join(sql) if len(sql) > 1 else sql[0])


_VARIES = re.compile(r"\b(t\d+\.|p\d+_\d+)")


def attempt(sql: str) -> str:
    """SQL that is NULL where ``sql`` fails.

    DuckDB moves an expression that stands twice inside TRY in front of it, where it fails: numbers make the
    failures different. And it folds a failing constant before TRY can catch it, so what holds no column is
    given one.
    """
    numbers = itertools.count(1)
    constant = "" if _VARIES.search(sql) or "fail(" not in sql else "o.e || "
    numbered = re.sub(r"\bfail\(", lambda _: f"fail_at({next(numbers)}, {constant}", sql)
    return f"(SELECT TRY({numbered}) FROM (VALUES ('')) AS o(e))" if constant else f"TRY({numbered})"


_SIMPLE = re.compile(r"[\w.]+|'[^']*'|CAST\((\w+|'[^']*') AS [\w() ,]+\)|\[[^()]*\]")


def let(body: Callable[..., str], *parts: str) -> str:
    """SQL of ``body`` over ``parts``, each of which is computed once a row.

    A lambda computes what it captures once an element, so what is more than a name or a constant is bound
    first.
    """
    if all(_SIMPLE.fullmatch(part) for part in parts):
        return body(*parts)
    fields = ", ".join(f"a{i} := {part}" for i, part in enumerate(parts))
    bound = body(*(f"z.a{i}" for i in range(len(parts))))
    return f"list_extract(list_transform([struct_pack({fields})], lambda z: {bound}), 1)"
