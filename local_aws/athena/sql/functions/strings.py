"""String functions (https://trino.io/docs/current/functions/string.html)."""

from sqlglot import exp

from local_aws.athena import types
from local_aws.athena.sql.compiler import Compiler, convert, rule
from local_aws.athena.sql.core import Value, fail
from local_aws.athena.sql.functions.call import Call, dispatch, function, simple
from local_aws.athena.types import BIGINT, VARBINARY, VARCHAR, common

simple("lower", "varchar -> varchar", "lower({0})")
# Trino maps each character to one, and ß has no capital of its own there
simple(
    "upper",
    "varchar -> varchar",
    "(CASE WHEN contains({0}, 'ß') THEN array_to_string(list_transform(string_split({0}, 'ß'), "
    "lambda e: upper(e)), 'ß') ELSE upper({0}) END)",
)
simple("starts_with", "varchar; varchar -> boolean", "starts_with({0}, {1})")
simple("ends_with", "varchar; varchar -> boolean", "ends_with({0}, {1})")
simple("codepoint", "varchar -> integer", "unicode({0})")
simple("chr", "bigint -> varchar", "chr(CAST({0} AS INTEGER))")
simple("levenshtein_distance", "varchar; varchar -> bigint", "CAST(levenshtein({0}, {1}) AS BIGINT)")
simple("hamming_distance", "varchar; varchar -> bigint", "CAST(hamming({0}, {1}) AS BIGINT)")
simple("to_utf8", "varchar -> varbinary", "encode({0})")
simple("translate", "varchar; varchar; varchar -> varchar", "translate({0}, {1}, {2})")
simple("soundex", "varchar -> varchar", "java_soundex({0})")


@function("replace")
def replace(call: Call) -> Value:
    """Without a third argument what is found is removed."""
    call.expect(2, 3)
    other = call.text(2) if call.count == 3 else "''"
    return Value(f"replace({call.text(0)}, {call.text(1)}, {other})", VARCHAR)


@function("length")
def length(call: Call) -> Value:
    call.expect(1)
    if call.value(0).type.base == "varbinary":
        return Value(f"CAST(octet_length({call.value(0).sql}) AS BIGINT)", BIGINT)
    return Value(f"length({call.text(0)})", BIGINT)


@function("char_length", "character_length")
def char_length(call: Call) -> Value:
    call.expect(1)
    return Value(f"length({call.text(0)})", BIGINT)


@function("reverse")
def reverse(call: Call) -> Value:
    call.expect(1)
    if call.value(0).type.base == "array":
        return Value(f"list_reverse({call.value(0).sql})", call.value(0).type)
    return Value(f"reverse({call.text(0)})", VARCHAR)


@function("concat")
def concat(call: Call) -> Value:
    """NULL when any part is; DuckDB's own skips NULLs."""
    if call.count < 2:
        raise call.unexpected()
    joined = join_values(call.values())
    if joined is None:
        raise call.unexpected()
    return joined


def join_values(values: list[Value]) -> Value | None:
    """``||`` of texts, of binaries, of arrays, and of an array and an element; None when they do not join."""
    bases = {v.type.base for v in values}
    if "array" in bases:
        return _join_arrays(values)
    if bases <= {"varbinary", "unknown"} and "varbinary" in bases:
        return Value("(" + " || ".join(convert(v, VARBINARY).sql for v in values) + ")", VARBINARY)
    if not all(v.type.is_text or v.type.base == "unknown" for v in values):
        return None
    known = "".join(v.constant for v in values) if all(isinstance(v.constant, str) for v in values) else None
    return Value("(" + " || ".join(convert(v, VARCHAR).sql for v in values) + ")", VARCHAR, known)


def _join_arrays(values: list[Value]) -> Value | None:
    kind = types.array(types.UNKNOWN)
    for value in values:
        one = value.type if value.type.base in ("array", "unknown") else types.array(value.type)
        shared = common(kind, one)
        if shared is None:
            return None
        kind = shared
    parts, checks = [], []
    for value in values:
        if value.type.base in ("array", "unknown"):
            sql = convert(value, kind).sql
            checks.append(f"{sql} IS NULL")
        else:
            sql = f"[{convert(value, kind.element).sql}]"
        parts.append(sql)
    joined = parts[0]
    for part in parts[1:]:
        joined = f"list_concat({joined}, {part})"
    return Value(f"(CASE WHEN {' OR '.join(checks)} THEN NULL ELSE {joined} END)", kind)


@function("concat_ws")
def concat_ws(call: Call) -> Value:
    if call.count == 2 and call.value(1).type.base == "array":
        return Value(f"array_to_string({call.value(1).sql}, {call.text(0)})", VARCHAR)
    parts = ", ".join(call.text(i) for i in range(call.count))
    return Value(f"(CASE WHEN {call.text(0)} IS NULL THEN NULL ELSE concat_ws({parts}) END)", VARCHAR)


