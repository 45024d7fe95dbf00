"""Delimited text: LazySimpleSerDe and OpenCSVSerDe. A table of one text column is read as whole lines."""

from collections.abc import Iterable
from typing import Any

from local_aws.athena.catalog import Storage, Table
from local_aws.athena.errors import not_supported
from local_aws.athena.scan.compression import readable
from local_aws.athena.scan.formats import Files, file_list, path_column
from local_aws.athena.types import Type, duck, literal
from local_aws.objects import Object

_ESCAPES = {
    "\\t": "\t",
    "\\n": "\n",
    "\\001": "\x01",
    "\\u0001": "\x01",
    "\\0": "\0",
    "\\002": "\x02",
    "\\003": "\x03",
}
_LONGEST_LINE = 16 * 1024 * 1024


def delimiter(text: str) -> str:
    """``\\001``, ``\\u0001``, ``\\t``, a number or the character itself."""
    if text in _ESCAPES:
        return _ESCAPES[text]
    if text.startswith("\\u"):
        return chr(int("0x" + text[2:], 0))
    if text.startswith("\\") and text[1:].isdigit():
        return chr(int(text[1:], 8))
    return chr(int(text)) if text.isdigit() and len(text) > 1 else text


def read_csv(files: str, options: dict[str, str]) -> str:
    """A call of DuckDB's reader that guesses nothing."""
    fixed = {
        "header": "false",
        "auto_detect": "false",
        "strict_mode": "false",
        "max_line_size": str(_LONGEST_LINE),
    }
    return f"read_csv({files}, {', '.join(f'{k} = {v}' for k, v in {**fixed, **options}.items())})"


def _truth(value: bool) -> str:  # it is the value
    return "true" if value else "false"


class TextReader:
    """LazySimpleSerDe: no quotes; ``\\N`` is NULL; a field that does not fit its type is NULL, a missing one
    too.
    """

    def __init__(self, table: Table, storage: Storage, run: Any) -> None:
        self._table, self._run = table, run
        given = storage.serde_parameters
        self._delimiter = delimiter(given.get("field.delim") or given.get("serialization.format") or "\x01")
        self._escape = delimiter(given["escape.delim"]) if given.get("escape.delim") else ""
        self._null = given.get("serialization.null.format", "\\N")
        self._collection = delimiter(given.get("collection.delim") or given.get("colelction.delim") or "\x02")
        self._map_key = delimiter(given.get("mapkey.delim") or "\x03")
        self._skip = int(
            table.parameters.get("skip.header.line.count") or given.get("skip.header.line.count") or 0
        )

    def groups(
        self, objects: list[Object], wanted: list[tuple[str, Type]], *, with_path: bool
    ) -> Iterable[Files]:
        names = [name for name, _ in self._table.columns]
        fields = [f"f{i}" for i in range(len(names))]
        if len(fields) == 1:
            # DuckDB passes over empty lines unless an empty field is NULL
            fields = [f"(CASE WHEN f0 IS NULL THEN '' WHEN f0 = {literal(self._null)} THEN NULL ELSE f0 END)"]
        for compression, group in readable(objects, self._run):
            columns = {name: self._column(fields[names.index(name)], kind) for name, kind in wanted}
            source = self._source(file_list(group, self._run), compression, len(names), with_path=with_path)
            path = path_column(self._run, wanted=with_path)
            yield Files(source, columns, path, sum(item.size for item in group))

    def _source(self, files: str, compression: str, count: int, *, with_path: bool) -> str:
        columns = ", ".join(f"'f{i}': 'VARCHAR'" for i in range(count))
        null = self._null if count > 1 else ""
        options = {
            "columns": f"{{{columns}}}",
            "delim": literal(self._delimiter),
            "quote": "''",
            "escape": literal(self._escape),
            "nullstr": literal(null),
            "null_padding": _truth(count > 1),
            "skip": str(self._skip),
            "compression": literal(compression),
            "filename": _truth(with_path),
        }
        return read_csv(files, options)

    def _column(self, sql: str, kind: Type) -> str:
        if kind.is_text:
            return f"left({sql}, {kind.params[0]})" if kind.params else sql
        if kind.base == "array":
            inner = self._column("e", kind.element)
            parts = f"string_split({sql}, {literal(self._collection)})"
            return (
                f"(CASE WHEN {sql} = '' THEN CAST([] AS {duck(kind)}) ELSE "
                f"list_transform({parts}, lambda e: {inner}) END)"
            )
        if kind.base == "map":
            pairs = (
                f"list_transform(string_split({sql}, {literal(self._collection)}), lambda e: "
                f"string_split(e, {literal(self._map_key)}))"
            )
            key, value = self._column("e[1]", kind.items[0]), self._column("e[2]", kind.items[1])
            return (
                f"(CASE WHEN {sql} IS NULL THEN NULL ELSE map(list_transform({pairs}, lambda e: "
                f"{key}), list_transform({pairs}, lambda e: {value})) END)"
            )
        if kind.base == "row":
            raise not_supported("a struct in delimited text")
        if kind.base == "boolean":
            return f"(CASE lower({sql}) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END)"
        if kind.base == "timestamp":
            return f"round_moment(TRY_CAST({sql} AS TIMESTAMP))"
        return f"TRY_CAST({sql} AS {duck(kind)})"


