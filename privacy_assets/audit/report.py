"""The daily report: what a day's audits found, put so that a person can judge it and check it.

Made of ``audit_runs``, ``audit_failures`` and what the catalog has of the day's snapshots, so that the same
give the same report, byte for byte. How it looks is in ``page``; here is what it says, and the JSON document
that says it to programs.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from privacy_assets.audit.definition import Audit, Severity
from privacy_assets.audit.results import (
    RESULTS,
    AuditRun,
    Failure,
    Sample,
    Snapshot,
    Source,
    Unread,
    days_until,
)

VERSION = 1
"""Of the JSON document; it changes when a field changes its meaning or goes."""
TREND_DAYS = 30
_WORST_FIRST = {Severity.CRITICAL: 0, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}


class Status(StrEnum):
    """What became of a rule on a day."""

    VIOLATED = "violated"
    NOT_AUDITED = "not_audited"
    NOT_JUDGED = "not_judged"
    """No violation was found, but some of what the audit reads could not be read."""
    PASSED = "passed"


def status(run: AuditRun | None) -> Status:
    """The verdict on one rule; ``None`` is a rule whose audit did not run."""
    if run is None:
        return Status.NOT_AUDITED
    if run.violated:
        return Status.VIOLATED
    return Status.PASSED if run.passed else Status.NOT_JUDGED


def unread_words(unread: Sequence[Unread]) -> str:
    """What an audit could not judge, in words; empty when it could judge all."""
    if not unread:
        return ""
    total = sum(each.values for each in unread)
    several = len({each.table for each in unread}) > 1
    by_column = ", ".join(
        f"{each.table + '.' if several else ''}{each.column} {each.values:,}" for each in unread
    )
    return f"{_values(total)} that this audit reads could not be read ({by_column})"


def _values(number: int) -> str:
    return f"{number:,} {'value' if number == 1 else 'values'}"


@dataclass(frozen=True)
class Point:
    """A day of a trend; ``violations`` is None when the day was not audited."""

    day: date
    violations: int | None
    status: Status


@dataclass(frozen=True)
class Line:
    """One rule in the report. ``run`` is None when its audit did not run."""

    id: str
    title: str
    description: str
    regulation: str
    severity: Severity
    owner: str
    threshold: int
    status: Status
    run: AuditRun | None
    trend: tuple[Point, ...]
    changes: tuple[str, ...]
    """Since the day before, a sentence each."""
    stale: bool
    """Whether the snapshot has been replaced since by one of another export."""
    failure: Failure | None
    """Of an audit that could not be run, though it was tried."""

    @property
    def violations(self) -> int | None:
        return self.run.violations if self.run else None

    @property
    def sample(self) -> tuple[Sample, ...]:
        return self.run.sample if self.run else ()

    @property
    def unread(self) -> tuple[Unread, ...]:
        return self.run.unread if self.run else ()

    @property
    def reason(self) -> str:
        """Why there is no verdict, or none on all rows; empty when all was judged."""
        return self.failure.reason if self.failure else unread_words(self.unread)

    @property
    def change(self) -> int | None:
        """How many violations more than on the day before; None when either day was not audited."""
        before = self.trend[-2].violations if len(self.trend) > 1 else None
        return None if before is None or self.violations is None else self.violations - before


@dataclass(frozen=True)
class Report:
    """A day's report; ``lines`` are ordered by what needs attention first."""

    day: date
    lines: tuple[Line, ...]
    sources: tuple[Source, ...]
    snapshots: tuple[Snapshot, ...]
    """As the catalog has them now."""

    def having(self, wanted: Status) -> tuple[Line, ...]:
        """The lines of one status."""
        return tuple(line for line in self.lines if line.status is wanted)

    @property
    def violated(self) -> tuple[Line, ...]:
        return self.having(Status.VIOLATED)

    @property
    def violations(self) -> int:
        """Violating rows of all audits, within thresholds too."""
        return sum(line.violations or 0 for line in self.lines)

    @property
    def runs(self) -> tuple[AuditRun, ...]:
        return tuple(line.run for line in self.lines if line.run)

    @property
    def dollars(self) -> float:
        """The estimated cost of the day's queries."""
        return sum(run.dollars for run in self.runs)

    @property
    def as_of(self) -> datetime | None:
        """The instant that was audited."""
        return max((source.export_time for source in self.sources), default=None)

    @property
    def audited_at(self) -> datetime | None:
        return max((run.audited_at for run in self.runs), default=None)

    @property
    def verdict(self) -> str:
        """The day in a sentence: the rules, then what the snapshots keep from being judged."""
        return "; ".join([self._rules(), *self._open_rules(), *self._losses()])

    def _rules(self) -> str:
        broken, total = len(self.violated), len(self.lines)
        if broken:
            worst = Counter(line.severity for line in self.violated)
            named = ", ".join(f"{worst[each]} {each.value}" for each in _WORST_FIRST if worst[each])
            return f"{broken} of {total} rules {'is' if broken == 1 else 'are'} broken ({named})"
        hold = len(self.having(Status.PASSED))
        if hold == total:
            return f"All {total} rules hold"
        if len(self.having(Status.NOT_AUDITED)) == total:
            return "No rule was audited"
        return f"{hold} of {total} rules hold"

    def _open_rules(self) -> Iterable[str]:
        total, missing = len(self.lines), len(self.having(Status.NOT_AUDITED))
        unjudged = len(self.having(Status.NOT_JUDGED))
        if missing and (missing < total or self.violated):
            yield f"{missing} of {total} {_were(missing)} not audited"
        if unjudged:
            yield f"{unjudged} of {total} could not be judged on all rows"

    def _losses(self) -> Iterable[str]:
        lost = sum(snapshot.misfit_values for snapshot in self.snapshots)
        undeclared = sum(len(snapshot.undeclared) for snapshot in self.snapshots)
        if lost:
            yield f"{_values(lost)} could not be read"
        if undeclared:
            yield f"{undeclared} {'attribute is' if undeclared == 1 else 'attributes are'} not in estate.yaml"


