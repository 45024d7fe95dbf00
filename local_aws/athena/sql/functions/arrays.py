"""Arrays (https://trino.io/docs/current/functions/array.html) and the lambdas over them."""

from local_aws.athena import types
from local_aws.athena.output.render import render
from local_aws.athena.sql.compiler import convert
from local_aws.athena.sql.core import Value, fail, let
from local_aws.athena.sql.functions.call import Call, function
from local_aws.athena.types import BIGINT, BOOLEAN, DOUBLE, VARCHAR, Type, array, common, duck


@function("cardinality")
def cardinality(call: Call) -> Value:
    call.expect(1)
    value = call.value(0)
    if value.type.base == "map":
        return Value(f"CAST(cardinality({value.sql}) AS BIGINT)", BIGINT)
    return Value(f"len({call.of(0, 'array').sql})", BIGINT)


def _element(call: Call, i: int, element: Type) -> tuple[str, Type]:
    """An argument and an array's element as their common type."""
    kind = common(call.value(i).type, element)
    if kind is None:
        raise call.unexpected()
    return convert(call.value(i), kind).sql, kind


@function("contains")
def contains(call: Call) -> Value:
    """NULL when the element is not found but a NULL is there."""
    call.expect(2)
    value = call.of(0, "array")
    item, kind = _element(call, 1, value.type.element)
    items = convert(value, array(kind)).sql
    known = isinstance(call.value(1).constant, str | int | float)
    check = "" if known else f"WHEN {item} IS NULL THEN NULL "
    missing = f"(CASE WHEN len(list_filter({items}, lambda e: e IS NULL)) > 0 THEN NULL ELSE FALSE END)"
    found = f"WHEN list_contains({items}, {item}) THEN TRUE"
    return Value(f"(CASE WHEN {items} IS NULL THEN NULL {check}{found} ELSE {missing} END)", BOOLEAN)


@function("element_at")
def element_at(call: Call) -> Value:
    """NULL beyond the ends; negative counts from the end; a map's value or NULL."""
    call.expect(2)
    value = call.value(0)
    if value.type.base == "map":
        key, _ = _element(call, 1, value.type.items[0])
        return Value(f"map_extract_value({value.sql}, {key})", value.type.items[1])
    items, index = call.of(0, "array"), call.whole(1)
    zero = fail("INVALID_FUNCTION_ARGUMENT", "SQL array indices start at 1")
    plain = f"list_extract({items.sql}, {index})"
    if isinstance(call.value(1).constant, int) and call.value(1).constant != 0:
        return Value(plain, items.type.element)
    return Value(f"(CASE WHEN {index} = 0 THEN {zero} ELSE {plain} END)", items.type.element)


@function("array_distinct")
def array_distinct(call: Call) -> Value:
    """In the order of first appearance, a NULL kept."""
    call.expect(1)
    value = call.of(0, "array")
    return Value(_distinct(value.sql), value.type)


def _distinct(items: str) -> str:
    def once(a: str) -> str:
        first_null = f"i = list_position(list_transform({a}, lambda n: n IS NULL), TRUE)"
        return (
            f"list_filter({a}, lambda e, i: CASE WHEN e IS NULL THEN {first_null} ELSE i = "
            f"list_position({a}, e) END)"
        )

    return let(once, items)


def _two_arrays(call: Call) -> tuple[str, str, Type]:
    call.expect(2)
    kind = common(call.of(0, "array").type, call.of(1, "array").type)
    if kind is None:
        raise call.unexpected()
    return convert(call.value(0), kind).sql, convert(call.value(1), kind).sql, kind


@function("array_except", "array_intersect")
def array_except(call: Call) -> Value:
    """Each element once, in the order of the first array."""
    a, b, kind = _two_arrays(call)
    no = "NOT " if call.name == "array_except" else ""

    def kept(a: str, b: str) -> str:
        first_null = f"i = list_position(list_transform({a}, lambda n: n IS NULL), TRUE)"
        null = f"{no}len(list_filter({b}, lambda n: n IS NULL)) > 0 AND {first_null}"
        value = f"{no}list_contains({b}, e) AND i = list_position({a}, e)"
        sql = f"list_filter({a}, lambda e, i: CASE WHEN e IS NULL THEN {null} ELSE {value} END)"
        return sql if b.startswith("[") else f"(CASE WHEN {b} IS NULL THEN NULL ELSE {sql} END)"

    return Value(let(kept, a, b), kind)


