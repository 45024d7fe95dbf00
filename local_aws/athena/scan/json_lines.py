"""JSON lines: OpenX's and Hive's serde. Names match without case, also inside structs.

DuckDB's reader knows keys by their exact spelling only, so each file's spellings are collected once (by
etag).
"""

import json
from collections.abc import Iterable
from typing import Any

from local_aws.athena import types
from local_aws.athena.catalog import Storage
from local_aws.athena.scan.compression import readable
from local_aws.athena.scan.formats import Files, file_list, path_column
from local_aws.athena.sql.core import fail
from local_aws.athena.types import Type, duck, literal, quote
from local_aws.objects import Object

_LARGEST = 64 * 1024 * 1024
Shape = dict[str, Any]
_shapes: dict[tuple[str, str, str], Any] = {}


class JsonReader:
    def __init__(self, storage: Storage, run: Any) -> None:
        self._run = run
        given = storage.serde_parameters
        self._ignore = given.get("ignore.malformed.json", "false").lower() == "true"
        self._renamed = {
            key.removeprefix("mapping.").lower(): value
            for key, value in given.items()
            if key.startswith("mapping.")
        }

    def groups(
        self, objects: list[Object], wanted: list[tuple[str, Type]], *, with_path: bool
    ) -> Iterable[Files]:
        for compression, group in readable(objects, self._run):
            name = "filename = true, " if with_path else ""
            files = file_list(group, self._run)
            source = (
                f"read_json_objects({files}, format = 'newline_delimited', {name}"
                f"ignore_errors = {'true' if self._ignore else 'false'}, compression = '{compression}', "
                f"maximum_object_size = {_LARGEST})"
            )
            shape = self._shape(group, compression)
            columns = {column: self._column(column, kind, shape) for column, kind in wanted}
            yield Files(source, columns, path_column(self._run, wanted=with_path), sum(o.size for o in group))

    def _column(self, name: str, kind: Type, shape: Any) -> str:
        key = self._renamed.get(name, name)
        spellings = spelled(shape, key)
        values = [json_field("json", spelling, kind, shape.get(spelling)) for spelling in spellings]
        if not values:
            return f"CAST(NULL AS {duck(kind)})"
        return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"

    def _shape(self, objects: list[Object], compression: str) -> Any:
        """Which keys the files hold, and how they are spelled."""
        whole: Any = {}
        for item in objects:
            identity = (item.bucket, item.key, item.etag)
            if identity not in _shapes:
                source = (
                    f"read_json_objects({file_list([item], self._run)}, format = 'newline_delimited', "
                    f"ignore_errors = true, "
                    f"compression = '{compression}', maximum_object_size = {_LARGEST})"
                )
                found = self._run.rows(f"SELECT CAST(json_group_structure(json) AS VARCHAR) FROM {source}")[
                    0
                ][0]
                _shapes[identity] = json.loads(found) if found else {}
            whole = merged(whole, _shapes[identity])
        return whole if isinstance(whole, dict) else {}


def merged(left: Any, right: Any) -> Any:
    """Two shapes as one: objects by key, arrays by element."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {
            key: merged(left.get(key), right.get(key))
            for key in [*left, *(k for k in right if k not in left)]
        }
    if isinstance(left, list) and isinstance(right, list):
        return [merged(left[0] if left else None, right[0] if right else None)]
    return left if isinstance(left, dict | list) or right is None else right


def spelled(shape: Any, name: str) -> list[str]:
    """The keys that are ``name`` but for case, the exact one first."""
    if not isinstance(shape, dict):
        return []
    return sorted((key for key in shape if key.lower() == name.lower()), key=lambda key: key != name)


def json_field(sql: str, key: str, kind: Type, shape: Any) -> str:
    path = literal('$."' + key.replace('"', '\\"') + '"')
    return json_value(f"json_extract({sql}, {path})", kind, shape)


def json_value(sql: str, kind: Type, shape: Any) -> str:
    """A JSON value in the column's type: text of whatever it is, numbers also from text."""
    if kind.base == "varchar":
        text = f"(CASE WHEN json_type({sql}) = 'NULL' THEN NULL ELSE {sql} ->> '$' END)"
        return f"left({text}, {kind.params[0]})" if kind.params else text
    if kind.base == "json":
        return sql
    if kind.base == "array":
        element = shape[0] if isinstance(shape, list) and shape else None
        inner = json_value("e", kind.element, element)
        return (
            f"(CASE WHEN json_type({sql}) = 'ARRAY' THEN list_transform(CAST({sql} AS JSON[]), "
            f"lambda e: {inner}) END)"
        )
    if kind.base == "map":
        return _map(sql, kind, shape)
    if kind.base == "row":
        return _row(sql, kind, shape)
    text = f"({sql} ->> '$')"
    if kind.base == "boolean":
        return f"(CASE lower({text}) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END)"
    if kind.base == "timestamp":
        target = f"round_moment(TRY_CAST({text} AS TIMESTAMP))"
    else:
        target = f"TRY_CAST({text} AS {duck(kind)})"
    bad = fail("HIVE_BAD_DATA", f"Error parsing field value '{{}}' for a column of type {kind}", text)
    return (
        f"(CASE WHEN {text} IS NULL OR {text} = '' THEN NULL WHEN {target} IS NULL THEN {bad} "
        f"ELSE {target} END)"
    )


def _map(sql: str, kind: Type, shape: Any) -> str:
    entries = f"CAST({sql} AS MAP(VARCHAR, JSON))"
    inside: Any = None  # the shape that all the map's values have together
    for value in shape.values() if isinstance(shape, dict) else ():
        inside = merged(inside, value)
    inner = json_value("e", kind.items[1], inside)
    keys = f"list_transform(map_keys({entries}), lambda e: CAST(e AS {duck(kind.items[0])}))"
    made = f"map({keys}, list_transform(map_values({entries}), lambda e: {inner}))"
    return f"(CASE WHEN json_type({sql}) = 'OBJECT' THEN {made} END)"


def _row(sql: str, kind: Type, shape: Any) -> str:
    fields = []
    for i, item in enumerate(kind.items):
        label = types.field_name(kind, i)
        values = [json_field(sql, key, item, shape[key]) for key in spelled(shape, label)]
        if not values:
            value = f"CAST(NULL AS {duck(item)})"
        else:
            value = values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
        fields.append(f"{quote(label)} := {value}")
    return f"(CASE WHEN json_type({sql}) = 'OBJECT' THEN struct_pack({', '.join(fields)}) END)"