def build(
    day: date,
    audits: Sequence[Audit],
    runs: Iterable[AuditRun],
    snapshots: Sequence[Snapshot] = (),
    failures: Iterable[Failure] = (),
) -> Report:
    """The report of ``day``, of the audits that are defined and of those that ran though they are no more.

    ``runs`` are those of the last thirty days, others are ignored. ``snapshots`` are what the catalog has of
    the day now; an audit of another export is marked. What an audit found before it failed doesn't count.
    """
    failed = {(failure.audit_id, failure.snapshot_date): failure for failure in failures}
    by_id: dict[str, dict[date, AuditRun]] = {audit.id: {} for audit in audits}
    for run in runs:
        if (run.audit_id, run.snapshot_date) in failed:
            continue  # it was found by an earlier attempt
        if run.snapshot_date == day or run.audit_id in by_id:
            by_id.setdefault(run.audit_id, {})[run.snapshot_date] = run
    defined = {audit.id: audit for audit in audits}
    current = {snapshot.source.table: snapshot.source.export_id for snapshot in snapshots}
    lines = [
        _line(day, defined.get(audit_id), found, current, failed.get((audit_id, day)))
        for audit_id, found in by_id.items()
    ]
    seen = {source for line in lines if line.run for source in line.run.sources}
    sources = sorted(
        seen or {snapshot.source for snapshot in snapshots},
        key=lambda source: (source.table, source.export_id),
    )
    known = sorted(snapshots, key=lambda snapshot: snapshot.source.table)
    return Report(day, tuple(sorted(lines, key=_urgency)), tuple(sources), tuple(known))


def _urgency(line: Line) -> tuple[int, int, int, str]:
    return (list(Status).index(line.status), _WORST_FIRST[line.severity], -(line.violations or 0), line.id)


def _line(
    day: date,
    audit: Audit | None,
    runs: dict[date, AuditRun],
    current: dict[str, str],
    failure: Failure | None,
) -> Line:
    run = runs.get(day)
    said = run or audit  # what was audited, not what the file says today
    assert said is not None
    return Line(
        id=run.audit_id if run else audit.id if audit else "",
        title=said.title,
        description=said.description,
        regulation=said.regulation,
        severity=said.severity,
        owner=said.owner,
        threshold=said.threshold,
        status=status(run),
        run=run,
        trend=tuple(_point(each, runs.get(each)) for each in days_until(day, TREND_DAYS)),
        changes=tuple(_changes(run, runs.get(day - timedelta(days=1)), runs)),
        stale=run is not None and any(current.get(s.table, s.export_id) != s.export_id for s in run.sources),
        failure=failure,
    )


def _point(day: date, run: AuditRun | None) -> Point:
    return Point(day, run.violations if run else None, status(run))


def _changes(run: AuditRun | None, before: AuditRun | None, runs: dict[date, AuditRun]) -> Iterable[str]:
    """What is new since the day before, the most important first."""
    if run is None:
        if before is not None:
            yield "not audited, as it was the day before"
        return
    if before is None:
        yield "first audit" if len(runs) == 1 else "audited again after a gap"
        return
    yield from _turn(status(run), status(before))
    if run.violations != before.violations:
        yield f"violations went from {before.violations:,} to {run.violations:,}"
    if run.threshold != before.threshold:
        yield f"the threshold went from {before.threshold:,} to {run.threshold:,}"
    if run.severity is not before.severity:
        yield f"the severity went from {before.severity.value} to {run.severity.value}"
    if run.sql_sha256 != before.sql_sha256:
        yield "the audit's file was changed"