@function("array_union")
def array_union(call: Call) -> Value:
    a, b, kind = _two_arrays(call)
    return Value(
        f"(CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL ELSE {_distinct(f'list_concat({a}, {b})')} END)",
        kind,
    )


@function("arrays_overlap")
def arrays_overlap(call: Call) -> Value:
    a, b, _ = _two_arrays(call)
    nulls = f"len(list_filter(list_concat({a}, {b}), lambda e: e IS NULL)) > 0"
    return Value(
        f"(CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL WHEN list_has_any({a}, {b}) THEN TRUE WHEN "
        f"len({a}) > 0 AND len({b}) > 0 AND {nulls} THEN NULL ELSE FALSE END)",
        BOOLEAN,
    )


@function("array_join")
def array_join(call: Call) -> Value:
    """NULL elements are left out unless something is given in their place."""
    call.expect(2, 3)
    value = call.of(0, "array")
    text = render("e", value.type.element)
    items = f"list_transform({value.sql}, lambda e: {text})"
    if call.count == 3:
        items = f"list_transform({value.sql}, lambda e: coalesce({text}, {call.text(2)}))"
    else:
        items = f"list_filter({items}, lambda e: e IS NOT NULL)"
    return Value(f"array_to_string({items}, {call.text(1)})", VARCHAR)


@function("array_sort")
def array_sort(call: Call) -> Value:
    """Ascending, NULLs last; or by a comparator that returns -1, 0 or 1."""
    call.expect(1, 2)
    value = call.of(0, "array")
    if call.count == 1:
        return Value(f"list_sort({value.sql}, 'ASC', 'NULLS LAST')", value.type)
    names, body = call.body(1, value.type.element, value.type.element)
    # a stable insertion: each element goes before the first that compares greater
    x, y = names
    at = f"list_position(list_transform(acc, lambda {y}: coalesce({body.sql} < 0, FALSE)), TRUE)"
    sorted_ = (
        f"list_reduce(list_transform({value.sql}, lambda z: [z]), lambda acc, one: "
        f"list_concat(list_concat(list_slice(acc, 1, {_place(at, x)} - 1), one), "
        f"list_slice(acc, {_place(at, x)}, len(acc))), "
        f"CAST([] AS {duck(value.type)}))"
    )
    return Value(f"(CASE WHEN len({value.sql}) = 0 THEN {value.sql} ELSE {sorted_} END)", value.type)


def _place(at: str, element: str) -> str:
    """Where the new element goes: before the first greater one, or at the end."""
    return (
        f"coalesce(nullif(list_extract(list_transform(one, lambda {element}: coalesce({at}, 0)), "
        f"1), 0), len(acc) + 1)"
    )


@function("array_min", "array_max")
def array_extreme(call: Call) -> Value:
    """NULL when any element is NULL."""
    call.expect(1)
    value = call.of(0, "array")
    nulls = f"len(list_filter({value.sql}, lambda e: e IS NULL)) > 0"
    return Value(
        f"(CASE WHEN {nulls} THEN NULL ELSE list_{call.name[6:]}({value.sql}) END)", value.type.element
    )


@function("array_position")
def array_position(call: Call) -> Value:
    """0 when it is not there."""
    call.expect(2)
    value = call.of(0, "array")
    item, kind = _element(call, 1, value.type.element)
    items = convert(value, array(kind)).sql
    return Value(
        f"(CASE WHEN {items} IS NULL OR {item} IS NULL THEN NULL ELSE "
        f"CAST(coalesce(list_position({items}, {item}), 0) AS BIGINT) END)",
        BIGINT,
    )


@function("array_remove")
def array_remove(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "array")
    item, kind = _element(call, 1, value.type.element)
    items = convert(value, array(kind)).sql
    return Value(
        let(lambda a, x: f"list_filter({a}, lambda e: e IS DISTINCT FROM {x})", items, item), array(kind)
    )


@function("array_average", "array_sum")
def array_sum(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "array")
    if call.name == "array_average":
        return Value(f"list_avg({value.sql})", DOUBLE)
    kind = BIGINT if value.type.element.is_integer else value.type.element
    return Value(f"CAST(coalesce(list_sum({value.sql}), 0) AS {duck(kind)})", kind)


@function("repeat")
def repeat(call: Call) -> Value:
    call.expect(2)
    item = call.value(0)
    return Value(
        f"list_transform(range(0, greatest({call.whole(1)}, 0)), lambda i: {item.sql})", array(item.type)
    )


