"""FROM: tables, views, subqueries, joins and UNNEST."""

import re

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.catalog import Table
from local_aws.athena.errors import QueryError
from local_aws.athena.sql.compiler import Compiler, convert
from local_aws.athena.sql.core import Column, Query, Relation, Scope, Value
from local_aws.athena.sql.queries import Compiled, compile_query
from local_aws.athena.types import BIGINT, Type, common


def compile_from(q: Query, tree: exp.Select, scope: Scope) -> str:
    """The FROM clause with its joins; fills ``scope`` with the relations."""
    clause = tree.args.get("from_")
    if clause is None:
        return ""
    joins = tree.args.get("joins") or []
    if tree.args.get("sample"):  # sqlglot hangs on the query what stands behind VALUES or UNNEST
        (joins[-1] if joins else clause).this.set("sample", tree.args["sample"])
    sql = _item(q, clause.this, scope)
    for join in joins:
        sql = _join(q, join, sql, scope)
    return sql


# -- the items -------------------------------------------------------------------------------------


def _item(q: Query, node: exp.Expr, scope: Scope) -> str:
    """One item of FROM, and the joins that hang on it."""
    if isinstance(node, exp.Table):
        sql = _table(q, node, scope)
    elif isinstance(node, exp.Unnest):
        sql = "(" + _unnest(q, node, scope) + ")" + _last_alias(scope) + _sample(q, node)
    elif isinstance(node, exp.Lateral):
        inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
        sql = "LATERAL " + _derived(q, compile_query(q, inner, scope), node, scope)
    elif isinstance(node, exp.Values):
        bare = node.copy()
        bare.set("alias", None)
        bare.set("sample", None)
        sql = _derived(q, compile_query(q, bare, _outer(scope)), node, scope) + _sample(q, node)
    elif isinstance(node, exp.Subquery):
        sql = _parenthesis(q, node, scope)
    else:
        raise q.error(node, "NOT_SUPPORTED", f"{node.key.upper()} in FROM is not supported")
    for join in node.args.get("joins") or []:
        sql = _join(q, join, sql, scope)
    return sql


def _outer(scope: Scope) -> Scope:
    """What a subquery in FROM sees: the queries around and the WITH of its own, not its neighbours."""
    return Scope(parent=scope.parent, ctes=scope.ctes)


def _parenthesis(q: Query, node: exp.Subquery, scope: Scope) -> str:
    inner = node.this
    if isinstance(inner, exp.Table | exp.Unnest | exp.Values) and not node.alias:
        return f"({_item(q, inner, scope)})"
    if isinstance(inner, exp.Subquery) and inner.args.get("joins"):
        return f"({_item(q, inner, scope)})"
    bare = node.copy()
    for name in ("alias", "joins", "sample"):
        bare.set(name, None)
    return _derived(q, compile_query(q, bare, _outer(scope)), node, scope) + _sample(q, node)


def _sample(q: Query, node: exp.Expr) -> str:
    sample = node.args.get("sample")
    if sample is None:
        return ""
    percent = sample.args.get("percent")
    method = str(sample.args.get("method") or "").lower()
    if percent is None or method not in ("bernoulli", "system"):
        raise q.error(node, "NOT_SUPPORTED", "TABLESAMPLE other than BERNOULLI or SYSTEM is not supported")
    return f" TABLESAMPLE {percent.sql()} PERCENT (bernoulli)"


def _derived(q: Query, compiled: Compiled, node: exp.Expr, scope: Scope) -> str:
    alias = q.fresh("t")
    columns = [
        Column(c.name, c.type, f"{alias}.{c.ref}", c.source, optional=c.optional, carried=c.carried)
        for c in compiled.columns
    ]
    relation = Relation(_alias_name(node), columns)
    _rename(q, node, relation)
    scope.relations.append(relation)
    return f"({compiled.sql}) AS {alias}"


def _alias_name(node: exp.Expr) -> str | None:
    return node.alias.lower() if node.alias else None