def _turn(now: Status, before: Status) -> Iterable[str]:
    if now is before:
        return
    if now is Status.NOT_JUDGED:
        yield "all rows could be judged the day before"
    elif before is Status.NOT_JUDGED:
        yield "not all rows could be judged the day before"
    else:
        yield "the rule holds again" if now is Status.PASSED else "the rule held the day before"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def summary(report: Report) -> str:
    """The report in Markdown, for a page that shows it beside its link."""
    lines = [
        f"**{report.verdict}** on {report.day} · {report.violations:,} violations",
        "",
        *(f"- {words}" for words in loss_words(report)),
        "",
        "| audit | severity | status | violations | allowed | since the day before |",
        "|---|---|---|---:|---:|---|",
    ]
    for line in report.lines:
        count = "–" if line.violations is None else f"{line.violations:,}"
        lines.append(
            f"| `{line.id}` | {line.severity.value} | {line.status.value.replace('_', ' ')} | {count} | "
            f"{line.threshold:,} | {'; '.join(line.changes) or 'no change'} |"
        )
    return "\n".join(lines)


def loss_words(report: Report) -> list[str]:
    """A sentence for each snapshot that lost values in typing or holds attributes that nobody declared."""
    return [
        f"{snapshot.source.table}: {words}"
        for snapshot in report.snapshots
        for words in _loss_words(snapshot)
    ]


def _loss_words(snapshot: Snapshot) -> Iterable[str]:
    if snapshot.misfits:
        counts = sorted(snapshot.misfits.items(), key=lambda item: (-item[1], item[0]))
        columns = ", ".join(f"{column} {number:,}" for column, number in counts)
        yield (
            f"{_values(snapshot.misfit_values)} could not be read as their column's type ({columns}); "
            f"{snapshot.misfit_threshold:,} allowed"
        )
    if snapshot.undeclared:
        attributes = ", ".join(f"{name} in {number:,} rows" for name, number in snapshot.undeclared.items())
        yield f"attributes that estate.yaml does not declare, and no audit sees: {attributes}"


def document(report: Report) -> str:
    """The report as JSON, with a newline at its end. Days are ISO dates, instants ISO and UTC."""
    content = {
        "version": VERSION,
        "snapshot_date": report.day.isoformat(),
        "as_of": _instant(report.as_of),
        "audited_at": _instant(report.audited_at),
        "verdict": {
            "text": report.verdict,
            "audits": len(report.lines),
            **{each.value: len(report.having(each)) for each in Status},
            "violations": report.violations,
        },
        "exports": [_source(source) for source in report.sources],
        "item_count": sum(source.item_count for source in report.sources),
        "snapshots": [_snapshot(snapshot) for snapshot in report.snapshots],
        "bytes_scanned": sum(run.bytes_scanned for run in report.runs),
        "estimated_cost_usd": round(report.dollars, 6),
        "audits": [_audit(line) for line in report.lines],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _source(source: Source) -> dict[str, Any]:
    return {
        "table": source.table,
        "export_id": source.export_id,
        "export_time": _instant(source.export_time),
        "item_count": source.item_count,
    }


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "table": snapshot.source.table,
        "export_id": snapshot.source.export_id,
        "rows": snapshot.source.item_count,
        "misfits": dict(snapshot.misfits),
        "misfit_threshold": snapshot.misfit_threshold,
        "undeclared": dict(snapshot.undeclared),
    }


def _audit(line: Line) -> dict[str, Any]:
    run = line.run
    return {
        "id": line.id,
        "title": line.title,
        "description": line.description,
        "regulation": line.regulation,
        "severity": line.severity.value,
        "owner": line.owner,
        "status": line.status.value,
        "reason": line.reason or None,
        "unread": [
            {"table": each.table, "column": each.column, "values": each.values} for each in line.unread
        ],
        "violations": line.violations,
        "threshold": line.threshold,
        "change": line.change,
        "changes": list(line.changes),
        "stale": line.stale,
        "trend": [{"date": point.day.isoformat(), "violations": point.violations} for point in line.trend],
        "sample": [
            {"subject": row.subject, "row_key": row.row_key, "reason": row.reason} for row in line.sample
        ],
        "evidence": None
        if run is None
        else {
            "exports": [_source(source) for source in run.sources],
            "sql_sha256": run.sql_sha256,
            "query_id": run.query_id,
            "result": run.result_uri,
            "rows": rows_query(run),
            "bytes_scanned": run.bytes_scanned,
            "estimated_cost_usd": round(run.dollars, 6),
            "milliseconds": run.milliseconds,
            "audited_at": _instant(run.audited_at),
        },
    }


def rows_query(run: AuditRun) -> str:
    """What a person types into Athena to see all violating rows, numbered as the sample is. Ids are checked
    when audits load.
    """
    day, audit_id = run.snapshot_date.isoformat(), run.audit_id
    return (
        f"SELECT * FROM {RESULTS} WHERE snapshot_date = DATE '{day}' AND audit_id = '{audit_id}' "  # noqa: S608  # shown, not run
        "ORDER BY row_key, subject, reason"
    )


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
