"""UNLOAD and CREATE TABLE AS: data files in S3 (https://docs.aws.amazon.com/athena/latest/ug/unload.html,
…/ctas.html).
"""

import shutil
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from local_aws.athena.errors import QueryError, not_supported
from local_aws.athena.output.data import DataWriter, Format, Written, arrow_type, expressions
from local_aws.athena.scan.tables import split_location
from local_aws.athena.sql.parser import parse_query
from local_aws.athena.statements.lexer import Tokens
from local_aws.athena.statements.outcome import Job, Outcome
from local_aws.athena.statements.query import Prepared, prepare
from local_aws.athena.storage import put_bytes, put_file
from local_aws.athena.types import hive
from local_aws.objects import list_objects


@dataclass
class Target:
    """Where files go and how. ``properties`` are the WITH clause's, by lower-case name."""

    location: str
    properties: dict[str, Any] = field(default_factory=dict)

    def format(self, default: str, delimiter: str) -> Format:
        given = self.properties
        level = given.pop("compression_level", None)
        if level is not None and not str(level).isdigit():
            raise QueryError("INVALID_TABLE_PROPERTY", f"compression_level: a number expected, found {level}")
        name = str(given.pop("format", default))
        compression = str(
            given.pop("compression", "")
            or given.pop("write_compression", "")
            or given.pop("parquet_compression", "")
        )
        return Format(
            name,
            compression,
            str(given.pop("field_delimiter", delimiter)),
            [str(c).lower() for c in given.pop("partitioned_by", [])],
        )


def run_unload(job: Job) -> Outcome:
    """``UNLOAD (query) TO 's3://…' WITH (format = …)``."""
    tokens = Tokens(job.text)
    tokens.expect("UNLOAD")
    inner, start = _parenthesized(tokens)
    tokens.expect("TO")
    location = tokens.string()
    tokens.accept("WITH")
    target = Target(location, read_properties(tokens))
    tokens.end()
    if "format" not in target.properties:
        raise QueryError("SYNTAX_ERROR", "UNLOAD needs WITH (format = …)")
    form = target.format("", ",")
    if target.properties:
        raise QueryError(
            "INVALID_TABLE_PROPERTY", f"UNLOAD has no property '{next(iter(target.properties))}'"
        )
    padded = " " * start + inner  # places are those of the whole statement
    prepared = prepare(
        job,
        _keep_lines(job.text, start, padded),
        parse_query(_keep_lines(job.text, start, padded)),
        job.parameters,
    )
    refuse_full(job, location, "unload")
    written = write_data(job, prepared, location, form)
    return _outcome(job, written)


def _keep_lines(text: str, start: int, padded: str) -> str:
    """The inner query at its place in the whole text: everything before is blank, line ends kept."""
    return "".join("\n" if c == "\n" else " " for c in text[:start]) + padded[start:]


def _parenthesized(tokens: Tokens) -> tuple[str, int]:
    tokens.expect("(")
    start = tokens.rest_start()
    depth, end = 1, start
    while depth:
        token = tokens.next("')'")
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        end = token.start
    return tokens.text[start:end], start


def read_properties(tokens: Tokens) -> dict[str, Any]:
    """``(format = 'PARQUET', partitioned_by = ARRAY['a', 'b'])``."""
    found: dict[str, Any] = {}
    if not tokens.accept("("):
        return found
    while not tokens.accept(")"):
        name = tokens.name()
        tokens.expect("=")
        found[name] = _property(tokens)
        if not tokens.accept(",") and tokens.words(1) != [")"]:
            raise tokens.unexpected("',', ')'")
    return found


def _property(tokens: Tokens) -> Any:
    if tokens.accept("ARRAY"):
        tokens.expect("[")
        items = []
        while not tokens.accept("]"):
            items.append(tokens.string())
            tokens.accept(",")
        return items
    token = tokens.peek
    if token is not None and token.kind == "string":
        return tokens.string()
    return tokens.next("a value").text.lower()


def refuse_full(job: Job, location: str, what: str) -> None:
    """An UNLOAD or CTAS needs an empty target; Athena deletes nothing."""
    bucket, prefix = split_location(location)
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    try:
        found = list_objects(bucket, prefix)
    except KeyError:
        raise QueryError("HIVE_METASTORE_ERROR", f"The specified bucket does not exist: {bucket}") from None
    if found:
        shown = (
            f"awsdatacatalog.{job.catalog.database}.{what}"
            if what != "unload"
            else f"{job.catalog.database}.temp_table_{job.query_id.replace('-', '')}"
        )
        raise QueryError(
            "HIVE_PATH_ALREADY_EXISTS",
            f"Target directory for table '{shown}' already exists: {location}. You may need to manually "
            f"clean the data at location '{job.output}tables/{job.query_id}' before retrying. Athena will "
            "not delete data in your account.",
        )