def _rename(q: Query, node: exp.Expr, relation: Relation) -> None:
    """``AS t(a, b)``."""
    alias = node.args.get("alias")
    names = (
        [c.name.lower() for c in (alias.args.get("columns") or [])]
        if isinstance(alias, exp.TableAlias)
        else []
    )
    if not names:
        return
    visible = [c for c in relation.columns if not c.hidden]
    if len(names) != len(visible):
        raise q.error(
            node,
            "MISMATCHED_COLUMN_ALIASES",
            f"Column alias list has {len(names)} entries but '{relation.name}' has {len(visible)} "
            f"columns available",
        )
    for column, name in zip(visible, names, strict=True):
        column.name = name
    relation.columns = visible


_KNOWN = {"this", "db", "catalog", "alias", "joins", "sample", "version", "when"}


def _table(q: Query, node: exp.Table, scope: Scope) -> str:
    for clause, given in node.args.items():
        if given and clause not in _KNOWN:
            raise q.error(node, "NOT_SUPPORTED", f"{clause.upper()} is not supported")
    name, schema = node.name.lower(), node.db.lower() or None
    if isinstance(node.this, exp.Anonymous | exp.Func):
        raise q.error(node, "NOT_SUPPORTED", "a table function is not supported")
    cte = scope.cte(name) if schema is None else None
    if cte is not None:
        compiled = compile_query(q, cte.tree, cte.scope)
        for column, given in zip(compiled.columns, cte.columns, strict=False):
            column.name = given
        sql = _derived(q, compiled, node, scope)
        scope.relations[-1].name = _alias_name(node) or name
        return sql + _sample(q, node)
    if node.args.get("version") or node.args.get("when"):
        raise q.error(node, "NOT_SUPPORTED", "FOR TIMESTAMP AS OF and FOR VERSION AS OF are not supported")
    found = q.catalog.find(schema, name, node.catalog.lower() or None)
    if found is None:
        shown = f"awsdatacatalog.{schema or q.catalog.database}.{name}"
        raise q.error(node, "TABLE_NOT_FOUND", f"Table '{shown}' does not exist")
    sql = _scan(q, found, scope) if found.view is None else _view(q, found, node, scope)
    relation = scope.relations[-1]
    relation.name = _alias_name(node) or name
    relation.schema = None if node.alias else (schema or q.catalog.database)
    _rename(q, node, relation)
    return sql + _sample(q, node)


def _view(q: Query, found: Table, node: exp.Table, scope: Scope) -> str:
    from local_aws.athena.sql.parser import parse_query

    text = found.view or ""
    before, q.text, catalog = q.text, text, q.catalog
    q.catalog = q.catalog.seen_from(found.schema)  # a view's names are its schema's
    try:
        compiled = compile_query(q, parse_query(text), None)
    except QueryError as error:
        raise QueryError(
            "INVALID_VIEW", f"Failed analyzing stored view '{node.name}': {error.message}"
        ) from None
    finally:
        q.text, q.catalog = before, catalog
    return _derived(q, compiled, node, scope)


def _scan(q: Query, found: Table, scope: Scope) -> str:
    from local_aws.athena.scan.tables import Scan

    scan = Scan(found, q.fresh("t"), len(q.scans))
    q.scans.append(scan)
    scope.relations.append(Relation(None, scan.columns(q)))
    return f"{scan.placeholder} AS {scan.alias}"


# -- UNNEST ----------------------------------------------------------------------------------------


def _last_alias(scope: Scope) -> str:
    return " AS " + scope.relations[-1].columns[0].ref.split(".")[0]


