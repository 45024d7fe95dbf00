"""SELECT, VALUES and WITH: the rows go to the result file."""

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from local_aws.athena.errors import QueryCancelled
from local_aws.athena.output import csv
from local_aws.athena.output.csv import ResultColumn
from local_aws.athena.sql import functions, literals, operators, subqueries
from local_aws.athena.sql.core import Query
from local_aws.athena.sql.parser import bind_parameters, parse_query
from local_aws.athena.sql.queries import compile_query, finish
from local_aws.athena.statements.outcome import Job, Outcome
from local_aws.athena.storage import put_file

_RULES = (functions, literals, operators, subqueries)  # imported for the rules they register


@dataclass
class Prepared:
    """A query ready to run: DuckDB's SQL, the names inside it, and its columns as the client sees them."""

    sql: str
    refs: list[str]
    columns: list[ResultColumn]


def run_query(job: Job) -> Outcome:
    """Run the query and write its result file."""
    prepared = prepare(job, job.text, parse_query(job.text), job.parameters)
    path = job.scratch / f"{job.query_id}.csv"
    _, batches = job.run.batches(csv.rendered(prepared.sql, prepared.refs, prepared.columns))
    rows = csv.write(path, prepared.columns, batches)
    size = path.stat().st_size
    if job.output:
        put_file(job.s3(), f"{job.output}{job.query_id}.csv", path)
    else:
        job.managed.mkdir(parents=True, exist_ok=True)
        path.replace(job.managed / path.name)
    return Outcome(prepared.columns, None, output_rows=rows, output_bytes=size)


def prepare(job: Job, text: str, tree: exp.Expr, parameters: list[str]) -> Prepared:
    """Compile a query and see which data it reads. Raises QueryError or, past the workgroup's limit,
    QueryCancelled.
    """
    query = Query(text, job.catalog, job.started)
    compiled = compile_query(query, bind_parameters(tree, parameters), None)
    sql = finish(query, compiled, job.run)
    job.bytes_scanned = sum(scan.bytes_scanned for scan in query.scans)
    if job.scan_limit is not None and job.bytes_scanned > job.scan_limit:
        raise QueryCancelled("Bytes scanned limit was exceeded")
    columns = [ResultColumn(c.name or f"_col{i}", c.type) for i, c in enumerate(compiled.columns)]
    return Prepared(sql, [c.ref for c in compiled.columns], columns)


def explain(job: Job, text: str) -> list[str]:
    """DuckDB's plan of a query, line by line."""
    prepared = prepare(job, text, parse_query(text), job.parameters)
    rows: list[Any] = job.run.rows(f"EXPLAIN {prepared.sql}")
    return [line for _, plan in rows for line in plan.splitlines()]