def write_data(job: Job, prepared: Prepared, location: str, form: Format) -> list[tuple[Written, str]]:
    """Run the query into files under ``location``; each with its s3:// address."""
    names = [c.name for c in prepared.columns]
    if len(set(names)) != len(names):
        raise QueryError(
            "DUPLICATE_COLUMN_NAME",
            f"Column name specified more than once: {next(n for n in names if names.count(n) > 1)}",
        )
    kinds = [c.type for c in prepared.columns]
    for kind in kinds:
        arrow_type(kind)
    selected = expressions(prepared.refs, kinds, form)
    sql = f"SELECT {', '.join(f'{s} AS c{i}' for i, s in enumerate(selected))} FROM ({prepared.sql})"
    directory = job.scratch / job.query_id
    base = location.rstrip("/") + "/"
    try:
        with DataWriter(directory, names, kinds, form, job.query_id) as writer:
            _, batches = job.run.batches(sql)
            for batch in batches:
                writer.write(batch)
        done = []
        s3 = job.s3()
        for n, record in enumerate(writer.written):
            job.run.check()
            name = f"{job.query_id.replace('-', '_')}_{n:05d}_{record.path.name}{form.suffix}"
            address = f"{base}{record.folder}{name}"
            record_size = record.path.stat().st_size
            put_file(s3, address, record.path)
            done.append((record, address))
            job.written_bytes += record_size
        return done
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _outcome(job: Job, written: list[tuple[Written, str]]) -> Outcome:
    manifest = f"{job.output}{job.query_id}-manifest.csv" if job.output else None
    if manifest:
        put_bytes(job.s3(), manifest, "".join(address + "\n" for _, address in written).encode())
    rows = sum(record.rows for record, _ in written)
    return Outcome(
        [], None, update_count=rows, manifest=manifest, output_rows=rows, output_bytes=job.written_bytes
    )


# -- CREATE TABLE AS -------------------------------------------------------------------------------


def run_create_table_as(job: Job) -> Outcome:
    """``CREATE TABLE name WITH (…) AS query [WITH NO DATA]``."""
    tokens = Tokens(job.text)
    tokens.expect("CREATE", "TABLE")
    quiet = tokens.accept("IF", "NOT", "EXISTS")
    schema, name = tokens.qualified()
    target = Target("", read_properties(tokens) if tokens.accept("WITH") else {})
    tokens.expect("AS")
    start = tokens.rest_start()
    query = tokens.rest()
    with_data = True
    for ending in ("WITH NO DATA", "WITH DATA"):
        if query.upper().endswith(ending):
            query, with_data = query[: -len(ending)], ending == "WITH DATA"
    database = schema or job.catalog.database
    if job.catalog.find(database, name) is not None:
        if quiet:
            return Outcome(update_count=0)
        raise QueryError(
            "TABLE_ALREADY_EXISTS", f"Table 'awsdatacatalog.{database}.{name}' already exists", 1, 1
        )
    _refuse_properties(target.properties)
    given = str(target.properties.pop("external_location", ""))
    if not given and not job.output:
        raise QueryError("INVALID_TABLE_PROPERTY", "external_location is needed where results are managed")
    location = (given or f"{job.output}tables/{job.query_id}").rstrip("/") + "/"
    form = target.format("PARQUET", "\x01")
    if target.properties:
        raise QueryError(
            "INVALID_TABLE_PROPERTY",
            f"Catalog 'awsdatacatalog' table property '{next(iter(target.properties))}' does not exist",
        )
    whole = _keep_lines(job.text, start, " " * start + query)
    prepared = prepare(job, whole, parse_query(whole), job.parameters)
    if any(c.name.startswith("_col") for c in prepared.columns):
        raise QueryError(
            "MISSING_COLUMN_NAME",
            f"Column name not specified at position "
            f"{next(i for i, c in enumerate(prepared.columns) if c.name.startswith('_col')) + 1}",
            1,
            1,
        )
    refuse_full(job, location, name)
    written = write_data(job, prepared, location, form) if with_data else []
    _create(job, database, name, prepared, location, form)
    _add_partitions(job, database, name, location, form, written)
    return _outcome(job, written)


def _refuse_properties(given: dict[str, Any]) -> None:
    if given.pop("bucketed_by", None) or given.pop("bucket_count", None):
        raise not_supported("CREATE TABLE AS with bucketed_by")
    kind = str(given.pop("table_type", "HIVE")).upper()
    if kind != "HIVE":
        raise not_supported(f"CREATE TABLE AS with table_type {kind}")
    given.pop("is_external", None)


_STORAGE = {
    "PARQUET": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "JSON": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hive.hcatalog.data.JsonSerDe",
    ),
    "TEXTFILE": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    ),
}


def descriptor(columns: list[dict[str, str]], location: str, form: Format) -> dict[str, Any]:
    """Glue's StorageDescriptor for files of a format."""
    input_format, output_format, serde = _STORAGE[form.name]
    given = (
        {"field.delim": form.delimiter, "serialization.format": form.delimiter}
        if form.name == "TEXTFILE"
        else {"serialization.format": "1"}
    )
    return {
        "Columns": columns,
        "Location": location,
        "InputFormat": input_format,
        "OutputFormat": output_format,
        "Compressed": False,
        "NumberOfBuckets": -1,
        "SerdeInfo": {"SerializationLibrary": serde, "Parameters": given},
    }


def _create(job: Job, database: str, name: str, prepared: Prepared, location: str, form: Format) -> None:
    columns = [{"Name": c.name, "Type": hive(c.type)} for c in prepared.columns]
    count = len(form.partitioned_by)
    own, keys = (columns[:-count], columns[-count:]) if count else (columns, [])
    try:
        job.glue().create_table(
            DatabaseName=database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "StorageDescriptor": descriptor(own, location, form),
                "PartitionKeys": keys,
                "Parameters": {"EXTERNAL": "TRUE", "has_encrypted_data": "false"},
            },
        )
    except ClientError as error:
        raise QueryError("HIVE_METASTORE_ERROR", error.response["Error"].get("Message", "")) from None


def _add_partitions(
    job: Job, database: str, name: str, location: str, form: Format, written: list[tuple[Written, str]]
) -> None:
    if not form.partitioned_by:
        return
    glue = job.glue()
    for folder in dict.fromkeys(record.folder for record, _ in written):
        texts = next(list(record.values) for record, _ in written if record.folder == folder)
        glue.create_partition(
            DatabaseName=database,
            TableName=name,
            PartitionInput={"Values": texts, "StorageDescriptor": descriptor([], location + folder, form)},
        )
