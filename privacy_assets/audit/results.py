"""What audits found: the two Iceberg tables it is kept in, and how a day's findings are written and read.

``audit_results`` holds every violating row; ``audit_runs`` one row per audit and day, with the count, the
query that made it and a masked sample. ``audit_failures`` holds the audits that could not be run when last
they were to. A day without a row in ``audit_runs``, or with one in ``audit_failures``, was not audited, which
is not a day without violations.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from privacy_assets.audit.definition import Audit, Severity
from privacy_assets.masking import mask, scrub

RESULTS = "audit_results"
RUNS = "audit_runs"
FAILURES = "audit_failures"
PARTITION_BY = ("snapshot_date", "audit_id")
COLUMNS = ("subject", "row_key", "reason")
"""What an audit's query returns, one row per violation."""
SAMPLE_ROWS = 20
TEXT_LIMIT = 4096
"""Characters of a subject, key or reason that are kept; DynamoDB's keys have at most 2,048 bytes."""
REASON_LIMIT = 500
"""Characters of a reason that are shown: it is a sentence."""

RESULTS_SCHEMA = pa.schema(
    [
        ("audit_id", pa.string()),
        ("snapshot_date", pa.date32()),
        ("export_id", pa.string()),
        ("subject", pa.string()),
        ("row_key", pa.string()),
        ("reason", pa.string()),
        ("severity", pa.string()),
    ]
)
_INSTANT = pa.timestamp("us", tz="UTC")
RUNS_SCHEMA = pa.schema(
    [
        ("audit_id", pa.string()),
        ("snapshot_date", pa.date32()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("severity", pa.string()),
        ("regulation", pa.string()),
        ("owner", pa.string()),
        ("threshold", pa.int64()),
        ("violations", pa.int64()),
        (
            "sources",
            pa.list_(
                pa.struct(
                    [
                        ("table", pa.string()),
                        ("export_id", pa.string()),
                        ("export_time", _INSTANT),
                        ("item_count", pa.int64()),
                    ]
                )
            ),
        ),
        ("sql_sha256", pa.string()),
        ("query_id", pa.string()),
        ("result_uri", pa.string()),
        ("bytes_scanned", pa.int64()),
        ("dollars", pa.float64()),
        ("milliseconds", pa.int64()),
        ("audited_at", _INSTANT),
        ("sample", pa.list_(pa.struct([(column, pa.string()) for column in COLUMNS]))),
        (
            "unread",
            pa.list_(pa.struct([("table", pa.string()), ("column", pa.string()), ("values", pa.int64())])),
        ),
    ]
)
FAILURES_SCHEMA = pa.schema(
    [
        ("audit_id", pa.string()),
        ("snapshot_date", pa.date32()),
        ("reason", pa.string()),
        ("sql_sha256", pa.string()),
        ("failed_at", _INSTANT),
    ]
)


@dataclass(frozen=True)
class Source:
    """A table's snapshot that was audited: the export it was typed from, and its number of items."""

    table: str
    export_id: str
    export_time: datetime
    item_count: int


@dataclass(frozen=True)
class Unread:
    """How many values of a column could not be read, since they don't fit its declared type."""

    table: str
    column: str
    values: int


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as the catalog has it: what it was typed from, and what typing could not make sense of.

    ``misfits`` counts values by column, ``undeclared`` rows by attribute. ``misfit_threshold`` misfits are
    allowed.
    """

    source: Source
    misfits: Mapping[str, int] = field(default_factory=dict)
    undeclared: Mapping[str, int] = field(default_factory=dict)
    misfit_threshold: int = 0

    @property
    def misfit_values(self) -> int:
        """How many values did not fit their column."""
        return sum(self.misfits.values())

    def unread(self, audit: Audit) -> tuple[Unread, ...]:
        """What an audit reads and can't judge: nothing as long as all misfits are within the threshold."""
        if self.misfit_values <= self.misfit_threshold:
            return ()
        table = self.source.table
        return tuple(
            Unread(table, name, self.misfits[name]) for name in sorted(audit.reads(table, self.misfits))
        )


@dataclass(frozen=True)
class Sample:
    """A violating row as it may be shown: subject and key masked, the reason scrubbed of both."""

    subject: str
    row_key: str
    reason: str


@dataclass(frozen=True)
class AuditRun:
    """One audit of one day. ``sample`` are the first twenty rows by key; ``dollars`` is an estimate."""

    audit_id: str
    snapshot_date: date
    title: str
    description: str
    severity: Severity
    regulation: str
    owner: str
    threshold: int
    violations: int
    sources: tuple[Source, ...]
    sql_sha256: str
    query_id: str
    result_uri: str
    bytes_scanned: int
    dollars: float
    milliseconds: int
    audited_at: datetime
    sample: tuple[Sample, ...] = ()
    unread: tuple[Unread, ...] = ()
    """What it could not judge, the largest number first; allowed misfits are left out."""

    @property
    def violated(self) -> bool:
        """Whether the rule is broken: more violations than its threshold allows."""
        return self.violations > self.threshold

    @property
    def passed(self) -> bool:
        """Whether the rule held: not broken, and all that it reads could be read."""
        return not self.violated and not self.unread

    @property
    def unread_values(self) -> int:
        """How many values it could not judge."""
        return sum(each.values for each in self.unread)

    @property
    def export_id(self) -> str:
        """The exports that were audited, by their ids."""
        return export_ids(self.sources)


def export_ids(sources: Iterable[Source]) -> str:
    """The ids of the exports, joined by commas where an audit reads several tables."""
    return ",".join(sorted({source.export_id for source in sources}))


class Query(Protocol):
    """A query that succeeded, as Athena tells of it."""

    @property
    def query_id(self) -> str: ...
    @property
    def bytes_scanned(self) -> int: ...
    @property
    def output_location(self) -> str | None: ...
    @property
    def milliseconds(self) -> int: ...
    @property
    def dollars(self) -> float: ...


class TableStore(Protocol):
    """Tables whose slices are replaced in one commit."""

    def ensure(self, name: str, schema: pa.Schema, partition_by: Sequence[str]) -> None: ...
    def replace(
        self,
        name: str,
        where: Mapping[str, Collection[Any]],
        batches: Callable[[], Iterable[pa.RecordBatch]],
    ) -> int: ...
    def read(
        self, name: str, columns: Sequence[str] = (), where: Mapping[str, Collection[Any]] | None = None
    ) -> pa.Table: ...
    def count(
        self, name: str, by: Sequence[str], where: Mapping[str, Collection[Any]] | None = None
    ) -> dict[tuple[Any, ...], int]: ...


@dataclass
class Finding:
    """An audit whose query has succeeded and whose rows are yet to be read by ``rows()``."""

    audit: Audit
    sources: tuple[Source, ...]
    query: Query
    audited_at: datetime
    rows: Callable[[], Iterable[pa.RecordBatch]]
    unread: tuple[Unread, ...] = ()
    violations: int = field(default=0, init=False)
    _sample: pa.Table = field(default=None, init=False)

    def batches(self, day: date) -> Iterator[pa.RecordBatch]:
        """The rows as ``audit_results`` holds them; counts them and keeps the sample on the way.

        Starts over when it is called again.
        """
        self.violations, self._sample = 0, None
        constants = {
            "audit_id": pa.scalar(self.audit.id),
            "snapshot_date": pa.scalar(day, pa.date32()),
            "export_id": pa.scalar(export_ids(self.sources)),
            "severity": pa.scalar(self.audit.severity.value),
        }
        for batch in self.rows():
            found = {column: _cut(pc.cast(batch.column(column), pa.string())) for column in COLUMNS}
            self.violations += batch.num_rows
            self._keep(pa.table(found))
            found |= {name: pa.repeat(value, batch.num_rows) for name, value in constants.items()}
            yield pa.RecordBatch.from_pydict(found, schema=RESULTS_SCHEMA)

    def _keep(self, rows: pa.Table) -> None:
        """The sample is the same however the rows come: the first by key, subject and reason."""
        if self._sample is not None:
            rows = pa.concat_tables([self._sample, rows])
        order = [(column, "ascending") for column in ("row_key", "subject", "reason")]
        self._sample = rows.take(pc.select_k_unstable(rows, SAMPLE_ROWS, order))

    def run(self, day: date) -> AuditRun:
        """The finding as a row of ``audit_runs``, once its batches have been read."""
        audit, query = self.audit, self.query
        rows = [] if self._sample is None else self._sample.to_pylist()
        return AuditRun(
            audit_id=audit.id,
            snapshot_date=day,
            title=audit.title,
            description=audit.description,
            severity=audit.severity,
            regulation=audit.regulation,
            owner=audit.owner,
            threshold=audit.threshold,
            violations=self.violations,
            sources=self.sources,
            sql_sha256=audit.sha256,
            query_id=query.query_id,
            result_uri=query.output_location or "",
            bytes_scanned=query.bytes_scanned,
            dollars=query.dollars,
            milliseconds=query.milliseconds,
            audited_at=self.audited_at,
            sample=tuple(masked(**row) for row in rows),
            unread=tuple(sorted(self.unread, key=lambda each: (-each.values, each.table, each.column))),
        )


@dataclass(frozen=True)
class Failed:
    """An audit that could not be run, and why; nothing in the reason is a value of the data."""

    audit: Audit
    failed_at: datetime
    reason: str

    def __str__(self) -> str:
        return f"audit {self.audit.id} ({self.audit.path.name}): {self.reason}"


@dataclass(frozen=True)
class Outcome:
    """What became of a day's audits."""

    findings: tuple[Finding, ...]
    failures: tuple[Failed, ...]


@dataclass(frozen=True)
class Failure:
    """That an audit could not be run on a day, as it was recorded."""

    audit_id: str
    snapshot_date: date
    reason: str
    sql_sha256: str
    failed_at: datetime


def masked(subject: str | None, row_key: str | None, reason: str | None) -> Sample:
    """A violating row as it may be shown."""
    return Sample(mask(subject), mask(row_key), shortened(scrub(reason, [subject, row_key]), REASON_LIMIT))


def shortened(text: str, limit: int) -> str:
    """``text`` with at most ``limit`` characters, the last of them an ellipsis where it was longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cut(texts: pa.Array) -> pa.Array:
    """``shortened`` to the limit of what is kept, for a column."""
    short = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, TEXT_LIMIT - 1), "…", "")
    return pc.if_else(pc.greater(pc.utf8_length(texts), TEXT_LIMIT), short, texts)


def record(
    store: TableStore, day: date, findings: Sequence[Finding], failures: Sequence[Failed] = ()
) -> list[AuditRun]:
    """Write the findings of ``day`` in the place of what the same audits found before; answers their runs.

    ``audit_results`` changes in one commit and ``audit_runs`` in one after it: a run killed before the first
    leaves the old findings, one killed between them counts that disagree, which ``disagreements`` tells.
    What failed is recorded beside: what these audits found before stays, and no longer counts.
    """
    runs = _record_findings(store, day, findings) if findings else []
    _record_failures(store, day, [finding.audit.id for finding in findings], failures)
    return runs


def _record_findings(store: TableStore, day: date, findings: Sequence[Finding]) -> list[AuditRun]:
    where: dict[str, list[Any]] = {
        "snapshot_date": [day],
        "audit_id": [finding.audit.id for finding in findings],
    }
    store.ensure(RESULTS, RESULTS_SCHEMA, PARTITION_BY)
    store.ensure(RUNS, RUNS_SCHEMA, PARTITION_BY[:1])
    store.replace(RESULTS, where, lambda: (batch for finding in findings for batch in finding.batches(day)))
    runs = [finding.run(day) for finding in findings]
    rows = pa.RecordBatch.from_pylist([_row(run) for run in runs], schema=RUNS_SCHEMA)
    store.replace(RUNS, where, lambda: [rows])
    return runs


def _record_failures(
    store: TableStore, day: date, succeeded: Sequence[str], failures: Sequence[Failed]
) -> None:
    """Put ``failures`` in the place of earlier ones of all audits that ran; mostly there are neither."""
    ran = [*succeeded, *(failed.audit.id for failed in failures)]
    store.ensure(FAILURES, FAILURES_SCHEMA, PARTITION_BY[:1])
    where: dict[str, list[Any]] = {"snapshot_date": [day], "audit_id": ran}
    if not failures and not store.read(FAILURES, ["audit_id"], where).num_rows:
        return
    rows = [
        asdict(Failure(each.audit.id, day, each.reason, each.audit.sha256, each.failed_at))
        for each in failures
    ]
    store.replace(FAILURES, where, lambda: [pa.RecordBatch.from_pylist(rows, schema=FAILURES_SCHEMA)])


def read_failures(store: TableStore, days: Collection[date]) -> list[Failure]:
    """The audits of ``days`` that could not be run, ordered by day and id."""
    store.ensure(FAILURES, FAILURES_SCHEMA, PARTITION_BY[:1])
    rows = store.read(FAILURES, FAILURES_SCHEMA.names, {"snapshot_date": list(days)}).to_pylist()
    found = [Failure(**{**row, "failed_at": row["failed_at"].astimezone(UTC)}) for row in rows]
    return sorted(found, key=lambda failure: (failure.snapshot_date, failure.audit_id))


def read_runs(store: TableStore, days: Collection[date]) -> list[AuditRun]:
    """All audits of ``days``, ordered by day and id."""
    store.ensure(RUNS, RUNS_SCHEMA, PARTITION_BY[:1])
    rows = store.read(RUNS, RUNS_SCHEMA.names, {"snapshot_date": list(days)}).to_pylist()
    return sorted((_run(row) for row in rows), key=lambda run: (run.snapshot_date, run.audit_id))


def disagreements(store: TableStore, day: date, runs: Iterable[AuditRun]) -> list[str]:
    """The ids of audits whose rows are not as many as their runs say: a run died between the two commits."""
    store.ensure(RESULTS, RESULTS_SCHEMA, PARTITION_BY)
    held = store.count(RESULTS, ["audit_id"], {"snapshot_date": [day]})
    said = {run.audit_id: run.violations for run in runs if run.snapshot_date == day}
    return sorted(audit_id for audit_id, number in said.items() if held.get((audit_id,), 0) != number)


def days_until(day: date, number: int) -> list[date]:
    """The last ``number`` days, the oldest first and ``day`` the last."""
    return [day - timedelta(days=back) for back in range(number - 1, -1, -1)]


def _row(run: AuditRun) -> dict[str, Any]:
    return {**asdict(run), "severity": run.severity.value}


def _run(row: Mapping[str, Any]) -> AuditRun:
    sources = tuple(
        Source(**{**source, "export_time": source["export_time"].astimezone(UTC)})
        for source in row["sources"] or ()
    )
    return AuditRun(
        **{
            **row,
            "severity": Severity(row["severity"]),
            "sources": sources,
            "audited_at": row["audited_at"].astimezone(UTC),
            "sample": tuple(Sample(**sample) for sample in row["sample"] or ()),
            "unread": tuple(Unread(**each) for each in row["unread"] or ()),
        }
    )
