"""SHOW, DESCRIBE and EXPLAIN."""

import re
from typing import Any

from local_aws.athena.catalog import Table
from local_aws.athena.errors import QueryError, not_supported
from local_aws.athena.output.csv import ResultColumn
from local_aws.athena.statements.lexer import Tokens
from local_aws.athena.statements.outcome import Job, Outcome, text_rows
from local_aws.athena.statements.query import explain
from local_aws.athena.types import VARCHAR


def show(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("SHOW")
    first = tokens.next().upper
    if first in ("DATABASES", "SCHEMAS"):
        return text_rows("database_name", _matching(job.catalog.databases(), tokens))
    if first in ("TABLES", "VIEWS"):
        schema = tokens.name() if tokens.accept("IN") or tokens.accept("FROM") else job.catalog.database
        names = _names(job, schema, views_only=first == "VIEWS")
        return text_rows("tab_name" if first == "TABLES" else "views", _matching(names, tokens))
    if first == "PARTITIONS":
        return _partitions(_find(job, tokens))
    if first == "COLUMNS":
        tokens.next()
        table = _find(job, tokens)
        return text_rows("field", [f"{name:<20}" for name, _ in [*table.columns, *table.partition_keys]])
    if first == "TBLPROPERTIES":
        table = _find(job, tokens)
        wanted = _parenthesized_name(tokens)
        rows = [[k, v] for k, v in sorted(table.parameters.items()) if wanted in (None, k)]
        return Outcome([ResultColumn("prpt_name", VARCHAR), ResultColumn("prpt_value", VARCHAR)], rows)  # type: ignore[arg-type]  # str is str | None
    if first == "CREATE":
        what = tokens.next().upper
        table = _find(job, tokens)
        if what == "VIEW" and table.view is not None:
            return text_rows(
                "create view", f"CREATE VIEW {table.schema}.{table.name} AS\n{table.view}".splitlines()
            )
        return text_rows("createtab_stmt", create_statement(table).splitlines())
    raise not_supported(f"SHOW {first}")


def _names(job: Job, schema: str, *, views_only: bool) -> list[str]:
    if job.catalog.database_of(schema) is None and schema.lower() != "default":
        raise QueryError(
            "SCHEMA_NOT_FOUND", f"FAILED: SemanticException [Error 10072]: Database does not exist: {schema}"
        )
    names = job.catalog.table_names(schema)
    if views_only:
        names = [
            n for n in names if (found := job.catalog.find(schema, n)) is not None and found.view is not None
        ]
    return names


def _matching(names: list[str], tokens: Tokens) -> list[str]:
    """Those that a pattern of Hive's keeps: ``*`` is any text, ``|`` a choice."""
    tokens.accept("LIKE")
    if tokens.done:
        return names
    pattern = tokens.string()
    tokens.end()
    choices = [
        re.compile(choice.replace("%", "*").replace("*", ".*"), re.IGNORECASE)
        for choice in pattern.split("|")
    ]
    return [name for name in names if any(choice.fullmatch(name) for choice in choices)]


def _find(job: Job, tokens: Tokens) -> Table:
    schema, name = tokens.qualified()
    if tokens.accept("IN") or tokens.accept("FROM"):
        schema = tokens.name()
    found = job.catalog.find(schema, name)
    if found is None:
        raise QueryError(
            "TABLE_NOT_FOUND",
            f"FAILED: SemanticException [Error 10001]: Table not found "
            f"{schema or job.catalog.database}.{name}",
        )
    return found


def _parenthesized_name(tokens: Tokens) -> str | None:
    if not tokens.accept("("):
        return None
    name = tokens.string()
    tokens.expect(")")
    return name


def _partitions(table: Table) -> Outcome:
    if not table.partition_keys:
        raise QueryError(
            "NOT_PARTITIONED",
            f"FAILED: SemanticException [Error 10241]: Table {table.schema}.{table.name} is not a "
            f"partitioned table",
        )
    keys = [key for key, _ in table.partition_keys]
    rows = ["/".join(f"{k}={v}" for k, v in zip(keys, p.values, strict=True)) for p in table.partitions()]
    return text_rows("partition", sorted(rows))


def describe(job: Job) -> Outcome:
    """Names, types and comments, padded as Hive pads them, partition keys below.

    As with Athena, the answer says three columns and has one value a row, parted by tabs.
    """
    tokens = Tokens(job.text)
    tokens.next()
    tokens.accept("EXTENDED")
    tokens.accept("FORMATTED")
    table = _find(job, tokens)
    data = table.raw.as_dict()
    lines = [_line(c) for c in data["StorageDescriptor"]["Columns"]]
    keys = data.get("PartitionKeys") or []
    lines += [_line(c) for c in keys]
    if keys:
        heading = f"{'# col_name':<20}\t{'data_type':<20}\t{'comment':<20}"
        lines += ["\t \t ", "# Partition Information\t \t ", heading, "\t \t ", *(_line(c) for c in keys)]
    columns = [ResultColumn(name, VARCHAR) for name in ("col_name", "data_type", "comment")]
    return Outcome(columns, [[line] for line in lines])


def _line(column: dict[str, Any]) -> str:
    return f"{column['Name']:<20}\t{column.get('Type') or 'string':<20}\t{column.get('Comment') or '':<20}"


def create_statement(table: Table) -> str:
    """The CREATE EXTERNAL TABLE that would make the table again."""
    data = table.raw.as_dict()
    storage = data["StorageDescriptor"]
    serde = storage.get("SerdeInfo") or {}

    def listed(columns: list[dict[str, Any]]) -> str:
        return ", \n".join(
            f"  `{c['Name']}` {c.get('Type') or 'string'}"
            + (f" COMMENT '{c['Comment']}'" if c.get("Comment") else "")
            for c in columns
        )

    def pairs(values: dict[str, str]) -> str:
        return ", \n".join(f"  '{k}'='{v}'" for k, v in sorted(values.items()))

    parts = [f"CREATE EXTERNAL TABLE `{table.schema}.{table.name}`(\n{listed(storage['Columns'])})"]
    if data.get("PartitionKeys"):
        parts.append(f"PARTITIONED BY ( \n{listed(data['PartitionKeys'])})")
    if serde.get("SerializationLibrary"):
        parts.append(f"ROW FORMAT SERDE \n  '{serde['SerializationLibrary']}' ")
    if serde.get("Parameters"):
        parts.append(f"WITH SERDEPROPERTIES ( \n{pairs(serde['Parameters'])}) ")
    if storage.get("InputFormat"):
        parts.append(
            f"STORED AS INPUTFORMAT \n  '{storage['InputFormat']}' \nOUTPUTFORMAT \n  "
            f"'{storage.get('OutputFormat', '')}'"
        )
    parts.append(f"LOCATION\n  '{storage.get('Location', '')}'")
    kept = {k: v for k, v in (data.get("Parameters") or {}).items() if k != "EXTERNAL"}
    if kept:
        parts.append(f"TBLPROPERTIES (\n{pairs(kept)})")
    return "\n".join(parts)


def run_explain(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("EXPLAIN")
    if tokens.words(1) == ["ANALYZE"]:
        raise not_supported("EXPLAIN ANALYZE")
    if tokens.words(1) == ["("] and tokens.words(2)[1] in ("TYPE", "FORMAT"):
        while not tokens.accept(")"):
            tokens.next()
    return text_rows("Query Plan", explain(job, tokens.rest()))
