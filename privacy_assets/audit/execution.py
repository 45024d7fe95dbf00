"""Running audits: all of a day at once, each by itself, so that one that fails takes no other with it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from typing import Protocol, TypeVar

import pyarrow as pa

from privacy_assets.audit.definition import Audit
from privacy_assets.audit.results import COLUMNS, Failed, Finding, Outcome, Query, Snapshot, shortened
from privacy_assets.masking import DOTS, mask, scrub

AT_ONCE = 16
"""Queries in flight. Athena's smallest default quota is 20 an account and region, of queries that run or wait
(https://docs.aws.amazon.com/athena/latest/ug/service-limits.html); the rest is left to people."""

Q = TypeVar("Q", bound=Query)


class Engine(Protocol[Q]):
    """What runs SQL and reads its rows."""

    def execute(
        self, sql: str, parameters: Sequence[str] = (), *, output_location: str | None = None
    ) -> Q: ...
    def columns(self, result: Q) -> pa.Schema: ...
    def batches(self, result: Q) -> Iterator[pa.RecordBatch]: ...


def run_audits(
    engine: Engine[Q],
    audits: Iterable[Audit],
    day: date,
    snapshots: Mapping[str, Snapshot],
    output: Callable[[Audit], str],
    query_failed: type[Exception],
) -> Outcome:
    """Run the queries of ``audits`` on the snapshots of ``day`` (by table), concurrently.

    ``output`` is where an audit's raw result goes. ``query_failed`` is how the engine says that a query is
    wrong, with ``query_id`` and ``reason``; any other error is no audit's fault and is raised.
    """
    run = partial(_run, engine, day, snapshots, output, query_failed)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audit") as pool:
        try:
            ended = list(pool.map(run, audits))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcome(
        findings=tuple(end for end in ended if isinstance(end, Finding)),
        failures=tuple(end for end in ended if isinstance(end, Failed)),
    )


def _run(
    engine: Engine[Q],
    day: date,
    snapshots: Mapping[str, Snapshot],
    output: Callable[[Audit], str],
    query_failed: type[Exception],
    audit: Audit,
) -> Finding | Failed:
    read = tuple(snapshots[table].source for table in audit.tables)
    unread = tuple(each for table in audit.tables for each in snapshots[table].unread(audit))
    sql, parameters = audit.statement(day, max(source.export_time for source in read))
    audited_at = datetime.now(UTC).replace(microsecond=0)
    try:
        query = engine.execute(sql, parameters, output_location=output(audit))
    except query_failed as error:
        reason = without_values(getattr(error, "reason", str(error)), sql)
        return Failed(audit, audited_at, f"{reason} [Athena query {getattr(error, 'query_id', 'unknown')}]")
    missing = [column for column in COLUMNS if column not in engine.columns(query).names]
    if missing:
        expected = ", ".join(COLUMNS)
        return Failed(audit, audited_at, f"returns no column {', '.join(missing)}; expected {expected}")
    return Finding(audit, read, query, audited_at, partial(engine.batches, query), unread)


# A quote that never ends hides all that follows it.
_QUOTED = re.compile(r"'((?:[^']|'')*+)(?:'|$)|\"([^\"]*+)(?:\"|$)|`([^`]*+)(?:`|$)")
_OF_THE_STATEMENT = re.compile(r"\bline \d+:\d+")
_READ = 10_000
"""Characters of an engine's reason that are read; what comes after them is dropped."""
_TOLD = 1_000


def without_values(reason: str, sql: str) -> str:
    """An engine's words about a failed query, on one line, without values of the data.

    A cast that fails quotes the value it failed on. What stands in quotes is kept where the SQL says it too.
    A reason that names no line of the statement is about the data, which it may end with unquoted
    (``INVALID_CAST_ARGUMENT: Value cannot be cast to date: …``): what follows its second colon is hidden.
    """
    reason = " ".join(reason[:_READ].split())
    if not _OF_THE_STATEMENT.search(reason):
        parts = reason.split(": ", 2)
        reason = ": ".join([*parts[:2], *([DOTS] if len(parts) > 2 else [])])

    def kept(match: "re.Match[str]") -> str:
        inner = next((group for group in match.groups() if group is not None), "")
        quote = match.group()[0]
        return match.group() if inner and inner in sql else f"{quote}{mask(inner)}{quote}"

    return shortened(scrub(_QUOTED.sub(kept, reason)), _TOLD)
