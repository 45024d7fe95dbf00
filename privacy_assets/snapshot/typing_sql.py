"""The statement that makes a day's typed snapshot out of DynamoDB's export: pure text, no calls.

An export is lines of DynamoDB JSON, ``{"Item": {"log_id": {"S": "…"}, …}}``.  Each declared attribute becomes
a column.  An attribute that is absent or NULL becomes NULL.  A value that does not fit its column's type
becomes NULL there and is kept, as DynamoDB wrote it, in the map ``misfits``.  The names of attributes that
nobody declared are kept in ``undeclared``.  So nothing is dropped in silence, and the work is Athena's.

Value forms: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import re
from collections.abc import Sequence
from datetime import date

from privacy_assets.estate import ColumnType, Table

LINES_COLUMNS = (("line", "string"),)
PARTITION_KEYS = (("snapshot_date", "date"),)
MISFITS = ("misfits", "map<string,string>")
UNDECLARED = ("undeclared", "array<string>")

_GLUE_TYPES = {
    ColumnType.STRING: "string",
    ColumnType.NUMBER: "decimal(38,9)",
    ColumnType.INTEGER: "bigint",
    ColumnType.DOUBLE: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.DATE: "date",
    ColumnType.STRING_LIST: "array<string>",
    ColumnType.JSON: "string",
    ColumnType.BINARY: "binary",
}

_PLAIN_MEMBER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LATEST_EPOCH = 253402300800  # 10000-01-01, where four digits for the year end
_EXTENDED = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}.*)?$"
_BASIC_PARTS = "^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})"
_BASIC = _BASIC_PARTS + r"([.,][0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"


def quote_identifier(name: str) -> str:
    """``name`` as an identifier of Athena's SQL.  Raises ValueError for what no catalog holds."""
    if not name or "\0" in name or "\n" in name:
        raise ValueError(f"{name!r}: expected a name")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """``text`` as a string literal of Athena's SQL.  Raises ValueError for control characters."""
    if any(ord(character) < 0x20 for character in text):
        raise ValueError(f"{text!r}: expected text without control characters")
    return "'" + text.replace("'", "''") + "'"


def attribute_path(attribute: str, *members: str) -> str:
    """The literal of the JSON path to an attribute; names are case-sensitive and may hold any character."""
    path = "$.Item"
    for member in (attribute, *members):
        if _PLAIN_MEMBER.match(member):
            path += f".{member}"
        else:
            escaped = member.replace("\\", "\\\\").replace('"', '\\"')
            path += f'["{escaped}"]'
    return quote_literal(path)


def snapshot_columns(table: Table) -> list[tuple[str, str]]:
    """The columns of the typed snapshot with their Glue types, in the order of ``estate.yaml``."""
    declared = [(table.column_name(name), _GLUE_TYPES[column.type]) for name, column in table.columns.items()]
    return [*declared, MISFITS, UNDECLARED]


def unload(table: Table, database: str, lines_table: str, snapshot_date: date, target: str) -> str:
    """The UNLOAD that writes the typed snapshot of ``snapshot_date`` to the S3 URI ``target``."""
    names = {attribute: quote_identifier(table.column_name(attribute)) for attribute in table.columns}
    values = [f"{_value(a, column.type)} AS {names[a]}" for a, column in table.columns.items()]
    misfits = {
        attribute: f"({names[attribute]} IS NULL AND {_present(attribute)})"
        for attribute, column in table.columns.items()
        if column.type is not ColumnType.JSON
    }
    declared = ", ".join(quote_literal(attribute) for attribute in table.columns)
    body = f"""
  WITH exported AS (
    SELECT line AS "$line", CAST(json_extract(line, '$.Item') AS MAP(VARCHAR, JSON)) AS "$item"
    FROM {quote_identifier(database)}.{quote_identifier(lines_table)}
    WHERE snapshot_date = DATE {quote_literal(snapshot_date.isoformat())} AND line <> ''
  ), typed AS (
    SELECT
      {_list(values, 6)},
      "$line",
      array_except(map_keys("$item"), ARRAY[{declared}]) AS "$others"
    FROM exported
  )
  SELECT
    {_list(list(names.values()), 4)},
    {_misfits(misfits)} AS misfits,
    CASE WHEN cardinality("$others") > 0 THEN "$others" END AS undeclared
  FROM typed
"""  # noqa: S608  # every name and literal went through the quoting functions
    return f"UNLOAD ({body}) TO {quote_literal(target)} WITH (format = 'PARQUET', compression = 'SNAPPY')"


def survey(table: Table, database: str, typed_table: str) -> str:
    """The query whose rows (what, name, number) tell a snapshot's state; its one parameter is the date.

    ``rows`` in all, rows with a ``missing key``, keys that stand in several rows (``repeated key``), and by
    the attribute's name the rows with a ``misfit`` or an ``undeclared`` one.
    """
    source = f"{quote_identifier(database)}.{quote_identifier(typed_table)}"
    keys = [quote_identifier(column) for column in table.key_columns]
    return f"""
WITH day AS (
  SELECT {", ".join(keys)}, misfits, undeclared FROM {source} WHERE snapshot_date = ?
)
SELECT 'rows' AS what, '' AS name, count(*) AS number FROM day
UNION ALL
SELECT 'missing key', '', count(*) FROM day WHERE {" OR ".join(f"{key} IS NULL" for key in keys)}
UNION ALL
SELECT 'repeated key', '', count(*) FROM (
  SELECT 1 AS one FROM day WHERE {" AND ".join(f"{key} IS NOT NULL" for key in keys)}
  GROUP BY {", ".join(keys)} HAVING count(*) > 1
)
UNION ALL
SELECT 'misfit', attribute, count(*) FROM day CROSS JOIN UNNEST(map_keys(misfits)) AS m (attribute)
WHERE misfits IS NOT NULL GROUP BY attribute
UNION ALL
SELECT 'undeclared', attribute, count(*) FROM day CROSS JOIN UNNEST(undeclared) AS u (attribute)
WHERE undeclared IS NOT NULL GROUP BY attribute
"""  # noqa: S608  # every name went through the quoting function


