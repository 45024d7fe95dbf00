"""DDL of databases, tables, partitions and views, in Hive's words (https://docs.aws.amazon.com/athena/latest/ug/ddl-reference.html)."""

from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local_aws.athena import types
from local_aws.athena.catalog import Table
from local_aws.athena.errors import QueryError, not_supported
from local_aws.athena.scan.tables import split_location
from local_aws.athena.sql.parser import parse_query
from local_aws.athena.statements.lexer import Tokens
from local_aws.athena.statements.outcome import Job, Outcome
from local_aws.athena.statements.query import prepare
from local_aws.athena.views import encoded
from local_aws.objects import list_objects

_TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
_TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
_LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
_STORED = {
    "TEXTFILE": (_TEXT_INPUT, _TEXT_OUTPUT, _LAZY),
    "PARQUET": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "JSONFILE": (_TEXT_INPUT, _TEXT_OUTPUT, "org.apache.hive.hcatalog.data.JsonSerDe"),
}
_DELIMITERS = {
    ("FIELDS", "TERMINATED"): "field.delim", ("COLLECTION", "ITEMS"): "collection.delim",
    ("MAP", "KEYS"): "mapkey.delim", ("LINES", "TERMINATED"): "line.delim", ("NULL",
    "DEFINED"): "serialization.null.format",
}  # fmt: skip


def _glue(job: Job, operation: str, **request: Any) -> None:
    """Call Glue; its refusal is the query's failure."""
    try:
        getattr(job.glue(), operation)(**request)
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        names = {"AlreadyExistsException": "ALREADY_EXISTS", "EntityNotFoundException": "NOT_FOUND"}
        raise QueryError(
            "HIVE_METASTORE_ERROR",
            f"FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. "
            f"{names.get(code, code)}: {message}",
        ) from None


def _database(job: Job, name: str | None) -> str:
    found = job.catalog.database_of(name or job.catalog.database)
    if found is None and (name or job.catalog.database).lower() == "default":
        # Athena's default database is always there
        _glue(job, "create_database", DatabaseInput={"Name": "default"})
        return "default"
    if found is None:
        raise QueryError(
            "SCHEMA_NOT_FOUND",
            f"FAILED: SemanticException [Error 10072]: Database does not exist: "
            f"{name or job.catalog.database}",
        )
    return str(found.name)


def _table(job: Job, schema: str | None, name: str) -> Table:
    found = job.catalog.find(schema, name)
    if found is None:
        raise QueryError(
            "TABLE_NOT_FOUND",
            f"FAILED: SemanticException [Error 10001]: Table not found "
            f"{schema or job.catalog.database}.{name}",
        )
    return found


# -- databases -------------------------------------------------------------------------------------