class CsvReader:
    """OpenCSVSerDe: quoted fields; everything is read as text and cast; an empty number is NULL."""

    def __init__(self, table: Table, storage: Storage, run: Any) -> None:
        self._table, self._run = table, run
        given = storage.serde_parameters
        self._separator = delimiter(given.get("separatorChar", ","))
        self._quote = delimiter(given.get("quoteChar", '"'))
        self._escape = delimiter(given.get("escapeChar", "\\")) if given.get("escapeChar") != '"' else '"'
        self._skip = int(
            table.parameters.get("skip.header.line.count") or given.get("skip.header.line.count") or 0
        )

    def groups(
        self, objects: list[Object], wanted: list[tuple[str, Type]], *, with_path: bool
    ) -> Iterable[Files]:
        names = [name for name, _ in self._table.columns]
        columns = ", ".join(f"'f{i}': 'VARCHAR'" for i in range(len(names)))
        for compression, group in readable(objects, self._run):
            options = {
                "columns": f"{{{columns}}}",
                "delim": literal(self._separator),
                "quote": literal(self._quote),
                "escape": literal(self._quote),
                "nullstr": literal("\0null"),  # what no field holds: OpenCSVSerDe knows no NULL
                "null_padding": "true",
                "parallel": "false",  # for quoted line ends
                "skip": str(self._skip),
                "compression": literal(compression),
                "filename": _truth(with_path),
            }
            source = read_csv(file_list(group, self._run), options)
            selected = {name: self._column(f"f{names.index(name)}", kind) for name, kind in wanted}
            yield Files(
                source, selected, path_column(self._run, wanted=with_path), sum(o.size for o in group)
            )

    def _column(self, sql: str, kind: Type) -> str:
        if kind.is_text:
            return sql
        if kind.base == "date":
            return (
                f"(CASE WHEN {sql} ~ '^-?[0-9]+$' THEN DATE '1970-01-01' + CAST({sql} AS INTEGER) "
                f"ELSE CAST(nullif({sql}, '') AS DATE) END)"
            )
        if kind.base == "timestamp":
            return (
                f"(CASE WHEN {sql} ~ '^-?[0-9]+$' THEN make_timestamp(CAST({sql} AS BIGINT) * "
                f"1000) ELSE CAST(nullif({sql}, '') AS TIMESTAMP) END)"
            )
        if kind.base in ("array", "map", "row"):
            raise not_supported(f"{kind.base} in OpenCSVSerDe")
        return f"CAST(nullif({sql}, '') AS {duck(kind)})"