@function("slice")
def slice_(call: Call) -> Value:
    call.expect(3)
    value, start, size = call.of(0, "array"), call.whole(1), call.whole(2)
    zero = fail("INVALID_FUNCTION_ARGUMENT", "SQL array indices start at 1")
    first = f"(CASE WHEN {start} < 0 THEN len({value.sql}) + {start} + 1 ELSE {start} END)"
    return Value(
        f"(CASE WHEN {start} = 0 THEN {zero} WHEN {first} < 1 THEN CAST([] AS {duck(value.type)}) "
        f"ELSE list_slice({value.sql}, {first}, {first} + {size} - 1) END)",
        value.type,
    )


@function("flatten")
def flatten(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "array")
    if value.type.element.base != "array":
        raise call.unexpected()
    return Value(f"flatten({value.sql})", value.type.element)


@function("trim_array")
def trim_array(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "array")
    return Value(f"list_slice({value.sql}, 1, greatest(len({value.sql}) - {call.whole(1)}, 0))", value.type)


@function("sequence")
def sequence(call: Call) -> Value:
    """Whole numbers, or dates and timestamps by an interval; both ends included, at most 10,000."""
    call.expect(2, 3)
    first, last = call.value(0), call.value(1)
    if first.type.is_integer and last.type.is_integer:
        start, stop = call.whole(0), call.whole(1)
        step = call.whole(2) if call.count == 3 else f"(CASE WHEN {start} <= {stop} THEN 1 ELSE -1 END)"
        checks = _sequence_checks(f"({stop} - {start})", step)
        return Value(f"(CASE {checks} ELSE generate_series({start}, {stop}, {step}) END)", array(BIGINT))
    kind = common(first.type, last.type)
    if kind is None or kind.base not in ("date", "timestamp"):
        raise call.unexpected()
    step_value = call.value(2) if call.count == 3 else Value("86400000", types.INTERVAL_DAY)
    months = step_value.type == types.INTERVAL_MONTH

    def moments(start: str, stop: str, step: str) -> str:
        # each is so many steps from the first, as a step from a month's short end would lose its day
        whole = f"date_sub('month', {start}, {stop})" if months else f"(epoch_ms({stop}) - epoch_ms({start}))"
        moved = "to_months(CAST(e AS INTEGER))" if months else "to_milliseconds(e)"
        listed = f"list_transform(generate_series(0, {whole}, {step}), lambda e: {start} + {moved})"
        return f"(CASE {_sequence_checks(whole, step)} ELSE {listed} END)"

    ends = (f"CAST({value.sql} AS TIMESTAMP)" for value in (first, last))
    series = let(moments, *ends, step_value.sql)
    if kind.base == "date":
        return Value(f"list_transform({series}, lambda e: CAST(e AS DATE))", array(types.DATE))
    return Value(series, array(kind))


def _sequence_checks(whole: str, step: str) -> str:
    """The conditions of a CASE under which there is no sequence of ``step`` that is ``whole`` long."""
    bad = fail(
        "INVALID_FUNCTION_ARGUMENT",
        "sequence stop value should be greater than or equal to start value if step is greater "
        "than zero otherwise stop should be less than or equal to start",
    )
    long = fail(
        "INVALID_FUNCTION_ARGUMENT", "result of sequence function must not have more than 10000 entries"
    )
    return (
        f"WHEN {step} = 0 OR ({whole} <> 0 AND ({whole} < 0) <> ({step} < 0)) THEN {bad} "
        f"WHEN abs({whole} // {step}) >= 10000 THEN {long}"
    )


@function("shuffle")
def shuffle(call: Call) -> Value:
    call.expect(1)
    value = call.of(0, "array")
    return Value(
        f"list_transform(list_sort(list_transform({value.sql}, lambda e: struct_pack(k := random(), "
        f"v := e))), lambda e: e.v)",
        value.type,
    )


@function("ngrams")
def ngrams(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "array")

    def parts(items: str, size: str) -> str:
        places = f"range(1, greatest(len({items}) - {size} + 2, 2))"
        return f"list_transform({places}, lambda i: list_slice({items}, i, i + {size} - 1))"

    return Value(let(parts, value.sql, call.whole(1)), array(value.type))


# -- lambdas ---------------------------------------------------------------------------------------


@function("filter")
def filter_(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "array")
    body = call.lam(1, value.type.element)
    return Value(f"list_filter({value.sql}, {body.sql})", value.type)


@function("transform")
def transform(call: Call) -> Value:
    call.expect(2)
    value = call.of(0, "array")
    body = call.lam(1, value.type.element)
    return Value(f"list_transform({value.sql}, {body.sql})", array(body.type))