@function("substr", "substring")
def substr(call: Call) -> Value:
    """Counts from 1, or from the end when negative; 0 and beyond the start give an empty text."""
    call.expect(2, 3)
    text, start = call.text(0), call.whole(1)
    size = f", greatest({call.whole(2)}, 0)" if call.count == 3 else ""
    known = call.value(1).constant
    if isinstance(known, int) and known > 0:
        return Value(f"substring({text}, {start}{size})", VARCHAR)
    beyond = f"{start} = 0 OR abs({start}) > length({text})"
    sql = f"substring({text}, {start}{size})"
    return Value(
        f"(CASE WHEN {text} IS NULL OR {start} IS NULL THEN NULL WHEN {beyond} THEN '' ELSE {sql} END)",
        VARCHAR,
    )


@rule(exp.Substring)
def substring_from(c: Compiler, node: exp.Substring) -> Value:
    nodes = [node.this, node.args.get("start"), node.args.get("length")]
    return dispatch(c, node, "substr", [n for n in nodes if n is not None])


@rule(exp.StrPosition)
def position(c: Compiler, node: exp.StrPosition) -> Value:
    return dispatch(c, node, "strpos", [node.this, node.args["substr"]])


@function("strpos", "position")
def strpos(call: Call) -> Value:
    call.expect(2, 3)
    if call.count == 2:
        return Value(f"CAST(strpos({call.text(0)}, {call.text(1)}) AS BIGINT)", BIGINT)
    return Value(f"nth_position({call.text(0)}, {call.text(1)}, {call.whole(2)})", BIGINT)


@function("split")
def split(call: Call) -> Value:
    call.expect(2, 3)
    parts = f"string_split({call.text(0)}, {call.text(1)})"
    if call.count == 3:
        limit, sep = call.whole(2), call.text(1)
        rest = f"array_to_string(list_slice({parts}, {limit}, len({parts})), {sep})"
        parts = (
            f"(CASE WHEN len({parts}) <= {limit} THEN {parts} ELSE "
            f"list_append(list_slice({parts}, 1, {limit} - 1), {rest}) END)"
        )
    return Value(parts, types.array(VARCHAR))


@function("split_part")
def split_part(call: Call) -> Value:
    """NULL beyond the last part, where DuckDB gives an empty text."""
    call.expect(3)
    bad = fail("INVALID_FUNCTION_ARGUMENT", "Index must be greater than zero")
    parts = f"list_extract(string_split({call.text(0)}, {call.text(1)}), {call.whole(2)})"
    return Value(f"(CASE WHEN {call.whole(2)} <= 0 THEN {bad} ELSE {parts} END)", VARCHAR)


@function("split_to_map")
def split_to_map(call: Call) -> Value:
    call.expect(3)
    pairs = (
        f"list_transform(string_split({call.text(0)}, {call.text(1)}), lambda e: string_split(e, "
        f"{call.text(2)}))"
    )
    sql = f"map(list_transform({pairs}, lambda e: e[1]), list_transform({pairs}, lambda e: e[2]))"
    return Value(
        f"(CASE WHEN {call.text(0)} IS NULL THEN NULL ELSE {sql} END)", types.map_of(VARCHAR, VARCHAR)
    )


@function("lpad", "rpad")
def pad(call: Call) -> Value:
    call.expect(3)
    return Value(f"{call.name}({call.text(0)}, CAST({call.whole(1)} AS INTEGER), {call.text(2)})", VARCHAR)


@function("trim", "ltrim", "rtrim")
def trim(call: Call) -> Value:
    """Whitespace, not only blanks."""
    call.expect(1, 2)
    characters = (
        call.text(1) if call.count == 2 else "' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13)"
    )
    return Value(f"{call.name}({call.text(0)}, {characters})", VARCHAR)


@rule(exp.Trim)
def trim_from(c: Compiler, node: exp.Trim) -> Value:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
    return dispatch(c, node, name, [n for n in (node.this, node.expression) if n])


@function("normalize")
def normalize(call: Call) -> Value:
    call.expect(1)
    return Value(f"nfc_normalize({call.text(0)})", VARCHAR)


@function("word_stem", "luhn_check")
def luhn_check(call: Call) -> Value:
    call.expect(1)
    if call.name == "word_stem":
        raise call.c.query.error(call.node, "NOT_SUPPORTED", "word_stem is not supported")
    return Value(f"luhn_check({call.text(0)})", types.BOOLEAN)


@function("from_utf8")
def from_utf8(call: Call) -> Value:
    call.expect(1)
    return Value(f"utf8_text({call.arg(0, VARBINARY)})", VARCHAR)