def create_database(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("CREATE")
    tokens.next()
    quiet = tokens.accept("IF", "NOT", "EXISTS")
    name = tokens.name()
    request: dict[str, Any] = {"Name": name}
    if tokens.accept("COMMENT"):
        request["Description"] = tokens.string()
    if tokens.accept("LOCATION"):
        request["LocationUri"] = tokens.string()
    if tokens.accept("WITH", "DBPROPERTIES"):
        request["Parameters"] = tokens.properties()
    tokens.end()
    if job.catalog.database_of(name) is None:
        _glue(job, "create_database", DatabaseInput=request)
    elif not quiet:
        raise QueryError(
            "SCHEMA_ALREADY_EXISTS",
            f"FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. "
            f"Database {name} already exists",
        )
    return Outcome()


def drop_database(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("DROP")
    tokens.next()
    quiet = tokens.accept("IF", "EXISTS")
    name = tokens.name()
    cascade = tokens.accept("CASCADE")
    tokens.accept("RESTRICT")
    tokens.end()
    found = job.catalog.database_of(name)
    if found is None:
        if quiet:
            return Outcome()
        raise QueryError(
            "SCHEMA_NOT_FOUND", f"FAILED: SemanticException [Error 10072]: Database does not exist: {name}"
        )
    if found.tables and not cascade:
        raise QueryError(
            "SCHEMA_NOT_EMPTY",
            f"FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. "
            f"InvalidOperationException(message:Database {name} is not empty. One or more tables exist.)",
        )
    for table in list(found.tables):
        _glue(job, "delete_table", DatabaseName=found.name, Name=table)
    _glue(job, "delete_database", Name=found.name)
    return Outcome()


# -- tables ----------------------------------------------------------------------------------------


def create_table(job: Job) -> Outcome:
    """``CREATE EXTERNAL TABLE``, with any of Hive's clauses in any order."""
    tokens = Tokens(job.text)
    tokens.expect("CREATE")
    if not tokens.accept("EXTERNAL", "TABLE"):
        raise not_supported("CREATE TABLE without EXTERNAL (a managed table)")
    quiet = tokens.accept("IF", "NOT", "EXISTS")
    schema, name = tokens.qualified()
    table: dict[str, Any] = {"Name": name, "TableType": "EXTERNAL_TABLE", "PartitionKeys": []}
    columns = _columns(tokens)
    storage: dict[str, Any] = {"serde": "", "parameters": {}, "location": "", "formats": None}
    parameters = {"EXTERNAL": "TRUE"}
    while not tokens.done:
        _clause(tokens, table, storage, parameters)
    if not storage["location"]:
        raise QueryError(
            "SYNTAX_ERROR", "FAILED: SemanticException LOCATION is missing in CREATE EXTERNAL TABLE"
        )
    split_location(storage["location"])
    input_format, output_format, serde = storage["formats"] or _STORED["TEXTFILE"]
    if storage["serde"]:
        serde = storage["serde"]
    table["Parameters"] = parameters
    table["StorageDescriptor"] = {
        "Columns": columns, "Location": storage["location"], "InputFormat": input_format,
        "OutputFormat": output_format,
        "NumberOfBuckets": -1, "SerdeInfo": {"SerializationLibrary": serde,
        "Parameters": storage["parameters"] or {"serialization.format": "1"}},
    }  # fmt: skip
    database = _database(job, schema)
    if job.catalog.find(database, name) is not None:
        if quiet:
            return Outcome()
        raise QueryError(
            "TABLE_ALREADY_EXISTS",
            f"FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. "
            f"AlreadyExistsException(message:Table {name} already exists.)",
        )
    _glue(job, "create_table", DatabaseName=database, TableInput=table)
    return Outcome()


def _columns(tokens: Tokens) -> list[dict[str, str]]:
    tokens.expect("(")
    found = []
    while not tokens.accept(")"):
        column = {"Name": tokens.name()}
        kind = tokens.until(",", "COMMENT").lower()
        try:
            types.parse(kind)
        except ValueError as error:
            raise tokens.error(f"column {column['Name']}: {error}") from None
        column["Type"] = kind
        if tokens.accept("COMMENT"):
            column["Comment"] = tokens.string()
        found.append(column)
        if not tokens.accept(",") and tokens.words(1) != [")"]:
            raise tokens.unexpected("',', ')'")
    return found


def _clause(
    tokens: Tokens, table: dict[str, Any], storage: dict[str, Any], parameters: dict[str, str]
) -> None:
    if tokens.accept("COMMENT"):
        table["Description"] = tokens.string()
    elif tokens.accept("PARTITIONED", "BY"):
        table["PartitionKeys"] = _columns(tokens)
    elif tokens.accept("CLUSTERED", "BY"):
        raise not_supported("CREATE TABLE with CLUSTERED BY")
    elif tokens.accept("ROW", "FORMAT", "SERDE"):
        storage["serde"] = tokens.string()
        if tokens.accept("WITH", "SERDEPROPERTIES"):
            storage["parameters"] |= tokens.properties()
    elif tokens.accept("WITH", "SERDEPROPERTIES"):
        storage["parameters"] |= tokens.properties()
    elif tokens.accept("ROW", "FORMAT", "DELIMITED"):
        _delimited(tokens, storage)
    elif tokens.accept("STORED", "AS", "INPUTFORMAT"):
        input_format = tokens.string()
        tokens.expect("OUTPUTFORMAT")
        storage["formats"] = (input_format, tokens.string(), storage["serde"] or _LAZY)
    elif tokens.accept("STORED", "AS"):
        kind = tokens.name().upper()
        if kind not in _STORED:
            raise not_supported(f"STORED AS {kind}")
        storage["formats"] = _STORED[kind]
    elif tokens.accept("LOCATION"):
        storage["location"] = tokens.string()
    elif tokens.accept("TBLPROPERTIES"):
        parameters |= tokens.properties()
    else:
        raise tokens.unexpected("COMMENT, PARTITIONED BY, ROW FORMAT, STORED AS, LOCATION, TBLPROPERTIES")


def _delimited(tokens: Tokens, storage: dict[str, Any]) -> None:
    storage["serde"] = _LAZY
    while True:
        found = next((key for key in _DELIMITERS if tokens.words(2) == list(key)), None)
        if tokens.accept("ESCAPED", "BY"):
            storage["parameters"]["escape.delim"] = tokens.string()
            continue
        if found is None:
            return
        tokens.expect(*found)
        if found == ("COLLECTION", "ITEMS") or found == ("MAP", "KEYS"):
            tokens.expect("TERMINATED")
        tokens.expect("AS" if found[0] == "NULL" else "BY")
        value = tokens.string()
        storage["parameters"][_DELIMITERS[found]] = value
        if found == ("FIELDS", "TERMINATED"):
            storage["parameters"]["serialization.format"] = value


def drop_table(job: Job) -> Outcome:
    """A table's or a view's entry in the catalog; the data stays."""
    tokens = Tokens(job.text)
    tokens.expect("DROP")
    view = tokens.accept("VIEW")
    if not view:
        tokens.expect("TABLE")
    quiet = tokens.accept("IF", "EXISTS")
    schema, name = tokens.qualified()
    tokens.end()
    if job.catalog.database_of(schema or job.catalog.database) is None and quiet:
        return Outcome()
    found = job.catalog.find(schema, name)
    if found is None:
        if quiet:
            return Outcome()
        what = "View" if view else "Table"
        raise QueryError(
            "TABLE_NOT_FOUND",
            f"FAILED: SemanticException [Error 10001]: {what} not found "
            f"{schema or job.catalog.database}.{name}",
        )
    if (found.view is not None) != view:
        raise QueryError(
            "INVALID_TABLE",
            f"{found.schema}.{found.name} is a {'view, not a table' if not view else 'table, not a view'}",
        )
    _glue(job, "delete_table", DatabaseName=found.raw.database_name, Name=found.raw.name)
    return Outcome()


# -- partitions ------------------------------------------------------------------------------------


def alter_table(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("ALTER", "TABLE")
    schema, name = tokens.qualified()
    table = _table(job, schema, name)
    if tokens.accept("ADD"):
        if tokens.words(1) == ["COLUMNS"]:
            return _add_columns(job, table, tokens)
        return _add_partitions(job, table, tokens, quiet=tokens.accept("IF", "NOT", "EXISTS"))
    if tokens.accept("DROP"):
        return _drop_partitions(job, table, tokens, quiet=tokens.accept("IF", "EXISTS"))
    if tokens.accept("SET", "TBLPROPERTIES"):
        return _set_properties(job, table, tokens)
    if tokens.words(1) == ["PARTITION"]:
        return _move_partition(job, table, tokens)
    raise not_supported("ALTER TABLE " + " ".join(tokens.words(2)))


def _spec(table: Table, tokens: Tokens) -> list[str]:
    """``PARTITION (a = 'x', b = 1)``: the values in the order of the table's keys."""
    tokens.expect("PARTITION", "(")
    given: dict[str, str] = {}
    while not tokens.accept(")"):
        key = tokens.name()
        tokens.expect("=")
        token = tokens.peek
        tokens.accept("DATE")
        token = tokens.peek
        given[key] = (
            tokens.string() if token is not None and token.kind == "string" else tokens.next("a value").text
        )
        tokens.accept(",")
    keys = [key for key, _ in table.partition_keys]
    if set(given) != set(keys):
        raise QueryError(
            "SYNTAX_ERROR",
            f"FAILED: SemanticException partition spec {given} doesn't contain exactly the partition "
            f"columns {keys}",
        )
    return [given[key] for key in keys]


def _default_location(table: Table, values: list[str]) -> str:
    folders = "".join(f"{key}={value}/" for (key, _), value in zip(table.partition_keys, values, strict=True))
    return table.storage.location.rstrip("/") + "/" + folders


def _partition_input(table: Table, values: list[str], location: str) -> dict[str, Any]:
    storage = dict(table.raw.as_dict()["StorageDescriptor"])
    storage["Location"] = location
    return {"Values": values, "StorageDescriptor": storage}


def _exists(table: Table, values: list[str]) -> bool:
    return any(list(p.values) == values for p in table.partitions())


def _add_partitions(job: Job, table: Table, tokens: Tokens, *, quiet: bool) -> Outcome:
    new = []
    while not tokens.done:
        values = _spec(table, tokens)
        location = tokens.string() if tokens.accept("LOCATION") else _default_location(table, values)
        if _exists(table, values):
            if quiet:
                continue
            raise QueryError(
                "ALREADY_EXISTS",
                f"FAILED: Execution Error, return code 1 from "
                f"org.apache.hadoop.hive.ql.exec.DDLTask. "
                f"AlreadyExistsException(message:Partition already exists: {values})",
            )
        new.append(_partition_input(table, values, location))
    for partition in new:
        _glue(
            job,
            "create_partition",
            DatabaseName=table.raw.database_name,
            TableName=table.raw.name,
            PartitionInput=partition,
        )
    return Outcome()


def _drop_partitions(job: Job, table: Table, tokens: Tokens, *, quiet: bool) -> Outcome:
    specs = []
    while not tokens.done:
        values = _spec(table, tokens)
        tokens.accept(",")
        if not _exists(table, values):
            if quiet:
                continue
            raise QueryError(
                "NOT_FOUND", f"FAILED: SemanticException [Error 10006]: Partition not found {values}"
            )
        specs.append(values)
    for values in specs:
        _glue(
            job,
            "delete_partition",
            DatabaseName=table.raw.database_name,
            TableName=table.raw.name,
            PartitionValues=values,
        )
    return Outcome()


def _move_partition(job: Job, table: Table, tokens: Tokens) -> Outcome:
    values = _spec(table, tokens)
    tokens.expect("SET", "LOCATION")
    location = tokens.string()
    tokens.end()
    _glue(
        job,
        "update_partition",
        DatabaseName=table.raw.database_name,
        TableName=table.raw.name,
        PartitionValueList=values,
        PartitionInput=_partition_input(table, values, location),
    )
    return Outcome()


def _table_input(table: Table) -> dict[str, Any]:
    kept = (
        "Name",
        "Description",
        "StorageDescriptor",
        "PartitionKeys",
        "TableType",
        "Parameters",
        "ViewOriginalText",
    )
    return {key: value for key, value in table.raw.as_dict().items() if key in kept}


def _update(job: Job, table: Table, request: dict[str, Any]) -> Outcome:
    _glue(job, "update_table", DatabaseName=table.raw.database_name, TableInput=request)
    return Outcome()


def _set_properties(job: Job, table: Table, tokens: Tokens) -> Outcome:
    request = _table_input(table)
    request["Parameters"] = {**(request.get("Parameters") or {}), **tokens.properties()}
    tokens.end()
    return _update(job, table, request)


def _add_columns(job: Job, table: Table, tokens: Tokens) -> Outcome:
    tokens.expect("COLUMNS")
    request = _table_input(table)
    storage = dict(request["StorageDescriptor"])
    storage["Columns"] = [*storage["Columns"], *_columns(tokens)]
    request["StorageDescriptor"] = storage
    tokens.end()
    return _update(job, table, request)


def repair_table(job: Job) -> Outcome:
    """``MSCK REPAIR TABLE``: folders ``key=value`` that are no partitions yet become some."""
    tokens = Tokens(job.text)
    tokens.expect("MSCK", "REPAIR", "TABLE")
    table = _table(job, *tokens.qualified())
    tokens.end()
    bucket, prefix = split_location(table.storage.location)
    prefix = prefix.rstrip("/") + "/"
    keys = [key for key, _ in table.partition_keys]
    found: dict[tuple[str, ...], str] = {}
    for item in list_objects(bucket, prefix):
        folders = item.key[len(prefix) :].split("/")[:-1][: len(keys)]
        pairs = [folder.partition("=") for folder in folders]
        if [p[0].lower() for p in pairs] == keys and not any(f.startswith(("_", ".")) for f in folders):
            found[tuple(unquote(p[2]) for p in pairs)] = f"s3://{bucket}/{prefix}{'/'.join(folders)}/"
    new = [(values, location) for values, location in found.items() if not _exists(table, list(values))]
    for values, location in new:
        partition = _partition_input(table, list(values), location)
        _glue(
            job,
            "create_partition",
            DatabaseName=table.raw.database_name,
            TableName=table.raw.name,
            PartitionInput=partition,
        )
    shown = [
        f"{table.name}:{'/'.join(f'{k}={v}' for k, v in zip(keys, values, strict=True))}" for values, _ in new
    ]
    lines = [
        f"Partitions not in metastore:\t{chr(9).join(shown)}",
        *(f"Repair: Added partition to metastore {s}" for s in shown),
    ]
    return Outcome([], [[line] for line in lines] if shown else [])


# -- views -----------------------------------------------------------------------------------------


def create_view(job: Job) -> Outcome:
    tokens = Tokens(job.text)
    tokens.expect("CREATE")
    replace = tokens.accept("OR", "REPLACE")
    tokens.expect("VIEW")
    schema, name = tokens.qualified()
    tokens.expect("AS")
    sql = tokens.rest()
    prepared = prepare(job, sql, parse_query(sql), [])
    database = _database(job, schema)
    found = job.catalog.find(database, name)
    if found is not None and (found.view is None or not replace):
        raise QueryError("TABLE_ALREADY_EXISTS", f"View already exists: 'awsdatacatalog.{database}.{name}'")
    columns = [{"Name": c.name, "Type": _view_type(c.type)} for c in prepared.columns]
    request = {
        "Name": name, "TableType": "VIRTUAL_VIEW", "Parameters": {"presto_view": "true",
        "comment": "Presto View"},
        "ViewOriginalText": encoded(sql, job.catalog.database, [(c.name,
        str(c.type)) for c in prepared.columns]),
        "ViewExpandedText": "/* Presto View */", "StorageDescriptor": {"Columns": columns,
        "Location": "", "SerdeInfo": {}},
        "PartitionKeys": [],
    }  # fmt: skip
    if found is None:
        _glue(job, "create_table", DatabaseName=database, TableInput=request)
    else:
        _glue(job, "update_table", DatabaseName=database, TableInput=request)
    return Outcome()


def _view_type(kind: types.Type) -> str:
    try:
        return types.hive(kind)
    except KeyError:
        return "string"