def _list(parts: Sequence[str], indent: int) -> str:
    return (",\n" + " " * indent).join(parts)


def _scalar(attribute: str, form: str) -> str:
    return f'json_extract_scalar("$line", {attribute_path(attribute, form)})'


def _extract(attribute: str, *members: str) -> str:
    return f'json_extract("$line", {attribute_path(attribute, *members)})'


def _present(attribute: str) -> str:
    """Whether the attribute is there and not NULL; only asked where the column is NULL."""
    return f"({_extract(attribute)} IS NOT NULL AND {_extract(attribute, 'NULL')} IS NULL)"


def _misfits(misfits: dict[str, str]) -> str:
    if not misfits:
        return "CAST(NULL AS MAP(VARCHAR, VARCHAR))"
    kept = [
        f"CASE WHEN {condition} THEN json_format({_extract(attribute)}) END"
        for attribute, condition in misfits.items()
    ]
    return f"""CASE WHEN {_either(list(misfits.values()))} THEN map_filter(
      MAP(
        ARRAY[{", ".join(quote_literal(attribute) for attribute in misfits)}],
        ARRAY[
          {_list(kept, 10)}
        ]
      ), (attribute, value) -> value IS NOT NULL) END"""


def _either(conditions: Sequence[str]) -> str:
    return "\n      OR ".join(conditions)


def _value(attribute: str, kind: ColumnType) -> str:
    """The expression that reads an attribute as ``kind``: NULL when it is absent, NULL or does not fit."""
    number = _scalar(attribute, "N")
    text = _scalar(attribute, "S")
    match kind:
        case ColumnType.STRING:
            return text
        case ColumnType.INTEGER:
            return (
                f"CASE WHEN regexp_like({number}, '^-?[0-9]{{1,19}}$') THEN TRY_CAST({number} AS BIGINT) END"
            )
        case ColumnType.NUMBER:
            # More than nine decimals would be rounded, so they do not fit.
            fits = f"regexp_like({number}, '^-?[0-9]{{1,29}}([.][0-9]{{1,9}}0*)?$')"
            return f"CASE WHEN {fits} THEN TRY_CAST({number} AS DECIMAL(38, 9)) END"
        case ColumnType.DOUBLE:
            return f"TRY_CAST({number} AS DOUBLE)"
        case ColumnType.BOOLEAN:
            flag = _scalar(attribute, "BOOL")
            return f"CASE {flag} WHEN 'true' THEN true WHEN 'false' THEN false END"
        case ColumnType.TIMESTAMP:
            return _timestamp(text, number)
        case ColumnType.DATE:
            day = f"trim({text})"
            fits = f"regexp_like({day}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$')"
            return f"CASE WHEN {fits} THEN TRY_CAST({day} AS DATE) END"
        case ColumnType.STRING_LIST:
            return _string_list(attribute)
        case ColumnType.JSON:
            whole = f"json_format({_extract(attribute)})"
            return f"CASE WHEN {_extract(attribute, 'NULL')} IS NULL THEN {whole} END"
        case ColumnType.BINARY:
            return f"TRY(from_base64({_scalar(attribute, 'B')}))"


def _timestamp(text: str, number: str) -> str:
    """ISO 8601 text, also with a blank for its T or without separators, UTC where it names no zone; or
    seconds since 1970, or milliseconds where as seconds they would lie after the year 9999. Kept in UTC to
    the millisecond. docs/estate.md lists the forms.
    """
    instant = f"trim({text})"
    fits = f"regexp_like({instant}, '{_EXTENDED}|{_BASIC}')"
    extended = f"regexp_replace({instant}, '{_BASIC_PARTS}', '$1-$2-$3T$4:$5:$6')"
    iso = f"regexp_replace(regexp_replace({extended}, '^([0-9-]{{10}}) ', '$1T'), ' ?UTC$', 'Z')"
    seconds = f"TRY_CAST({number} AS DOUBLE)"
    return (
        f"CASE WHEN {fits} THEN TRY(CAST(from_iso8601_timestamp({iso}) AT TIME ZONE 'UTC' AS TIMESTAMP))"
        f" WHEN abs({seconds}) < {_LATEST_EPOCH}"
        f" THEN CAST(from_unixtime({seconds}) AT TIME ZONE 'UTC' AS TIMESTAMP)"
        f" WHEN abs({seconds}) < {_LATEST_EPOCH}000"
        f" THEN CAST(from_unixtime({seconds} / 1000) AT TIME ZONE 'UTC' AS TIMESTAMP) END"
    )


def _string_list(attribute: str) -> str:
    """A set of strings, or a list that holds strings alone."""
    strings = f"TRY_CAST({_extract(attribute, 'SS')} AS ARRAY(VARCHAR))"
    entries = f"TRY_CAST({_extract(attribute, 'L')} AS ARRAY(JSON))"
    text = "json_extract_scalar(entry, '$.S')"
    return (
        f"COALESCE({strings}, CASE WHEN none_match({entries}, entry -> {text} IS NULL)"
        f" THEN transform({entries}, entry -> {text}) END)"
    )
