"""Views as Athena stores them in Glue: Presto's JSON, in base64, in a comment."""

import base64
import json

_OPENING, _CLOSING = "/* Presto View: ", " */"


def encoded(sql: str, schema: str, columns: list[tuple[str, str]]) -> str:
    """The ViewOriginalText of a view; ``columns`` are names and Trino types."""
    document = {
        "originalSql": sql,
        "catalog": "awsdatacatalog",
        "schema": schema,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }
    return _OPENING + base64.b64encode(json.dumps(document).encode()).decode() + _CLOSING


def original_sql(text: str) -> str:
    """The SQL of a view, from Presto's form or as it stands."""
    if text.startswith(_OPENING):
        document = json.loads(base64.b64decode(text.removeprefix(_OPENING).removesuffix(_CLOSING)))
        return str(document["originalSql"])
    return text
