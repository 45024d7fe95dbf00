"""Query executions: their states, kept in the store, and the workers that run them."""

import json
import shutil
import sys
import threading
import time
import traceback
import uuid
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.athena.catalog import Catalog
from local_aws.athena.engine import Engine, Run
from local_aws.athena.errors import QueryCancelled, QueryError
from local_aws.athena.output import csv
from local_aws.athena.statements.kinds import Kind, kind_of
from local_aws.athena.statements.outcome import Job, Outcome
from local_aws.athena.storage import put_bytes
from local_aws.context import Context

WORKERS = 4
"""Queries that run at once; more are QUEUED."""

KEPT = 10_000
"""Executions that are remembered; Athena keeps them for 45 days."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS athena_executions (
    id TEXT PRIMARY KEY, submitted REAL NOT NULL, token TEXT, fingerprint TEXT, document TEXT NOT NULL
)
"""


@dataclass
class Execution:
    """One execution. Times are seconds since 1970, durations milliseconds."""

    id: str
    query: str
    region: str
    database: str | None
    catalog: str | None
    workgroup: str
    output: str
    configuration: dict[str, Any]
    parameters: list[str]
    statement_type: str
    substatement: str
    suffix: str
    scan_limit: int | None
    submitted: float
    statement: str = ""
    bound: list[str] = field(default_factory=list)
    state: str = "QUEUED"
    started: float | None = None
    completed: float | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    bytes_scanned: int = 0
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[list[str | None]] | None = None
    update_count: int | None = None
    manifest: str | None = None
    output_rows: int = 0
    output_bytes: int = 0

    @property
    def ended(self) -> bool:
        return self.state in ("SUCCEEDED", "FAILED", "CANCELLED")

    @property
    def output_location(self) -> str | None:
        """Where the result is: its file, or for CTAS and UNLOAD the name that the manifest begins with."""
        if not self.output:
            return None
        folder = "tables/" if self.substatement == "CREATE_TABLE_AS_SELECT" else ""
        return f"{self.output}{folder}{self.id}{self.suffix}"

    def milliseconds(self, start: float | None, end: float | None) -> int:
        now = time.time()
        return max(0, round(((end or now) - (start or now)) * 1000))