def _unnest(q: Query, node: exp.Unnest, scope: Scope) -> str:
    """``UNNEST(array, map, …) WITH ORDINALITY``: side by side, the shorter filled up with NULLs."""
    compiler = Compiler(q, scope)
    values = [compiler.compile(n) for n in node.expressions]
    alias = q.fresh("t")
    inner: list[str] = []
    outer: list[str] = []
    columns: list[Column] = []

    def add(kind: Type, sql: str) -> None:
        name = q.fresh("c")
        columns.append(Column(None, kind, f"{alias}.{name}"))
        outer.append(f"{sql} AS {name}")

    for value, argument in zip(values, node.expressions, strict=True):
        slot = q.fresh("u")
        if value.type.base == "map":
            inner += [
                f"unnest(map_keys({value.sql})) AS {slot}k",
                f"unnest(map_values({value.sql})) AS {slot}v",
            ]
            add(value.type.items[0], f"{slot}k")
            add(value.type.items[1], f"{slot}v")
        elif value.type.base == "array":
            inner.append(f"unnest({value.sql}) AS {slot}")
            _add_elements(value.type.element, slot, add)
        else:
            raise q.mismatch(argument, f"Cannot unnest type: {value.type}")
    offset = node.args.get("offset")
    if offset:
        lengths = [
            f"coalesce({'cardinality' if v.type.base == 'map' else 'len'}({v.sql}), 0)" for v in values
        ]
        inner.append(f"unnest(range(1, 1 + greatest({', '.join(lengths)}, 0))) AS {alias}n")
        add(BIGINT, f"{alias}n")
    relation = Relation(_alias_name(node), columns)
    _name_unnested(q, node, relation, offset)
    scope.relations.append(relation)
    return f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)})"


def _add_elements(element: Type, slot: str, add: object) -> None:
    if element.base != "row":
        add(element, slot)  # type: ignore[operator]  # the closure above
        return
    for i, item in enumerate(element.items):
        add(item, f"struct_extract({slot}, {types.literal(types.field_name(element, i))})")  # type: ignore[operator]


def _name_unnested(q: Query, node: exp.Unnest, relation: Relation, offset: object) -> None:
    alias = node.args.get("alias")
    names = [c.name.lower() for c in (alias.args.get("columns") or [])] if alias is not None else []
    if isinstance(offset, exp.Identifier):
        names.append(offset.name.lower())
    if not names:
        return
    if len(names) != len(relation.columns):
        raise q.error(
            node,
            "MISMATCHED_COLUMN_ALIASES",
            f"Column alias list has {len(names)} entries but '{relation.name}' has "
            f"{len(relation.columns)} columns available",
        )
    for column, name in zip(relation.columns, names, strict=True):
        column.name = name


# -- joins -----------------------------------------------------------------------------------------


def _join(q: Query, join: exp.Join, left: str, scope: Scope) -> str:
    side, kind = (join.side or "").upper(), (join.kind or "").upper()
    if join.method or kind in ("SEMI", "ANTI") or join.args.get("match_condition"):
        raise q.error(join, "NOT_SUPPORTED", f"{join.method or kind} JOIN is not supported")
    before = len(scope.relations)
    lateral = isinstance(join.this, exp.Unnest | exp.Lateral)
    right = _item(q, join.this, scope)
    if isinstance(join.this, exp.Unnest):
        right = f"LATERAL {right}"
    condition, using = join.args.get("on"), join.args.get("using")
    joined = scope.relations[before:]
    if using:
        on = _using(q, join, using, scope, before)
    elif condition is not None:
        on = Compiler(q, scope).as_boolean(condition, "JOIN ON clause").sql
        _push_join(q, side, condition, scope, before)
    else:
        on = None
    _mark_optional(side, scope, before)
    if on is None and not side:
        return f"{left} CROSS JOIN {right}"
    if on is None:
        raise q.error(join, "SYNTAX_ERROR", f"{side} JOIN expects ON or USING")
    if lateral and side in ("RIGHT", "FULL"):
        raise q.error(join, "NOT_SUPPORTED", f"{side} JOIN with UNNEST is not supported")
    assert joined
    if not lateral and not any(r.columns for r in joined):
        raise q.error(join, "NOT_SUPPORTED", "a join with a relation of no columns is not supported")
    return f"{left} {side + ' ' if side else ''}JOIN {right} ON {on}"


