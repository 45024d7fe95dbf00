"""A real Trino, asked through its client, its values as Athena prints them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from local_aws.athena.udf import java_double
from tests.local_aws.athena.semantics import Fails, Rows


class Trino:
    def __init__(self, url: str) -> None:
        client = _client()
        parts = urlsplit(url)
        self._connection = client.connect(
            host=parts.hostname, port=parts.port or 8080, user="test", timezone="UTC"
        )

    def rows(self, sql: str) -> "Rows | Fails":
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            return [tuple(_text(value) for value in row) for row in cursor.fetchall()]
        except _client().exceptions.TrinoUserError as error:
            return Fails(str(error.error_name), str(error.message))


def _client() -> Any:
    import pytest

    found = pytest.importorskip("trino.dbapi", reason="the client of Trino is not installed")
    found.exceptions = pytest.importorskip("trino.exceptions")
    return found


def _text(value: Any) -> str | None:
    return None if value is None else _inner(value)


def _inner(value: Any) -> str:  # a table of cases
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
        return f"{text} {value.tzinfo}" if value.tzinfo is not None else text
    if isinstance(value, date | Decimal | int | str):
        return str(value)
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inner(k)}={_inner(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        names = getattr(value, "__annotations__", {}).get("names") or [f"field{i}" for i in range(len(value))]
        return (
            "{"
            + ", ".join(
                f"{n or f'field{i}'}={_inner(v)}" for i, (n, v) in enumerate(zip(names, value, strict=False))
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_inner, value)) + "]"
    return str(value)
