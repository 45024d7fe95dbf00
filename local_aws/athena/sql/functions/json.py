"""JSON by path (https://trino.io/docs/current/functions/json.html).

Several paths into the same text column of a table are read in one pass: the scan makes one list of them all.
A number is printed as it was read, but for a trailing zero (1.50 becomes 1.5) and an exponent (1e3 becomes
1000.0).
"""

import re

from sqlglot import exp

from local_aws.athena.sql.compiler import Compiler, rule
from local_aws.athena.sql.core import Value, fail
from local_aws.athena.sql.functions.call import Call, dispatch, function
from local_aws.athena.types import BIGINT, BOOLEAN, JSON, VARCHAR, literal

_STEP = re.compile(
    r"""\.([A-Za-z_0-9$:-]+|"(?:[^"\\]|\\.)*")|\[(\d+)\]|\[\s*("(?:[^"\\]|\\.)*"|'[^']*')\s*\]"""
)


def steps(path: str) -> list[str | int] | None:
    """The keys and places of ``$.a["b c"][0]``; None for what is none of these, such as a wildcard."""
    if not path.startswith("$"):
        return None
    found: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return None
        name, index, quoted = match.groups()
        if index is not None:
            found.append(int(index))
        else:
            text = name or quoted
            found.append(re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] in "\"'" else text)
        position = match.end()
    return found


def duck_path(path: str) -> str | None:
    """The path as DuckDB writes it."""
    parts = steps(path)
    if parts is None:
        return None
    shown = (f"[{p}]" if isinstance(p, int) else '."' + p.replace('"', '\\"') + '"' for p in parts)
    return "$" + "".join(shown)


def _path(call: Call) -> str:
    text = call.constant(1, "a JSON path")
    path = duck_path(text)
    if path is None:
        name = "INVALID_FUNCTION_ARGUMENT" if not text.startswith("$") else "NOT_SUPPORTED"
        what = (
            "Invalid JSON path"
            if name != "NOT_SUPPORTED"
            else "a JSON path with anything but keys and places is not supported"
        )
        raise call.c.query.error(call.nodes[1], name, f"{what}: '{text}'")
    return path


def extract(call: Call) -> str:
    """SQL of the JSON at the path; NULL when there is none or the text is no JSON."""
    path = _path(call)
    value = call.value(0)
    if value.type.base == "json":
        return f"json_extract({value.sql}, {literal(path)})"
    text = call.text(0)
    extracted = call.c.extracted(call.nodes[0], path)
    if extracted is not None:
        return extracted
    return f"(CASE WHEN json_valid({text}) THEN json_extract({text}, {literal(path)}) END)"


@function("json_extract")
def json_extract(call: Call) -> Value:
    call.expect(2)
    return Value(extract(call), JSON)


@function("json_extract_scalar")
def json_extract_scalar(call: Call) -> Value:
    """The text of a string, number or boolean; NULL for objects, arrays and null."""
    call.expect(2)
    return Value(f"json_scalar({extract(call)})", VARCHAR)


def _as_json(call: Call, i: int) -> str:
    """A json or a text as JSON; NULL when the text is none."""
    value = call.value(i)
    if value.type.base == "json":
        return value.sql
    text = call.text(i)
    return f"(CASE WHEN json_valid({text}) THEN CAST({text} AS JSON) END)"


@function("json_parse")
def json_parse(call: Call) -> Value:
    """Keys come out sorted."""
    call.expect(1)
    text = call.text(0)
    bad = fail("INVALID_FUNCTION_ARGUMENT", "Cannot convert value to JSON: '{}'", text)
    return Value(
        f"(CASE WHEN {text} IS NULL THEN NULL WHEN json_valid({text}) THEN sorted_json(CAST({text} "
        f"AS JSON)) ELSE {bad} END)",
        JSON,
    )


@rule(exp.ParseJSON)
def json_literal(c: Compiler, node: exp.ParseJSON) -> Value:
    """``JSON '…'``."""
    return dispatch(c, node, "json_parse", [node.this])


@function("json_format")
def json_format(call: Call) -> Value:
    call.expect(1)
    return Value(f"CAST({call.arg(0, JSON)} AS VARCHAR)", VARCHAR)


@function("json_array_length")
def json_array_length(call: Call) -> Value:
    call.expect(1)
    value = _as_json(call, 0)
    return Value(
        f"(CASE WHEN json_type({value}) = 'ARRAY' THEN CAST(json_array_length({value}) AS BIGINT) END)",
        BIGINT,
    )


@function("json_array_get")
def json_array_get(call: Call) -> Value:
    call.expect(2)
    value, index = _as_json(call, 0), call.whole(1)
    return Value(
        f"list_extract((CASE WHEN json_type({value}) = 'ARRAY' THEN CAST({value} AS JSON[]) END), "
        f"(CASE WHEN {index} >= 0 THEN {index} + 1 ELSE {index} END))",
        JSON,
    )


@function("json_array_contains")
def json_array_contains(call: Call) -> Value:
    call.expect(2)
    value, wanted = _as_json(call, 0), call.value(1)
    if wanted.type.base not in ("varchar", "boolean") and not wanted.type.is_numeric:
        raise call.unexpected()
    items = f"(CASE WHEN json_type({value}) = 'ARRAY' THEN CAST({value} AS JSON[]) END)"
    if wanted.type.is_numeric:
        return Value(
            f"list_contains(list_transform({items}, lambda e: TRY_CAST(CAST(e AS VARCHAR) AS "
            f"DOUBLE)), CAST({wanted.sql} AS DOUBLE))",
            BOOLEAN,
        )
    return Value(
        f"list_contains(list_transform({items}, lambda e: CAST(e AS VARCHAR)), "
        f"CAST(to_json({wanted.sql}) AS VARCHAR))",
        BOOLEAN,
    )


@function("json_size")
def json_size(call: Call) -> Value:
    call.expect(2)
    found = extract(call)
    sizes = (
        f"CASE json_type({found}) WHEN 'OBJECT' THEN len(json_keys({found})) WHEN 'ARRAY' THEN "
        f"json_array_length({found}) ELSE 0 END"
    )
    return Value(f"(CASE WHEN {found} IS NULL THEN NULL ELSE CAST({sizes} AS BIGINT) END)", BIGINT)


@function("is_json_scalar")
def is_json_scalar(call: Call) -> Value:
    call.expect(1)
    value = _as_json(call, 0)
    return Value(f"(json_type({value}) NOT IN ('OBJECT', 'ARRAY'))", BOOLEAN)


@function("json_value", "json_query", "json_exists", "json_object", "json_array", "json_table")
def sql_json(call: Call) -> Value:
    raise call.c.query.error(
        call.node, "NOT_SUPPORTED", f"{call.name} is not supported; json_extract and json_extract_scalar are"
    )