def _using(q: Query, join: exp.Join, names: list[exp.Expr], scope: Scope, before: int) -> str:
    """``USING (a, b)``: the columns of both sides become one."""
    parts = []
    left = Compiler(q, Scope(relations=scope.relations[:before], merged=dict(scope.merged)))
    right = Compiler(q, Scope(relations=scope.relations[before:]))
    for name in names:
        column = exp.column(exp.to_identifier(name.name))
        a, b = left.resolve([column.this], name), right.resolve([column.this], name)
        kind = common(a.type, b.type)
        if kind is None:
            raise q.mismatch(name, f"Column types for '{name.name}' are incompatible: {a.type}, {b.type}")
        one, two = convert(a, kind).sql, convert(b, kind).sql
        parts.append(f"{one} = {two}")
        side = (join.side or "").upper()
        sql = {"": one, "LEFT": one, "RIGHT": two, "FULL": f"coalesce({one}, {two})"}[side]
        scope.merged[name.name.lower()] = Column(name.name.lower(), kind, sql)
    return "(" + " AND ".join(parts) + ")"


# -- conditions that choose partitions -------------------------------------------------------------

_REFERENCE = re.compile(r"\bt\d+\.[a-z]\w*")


def _mark_optional(side: str, scope: Scope, before: int) -> None:
    """An outer join makes up rows of NULLs for one side or both."""
    made_up: list[Relation] = []
    if side in ("LEFT", "FULL"):
        made_up += scope.relations[before:]
    if side in ("RIGHT", "FULL"):
        made_up += scope.relations[:before]
    for relation in made_up:
        for column in relation.columns:
            column.optional = True


def push_conditions(q: Query, scope: Scope, condition: exp.Expr) -> None:
    """Tell scanned tables which conditions of WHERE are on their partition columns alone."""
    for part in condition.flatten(unnest=True) if isinstance(condition, exp.And) else [condition]:
        _push(q, scope, part, scope.relations)


def _push_join(q: Query, side: str, condition: exp.Expr, scope: Scope, before: int) -> None:
    allowed = {"": scope.relations, "LEFT": scope.relations[before:], "RIGHT": scope.relations[:before]}.get(
        side, []
    )
    for part in condition.flatten(unnest=True) if isinstance(condition, exp.And) else [condition]:
        _push(q, scope, part, allowed)


_SIGNS: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.In: "IN",
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _push_comparison(q: Query, scope: Scope, part: exp.Expr, allowed: list[Relation]) -> None:
    """``column sign constant``, ``constant sign column`` and ``column IN (constants)``."""
    sign = _SIGNS.get(type(part))
    if sign is None:
        return
    sides = [part.this, *(part.expressions if sign == "IN" else [part.expression])]
    if len(sides) == 2 and not isinstance(sides[0], exp.Column):
        sides, sign = sides[::-1], _TURNED.get(sign, sign)
    column = Compiler(q, scope).plain_column(sides[0])
    if column is None or column.source is None or column.optional:
        return
    if not any(column is c for r in allowed for c in r.columns):
        return
    compiler = Compiler(q, scope)
    values = [compiler.compile(side) for side in sides[1:]]
    if compiler.used or any(common(v.type, column.type) != column.type for v in values):
        return
    column.source.scan.compare(column.source.index, sign, [convert(v, column.type).sql for v in values])


def _push(q: Query, scope: Scope, part: exp.Expr, allowed: list[Relation]) -> None:
    if any(isinstance(n, exp.Query | exp.Subquery) for n in part.walk()):
        return
    compiler = Compiler(q, scope)
    value = compiler.compile(part)
    sources = [column.source for column in compiler.used]
    if not sources or any(s is None for s in sources):
        return
    known = [s for s in sources if s is not None]
    scan = known[0].scan
    _push_comparison(q, scope, part, allowed)
    if any(s.scan is not scan or not scan.is_partition_column(s.index) for s in known):
        return
    if not all(any(column is c for r in allowed for c in r.columns) for column in compiler.used):
        return
    places = {column.ref: s.index for column, s in zip(compiler.used, known, strict=True)}

    def renamed(match: "re.Match[str]") -> str:
        place = places.get(match.group())
        return match.group() if place is None else f"p{place}"

    sql = _REFERENCE.sub(renamed, value.sql)
    scan.restrict(sql, {s.index for s in known}, optional=any(c.optional for c in compiler.used))


__all__ = ["Value", "compile_from", "push_conditions"]
