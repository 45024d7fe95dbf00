"""Maps (https://trino.io/docs/current/functions/map.html)."""

from local_aws.athena import types
from local_aws.athena.sql.compiler import convert
from local_aws.athena.sql.core import Value, beside
from local_aws.athena.sql.functions.call import Call, function
from local_aws.athena.types import array, common, duck, map_of


def build(keys: str, values: str) -> str:
    """A map from two lists; a key twice fails, as ``map``'s own error says."""
    return f"map({keys}, {values})"


@function("map")
def map_(call: Call) -> Value:
    call.expect(0, 2)
    if call.count == 0:
        return Value("CAST(map([], []) AS MAP(INTEGER, INTEGER))", map_of(types.UNKNOWN, types.UNKNOWN))
    keys, values = call.of(0, "array"), call.of(1, "array")
    nulls = f"{keys.sql} IS NULL OR {values.sql} IS NULL"
    return Value(
        f"(CASE WHEN {nulls} THEN NULL ELSE {build(keys.sql, values.sql)} END)",
        map_of(keys.type.element, values.type.element),
    )


@function("map_keys")
def map_keys(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "map")
    kind = array(value.type.items[0])
    if value.keys is not None:
        return Value(value.keys, kind)
    column = call.c.plain_column(call.nodes[0])
    if column is not None and column.carried is not None:
        column.carried.ask()
        return Value(beside(column, column.carried.name), kind)
    return Value(f"map_keys({value.sql})", kind)


@function("map_values")
def map_values(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "map")
    return Value(f"map_values({value.sql})", array(value.type.items[1]))


@function("map_entries")
def map_entries(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "map")
    kind = types.row((None, None), value.type.items)
    return Value(
        f"list_transform(map_entries({value.sql}), lambda e: struct_pack(field0 := e.key, field1 := "
        f"e.value))",
        array(kind),
    )


@function("map_from_entries")
def map_from_entries(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "array")
    row = value.type.element
    if row.base != "row" or len(row.items) != 2:
        raise call.unexpected()
    first, second = (types.literal(types.field_name(row, i)) for i in (0, 1))
    keys = f"list_transform({value.sql}, lambda e: struct_extract(e, {first}))"
    values = f"list_transform({value.sql}, lambda e: struct_extract(e, {second}))"
    return Value(
        f"(CASE WHEN {value.sql} IS NULL THEN NULL ELSE {build(keys, values)} END)", map_of(*row.items)
    )


@function("map_concat")
def map_concat(call: Call) -> Value:
    kind = call.of(0, "map").type
    for i in range(1, call.count):
        shared = common(kind, call.of(i, "map").type)
        if shared is None:
            raise call.unexpected()
        kind = shared
    parts = [convert(call.value(i), kind).sql for i in range(call.count)]
    nulls = " OR ".join(f"{p} IS NULL" for p in parts)
    return Value(f"(CASE WHEN {nulls} THEN NULL ELSE map_concat({', '.join(parts)}) END)", kind)


def _rebuilt(value: Value, pairs: str, kind: types.Type) -> Value:
    """A map from changed entries, each a struct k, v."""
    keys = f"list_transform({pairs}, lambda e: e.k)"
    values = f"list_transform({pairs}, lambda e: e.v)"
    return Value(
        f"(CASE WHEN {value.sql} IS NULL THEN NULL ELSE CAST({build(keys, values)} AS {duck(kind)}) END)",
        kind,
    )


def _bound(names: list[str], body: str) -> str:
    """The body with the lambda's two parameters taken from the entry ``n``."""
    level = names[0].split("_", maxsplit=1)[0]
    return (
        f"list_extract(list_transform([{level}n.key], lambda {names[0]}: "
        f"list_extract(list_transform([{level}n.value], lambda {names[1]}: {body}), 1)), 1)"
    )


@function("map_filter")
def map_filter(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "map")
    names, body = call.body(1, *value.type.items)
    level = names[0].split("_", maxsplit=1)[0]
    kept = f"list_filter(map_entries({value.sql}), lambda {level}n: {_bound(names, body.sql)})"
    pairs = f"list_transform({kept}, lambda e: struct_pack(k := e.key, v := e.value))"
    return _rebuilt(value, pairs, value.type)


@function("transform_values", "transform_keys")
def transform_values(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "map")
    names, body = call.body(1, *value.type.items)
    level = names[0].split("_", maxsplit=1)[0]
    new = _bound(names, body.sql)
    of_keys = call.name == "transform_keys"
    pack = (
        f"struct_pack(k := {new if of_keys else f'{level}n.key'}, v := "
        f"{f'{level}n.value' if of_keys else new})"
    )
    kind = map_of(body.type, value.type.items[1]) if of_keys else map_of(value.type.items[0], body.type)
    return _rebuilt(value, f"list_transform(map_entries({value.sql}), lambda {level}n: {pack})", kind)


@function("map_zip_with", "multimap_from_entries")
def unsupported(call: Call) -> Value:
    raise call.c.query.error(call.node, "NOT_SUPPORTED", f"{call.name} is not supported")