@function("any_match", "all_match", "none_match")
def match(call: Call) -> Value:
    """With SQL's three values: an unknown element leaves the answer unknown unless another decides it."""
    call.expect(2)
    value = call.of(0, "array")
    body = call.lam(1, value.type.element)
    if body.type.base not in ("boolean", "unknown"):
        raise call.unexpected()
    truths = f"list_transform({value.sql}, {body.sql})"
    decisive = "FALSE" if call.name == "all_match" else "TRUE"
    found = "TRUE" if call.name == "any_match" else "FALSE"
    other = "FALSE" if call.name == "any_match" else "TRUE"
    unknown = f"len(list_filter({truths}, lambda e: e IS NULL)) > 0"
    return Value(
        f"(CASE WHEN {value.sql} IS NULL THEN NULL WHEN list_contains({truths}, {decisive}) THEN "
        f"{found} WHEN {unknown} THEN NULL ELSE {other} END)",
        BOOLEAN,
    )


@function("reduce")
def reduce(call: Call) -> Value:
    """State and elements may differ in type, so each step carries both in a struct."""
    call.expect(4)
    value = call.of(0, "array")
    element, state = value.type.element, call.value(1).type
    _, body = call.body(2, state, element)
    wider = common(state, body.type)
    if wider is None:
        raise call.unexpected()
    if wider != state:
        state = wider
        _, body = call.body(2, state, element)
    names, body = call.body(2, state, element)
    level = names[0].split("_", maxsplit=1)[0]
    before, now = f"{level}a", f"{level}b"
    step = f"{convert(body, state).sql}"
    # the two parameters are bound by a one-element transform, so that the body stays as it was compiled
    bound = (
        f"list_extract(list_transform([struct_pack(s := {before}.s, x := {now}.x)], "
        f"lambda {level}q: {_bind(names, level, step)}), 1)"
    )
    pack = f"struct_pack(s := CAST(NULL AS {duck(state)}), x := e)"
    items = f"list_transform({value.sql}, lambda e: {pack})"
    start = f"struct_pack(s := {convert(call.value(1), state).sql}, x := CAST(NULL AS {duck(element)}))"
    result = (
        f"list_reduce({items}, lambda {before}, {now}: struct_pack(s := {bound}, x := CAST(NULL "
        f"AS {duck(element)})), {start}).s"
    )
    final = call.lam(3, state)
    return Value(
        f"(CASE WHEN {value.sql} IS NULL THEN NULL ELSE list_extract(list_transform([{result}], "
        f"{final.sql}), 1) END)",
        final.type,
    )


def _bind(names: list[str], level: str, body: str) -> str:
    first, second = names
    return (
        f"list_extract(list_transform([{level}q.s], lambda {first}: "
        f"list_extract(list_transform([{level}q.x], lambda {second}: {body}), 1)), 1)"
    )


@function("zip")
def zip_(call: Call) -> Value:
    values = [call.of(i, "array") for i in range(call.count)]
    kind = types.row(tuple(None for _ in values), tuple(v.type.element for v in values))

    def rows(*lists: str) -> str:
        longest = f"greatest({', '.join(f'len({items})' for items in lists)})"
        fields = ", ".join(f'"field{i}" := list_extract({items}, i)' for i, items in enumerate(lists))
        nulls = " OR ".join(f"{items} IS NULL" for items in lists)
        made = f"list_transform(range(1, {longest} + 1), lambda i: struct_pack({fields}))"
        return f"(CASE WHEN {nulls} THEN NULL ELSE {made} END)"

    return Value(let(rows, *(v.sql for v in values)), array(kind))


@function("zip_with")
def zip_with(call: Call) -> Value:
    """The shorter array is filled up with NULLs."""
    call.expect(3)
    a, b = call.of(0, "array"), call.of(1, "array")
    (first, second), body = call.body(2, a.type.element, b.type.element)

    def rows(x: str, y: str) -> str:
        inner = f"list_extract(list_transform([list_extract({y}, {first}i)], lambda {second}: {body.sql}), 1)"
        bound = f"list_extract(list_transform([list_extract({x}, {first}i)], lambda {first}: {inner}), 1)"
        made = f"list_transform(range(1, greatest(len({x}), len({y})) + 1), lambda {first}i: {bound})"
        return f"(CASE WHEN {x} IS NULL OR {y} IS NULL THEN NULL ELSE {made} END)"

    return Value(let(rows, a.sql, b.sql), array(body.type))


@function("combinations")
def combinations(call: Call) -> Value:
    raise call.c.query.error(call.node, "NOT_SUPPORTED", "combinations is not supported")