class Executions:
    """All executions of the server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.RLock()
        self._known: OrderedDict[str, Execution] = OrderedDict()
        self._running: dict[str, Run] = {}
        self._engine: Engine | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._managed = context.store.directory / "athena-results"
        with context.store.write() as connection:
            connection.execute(_SCHEMA)
        self._load()

    def _load(self) -> None:
        """Executions of an earlier run of the server; those that its end cut off have failed."""
        rows = self._context.store.read("SELECT document FROM athena_executions ORDER BY submitted")
        for (document,) in rows:
            execution = Execution(**json.loads(document))
            self._known[execution.id] = execution
            if not execution.ended:
                execution.state = "FAILED"
                execution.reason = "GENERIC_INTERNAL_ERROR: the server ended while the query ran"
                execution.error = {
                    "ErrorCategory": 1,
                    "ErrorType": 1,
                    "Retryable": True,
                    "ErrorMessage": execution.reason,
                }
                execution.completed = time.time()
                self._keep(execution)

    # -- asking ------------------------------------------------------------------------------------

    def get(self, query_id: str) -> Execution | None:
        return self._known.get(query_id)

    def newest_first(self, region: str, workgroup: str) -> list[str]:
        with self._lock:
            known = list(self._known.values())
        return [e.id for e in reversed(known) if e.region == region and e.workgroup == workgroup]

    def find_token(self, token: str) -> tuple[str, str] | None:
        """The execution that was started with a client's token, and the fingerprint of its request."""
        rows = self._context.store.read(
            "SELECT id, fingerprint FROM athena_executions WHERE token = ?", (token,)
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def managed_result(self, query_id: str) -> Path:
        """The result file of a query whose workgroup leaves results to Athena."""
        return self._managed / f"{query_id}.csv"

    # -- starting and stopping ---------------------------------------------------------------------

    def submit(self, execution: Execution, token: str | None, fingerprint: str) -> str:
        """Queue an execution; its id, or that of the one that the token started before."""
        with self._lock:
            if token is not None:
                before = self.find_token(token)
                if before is not None:
                    return before[0]
            self._known[execution.id] = execution
            with self._context.store.write() as connection:
                connection.execute(
                    "INSERT INTO athena_executions (id, submitted, token, fingerprint, document) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (execution.id, execution.submitted, token, fingerprint, json.dumps(asdict(execution))),
                )
            self._forget_oldest()
            if self._engine is None:
                self._engine = Engine(self._context.scratch / "athena")
                self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="athena")
            run = self._engine.run()
            self._running[execution.id] = run
            assert self._pool is not None
            self._pool.submit(self._work, execution, run)
        return execution.id

    def stop(self, query_id: str) -> bool:
        """Stop an execution that has not ended; False when there is none of that id."""
        execution = self._known.get(query_id)
        if execution is None:
            return False
        with self._lock:
            run = self._running.get(query_id)
            if execution.state == "QUEUED":
                self._end(execution, "CANCELLED", "Query was cancelled by user")
        if run is not None:
            run.stop("Query was cancelled by user")
        return True

    def clear(self) -> None:
        """Stop everything and forget it."""
        self.close()
        with self._lock:
            self._known.clear()
            with self._context.store.write() as connection:
                connection.execute("DELETE FROM athena_executions")
            shutil.rmtree(self._managed, ignore_errors=True)

    def close(self) -> None:
        """Stop what runs and wait for it to end."""
        with self._lock:
            pool, self._pool, self._engine = self._pool, None, None
            for query_id in list(self._running):
                self.stop(query_id)
        if pool is not None:
            pool.shutdown(wait=True)

    def _forget_oldest(self) -> None:
        while len(self._known) > KEPT:
            oldest = next(iter(self._known))
            if not self._known[oldest].ended:
                return
            del self._known[oldest]
            self.managed_result(oldest).unlink(missing_ok=True)
            with self._context.store.write() as connection:
                connection.execute("DELETE FROM athena_executions WHERE id = ?", (oldest,))

    # -- working -----------------------------------------------------------------------------------

    def _work(self, execution: Execution, run: Run) -> None:
        try:
            with self._lock:
                if execution.ended:
                    return
                execution.state, execution.started = "RUNNING", time.time()
                self._keep(execution)
            self._attempt(execution, run)
        finally:
            with self._lock:
                self._running.pop(execution.id, None)
            run.close()

    def _attempt(self, execution: Execution, run: Run) -> None:
        scratch = self._context.scratch / "athena"
        job = Job(
            query_id=execution.id,
            text=execution.statement,
            parameters=execution.bound,
            catalog=Catalog(execution.region, execution.database or "default"),
            run=run,
            client=self._context.client,
            output=execution.output,
            scratch=scratch,
            managed=self._managed,
            started=datetime.fromtimestamp(execution.submitted, UTC),
            workgroup=execution.workgroup,
            scan_limit=execution.scan_limit,
        )
        kind: Kind = kind_of(execution.statement)
        try:
            outcome = kind.run(job)
            run.check()
            self._succeed(execution, job, outcome)
        except QueryCancelled as stopped:
            execution.bytes_scanned = job.bytes_scanned
            reason = str(stopped)
            prefix = "" if "user" in reason else "Query cancelled! : "
            self._end(execution, "CANCELLED", prefix + reason)
        except QueryError as error:
            execution.bytes_scanned = job.bytes_scanned
            self._fail(execution, error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the query has failed and must say so
            sys.stderr.write(traceback.format_exc())
            self._fail(
                execution,
                QueryError("GENERIC_INTERNAL_ERROR", f"{type(error).__name__}: {error}", category=1),
            )
        finally:
            (scratch / f"{execution.id}.csv").unlink(missing_ok=True)
            shutil.rmtree(scratch / execution.id, ignore_errors=True)

    def _succeed(self, execution: Execution, job: Job, outcome: Outcome) -> None:
        execution.bytes_scanned = job.bytes_scanned
        execution.columns = [c.info() for c in outcome.columns]
        execution.rows = outcome.rows
        execution.update_count, execution.manifest = outcome.update_count, outcome.manifest
        execution.output_rows, execution.output_bytes = outcome.output_rows, outcome.output_bytes
        if execution.output:
            _write_companions(execution, job, outcome)
        self._end(execution, "SUCCEEDED", None)

    def _fail(self, execution: Execution, error: QueryError) -> None:
        execution.error = {
            "ErrorCategory": error.category,
            "ErrorType": 1000 + error.category,
            "Retryable": False,
            "ErrorMessage": error.reason,
        }
        self._end(execution, "FAILED", error.reason)

    def _end(self, execution: Execution, state: str, reason: str | None) -> None:
        with self._lock:
            if execution.ended:
                return
            execution.completed, execution.reason, execution.state = time.time(), reason, state
            self._keep(execution)

    def _keep(self, execution: Execution) -> None:
        with self._context.store.write() as connection:
            connection.execute(
                "UPDATE athena_executions SET document = ? WHERE id = ?",
                (json.dumps(asdict(execution)), execution.id),
            )


def _write_companions(execution: Execution, job: Job, outcome: Outcome) -> None:
    """The text file of a DDL statement or utility, and the metadata beside a result."""
    s3 = job.s3()
    if execution.suffix == ".txt":
        lines = "".join("\t".join(cell or "" for cell in row) + "\n" for row in outcome.rows or [])
        put_bytes(s3, f"{job.output}{execution.id}.txt", lines.encode())
    if outcome.columns:
        put_bytes(
            s3,
            f"{job.output}{execution.id}{execution.suffix}.metadata",
            csv.metadata(execution.id, outcome.columns),
        )


def new_id() -> str:
    return str(uuid.uuid4())
