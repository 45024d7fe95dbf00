"""Answers on the terminal: an Athena query's rows, the estate, and where the account differs from it."""

import json
import math
import os
import socket
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from privacy_assets.errors import UserError
from privacy_assets.failures import NO_AWS, printable

CONNECT_SECONDS = 3.0
NO_WORKGROUP = (
    "Athena has no workgroup {workgroup!r}: on this machine `privacy-assets up` creates it with the rest of "
    "the estate (`aws up` alone is an empty account); in an account PRIVACY_ASSETS_ATHENA_WORKGROUP names it"
)
RIGHT_ALIGNED = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


def print_answer(sql: str, form: str, database: str | None) -> None:
    """Run ``sql`` in Athena and print its rows as ``form``: ``table``, ``csv`` or ``json``.

    Raises UserError when there is no SQL or no AWS, AthenaQueryFailed with Athena's reason.
    """
    statement = sql.strip().rstrip("; \n\t")
    if not statement:
        raise UserError("SQL: empty, expected one statement, such as: privacy-assets athena 'SHOW TABLES'")
    require_aws()
    from resources import settings
    from resources.athena import AthenaQueryFailed, AthenaResource

    workgroup = settings.ATHENA_WORKGROUP.value()
    athena = AthenaResource(workgroup=workgroup, database=database or settings.GLUE_DATABASE.value())
    try:
        rows = athena.fetch(athena.execute(statement))
    except AthenaQueryFailed as error:
        if "workgroup" in error.reason.lower() and "not found" in error.reason.lower():
            raise UserError(NO_WORKGROUP.format(workgroup=workgroup)) from None
        raise
    {"table": _print_table, "csv": _print_csv, "json": _print_json}[form](rows)


def require_aws() -> None:
    """Raises UserError at once when the environment points at an endpoint where nothing listens."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return
    try:
        parts = urlsplit(endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UserError(
            f"AWS_ENDPOINT_URL: {endpoint!r}, expected a URL such as http://127.0.0.1:4566"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"AWS_ENDPOINT_URL: {endpoint!r}, expected a URL such as http://127.0.0.1:4566")
    try:
        socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
    except OSError:
        raise UserError(NO_AWS.format(endpoint=endpoint)) from None


def _print_table(rows: pa.Table) -> None:
    if not rows.num_columns:
        return
    shown = Table(header_style="bold", row_styles=["", "dim"] if rows.num_rows > 5 else [""])
    for field in rows.schema:
        right = any(test(field.type) for test in RIGHT_ALIGNED)
        shown.add_column(Text(printable(field.name)), justify="right" if right else "left", overflow="fold")
    for row in _rows(rows):
        shown.add_row(
            *(
                Text("NULL", style="dim italic") if value is None else Text(printable(_text(value)))
                for value in row
            )
        )
    console = Console()
    if not console.is_terminal:  # a pipe has no width to fold at
        console = Console(width=32_000)
    console.print(shown)
    console.print(f"{rows.num_rows:,} {'row' if rows.num_rows == 1 else 'rows'}", style="dim")


def _print_csv(rows: pa.Table) -> None:
    """As Athena writes a result: every value quoted, NULL nothing at all, so that it and '' stay apart."""
    for values in ([*rows.column_names], *_rows(rows)):
        quoted = ("" if value is None else '"' + _text(value).replace('"', '""') + '"' for value in values)
        sys.stdout.write(",".join(quoted) + "\n")


def _print_json(rows: pa.Table) -> None:
    names = rows.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"column {twice[0]!r} is there twice, expected names that differ for --json: use AS")
    answer = [dict(zip(names, (_json(value) for value in row), strict=True)) for row in _rows(rows)]
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def _rows(rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def _text(value: Any) -> str:
    """A value as Athena prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    return str(value)


def _json(value: Any) -> Any:
    """A value as JSON has it; what JSON has no type for, and a decimal, which it may round, as text."""
    if isinstance(value, datetime | date | Decimal):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def print_differences(as_json: bool) -> int:
    """Compare the estate with the account and print each difference; returns how many there are."""
    from privacy_assets.governed import governed_estate, table_shapes
    from resources.provision import differences

    tables = table_shapes(governed_estate())
    require_aws()
    found = differences(tables)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in found)
        if not found:  # on stderr: no line on stdout is no difference
            sys.stderr.write("no differences: the account has what the estate needs\n")
    return len(found)


def print_estate() -> None:
    """Print what is governed, as it was understood."""
    from privacy_assets.governed import governed_estate

    console = Console()
    for table in governed_estate().tables:
        shown = Table(
            title=f"{table.name}: {table.table}, {table.owner}, kept {table.retention or 'for ever'}",
            title_justify="left",
            header_style="bold",
        )
        for name in ("attribute", "column", "type", "personal data", "description"):
            shown.add_column(name)
        for attribute, column in table.columns.items():
            marks = [
                *(["key"] if attribute in table.keys else []),
                *(["subject"] if attribute == table.subject_key else []),
            ]
            shown.add_row(
                Text(attribute + (f" ({', '.join(marks)})" if marks else "")),
                Text(table.column_name(attribute)),
                column.type.value,
                Text(", ".join(column.categories) or "—"),
                Text(column.description),
            )
        console.print(shown)
