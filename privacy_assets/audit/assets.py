"""The audits of a day as assets with a check each, and the report that is made of them.

All of a day's audits run concurrently in one step, since what they wait for is Athena; each can be
materialized alone. What they found is in Iceberg before anything is told to Dagster. The report is the same
step's last work: an audit that can't be run fails the step, but not before the others are recorded and the
day is reported. (A step of its own would be skipped: Dagster runs none whose dependencies aren't all there.)
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg
from dagster import CodeReferencesMetadataValue, LocalFileCodeReference

from privacy_assets.audit import page, report
from privacy_assets.audit.definition import Audit, Severity
from privacy_assets.audit.execution import run_audits
from privacy_assets.audit.results import (
    COLUMNS,
    RESULTS,
    RUNS,
    AuditRun,
    Failed,
    Outcome,
    Snapshot,
    Source,
    days_until,
    disagreements,
    read_failures,
    read_runs,
    record,
)
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate
from privacy_assets.ledger import Event
from privacy_assets.ledger import record as log
from privacy_assets.markdown import escaped
from privacy_assets.partitions import daily, snapshot_date
from privacy_assets.recording import event, name
from privacy_assets.snapshot import names
from privacy_assets.snapshot.survey import kept_counts
from resources.athena import AthenaQueryFailed, AthenaResource
from resources.glue import GlueResource
from resources.iceberg import IcebergResource
from resources.ledger import LedgerResource
from resources.s3 import LakeResource

GROUP = "audit"
CHECK = "within_threshold"
DAILY_REPORT = dg.AssetKey([GROUP, "daily_report"])
_ERRORS = {Severity.CRITICAL, Severity.HIGH}
_RETRY = dg.RetryPolicy(max_retries=2, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
_OWNER = "team:privacy"


def build_audit_definitions(estate: Estate, audits: Sequence[Audit]) -> dg.Definitions:
    """The assets of the domain. Raises UserError for an audit of a table that the estate doesn't govern."""
    return dg.Definitions(assets=audit_assets(estate, audits))


def audit_assets(estate: Estate, audits: Sequence[Audit]) -> list[dg.AssetsDefinition]:
    """The audits and their daily report. Raises UserError for a table that the estate doesn't govern."""
    for audit in audits:
        for table in audit.tables:
            if table not in estate.nouns:
                expected = ", ".join(estate.nouns)
                raise UserError(f"{audit.path}: table {table!r} is not governed; expected one of {expected}")
        if asset_key(audit) == DAILY_REPORT:
            raise UserError(f"{audit.path}: id {audit.id!r} is the report's name; expected another id")
    return [_audits(estate, audits)]


def asset_key(audit: Audit) -> dg.AssetKey:
    """``consent.missing`` is the asset ``audit/consent_missing``."""
    return dg.AssetKey([GROUP, audit.asset_name])


def output_folder(audit_id: str, day: date) -> str:
    """The key prefix of an audit's raw results of a day, as Athena wrote them, named by query id."""
    return f"audits/{audit_id}/snapshot_date={day.isoformat()}/"


def _audits(estate: Estate, audits: Sequence[Audit]) -> dg.AssetsDefinition:
    by_key = {asset_key(audit): audit for audit in audits}

    @dg.multi_asset(
        name="audits",
        specs=[*(_spec(estate, audit) for audit in audits), _report_spec(audits)],
        check_specs=[_check_spec(estate, audit) for audit in audits],
        can_subset=True,
        partitions_def=daily(estate),
        retry_policy=_RETRY,
    )
    def audits_of_the_day(
        context: dg.AssetExecutionContext,
        athena: AthenaResource,
        glue: GlueResource,
        iceberg: IcebergResource,
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        day = snapshot_date(context)
        keys = context.selected_asset_keys
        chosen = [by_key[key] for key in sorted(keys - {DAILY_REPORT})]
        failures: tuple[Failed, ...] = ()
        if chosen:
            outcome = _run(athena, glue, lake, estate, chosen, day)
            failures = outcome.failures
            runs = record(iceberg, day, outcome.findings, failures)
            log(ledger, *_events(context, estate, day, runs, failures), once=name(context, "audits"))
            checked = {key.asset_key for key in context.selected_asset_check_keys}
            yield from _results(by_key, checked, runs, failures, lake)
        if DAILY_REPORT in keys:
            made = _report(estate, audits, day, glue, iceberg, lake)
            log(ledger, _reported(context, estate, day, made), once=name(context, "report"))
            yield made
        if failures:
            raise _failure(day, failures, len(chosen) - len(failures))

    return audits_of_the_day


def _events(
    context: dg.AssetExecutionContext,
    estate: Estate,
    day: date,
    runs: Sequence[AuditRun],
    failures: Sequence[Failed],
) -> Iterator[Event]:
    """The exports that were audited, and each audit's outcome: a night is one batch of the ledger."""
    common = {"stream": f"audit-{day.isoformat()}"}
    for source in sorted({source for run in runs for source in run.sources}, key=lambda each: each.table):
        yield event(
            context,
            estate,
            "export.audited",
            counts={"items": source.item_count},
            details={
                "table": source.table,
                "snapshot_date": day.isoformat(),
                "export_id": source.export_id,
                "export_time": source.export_time.isoformat(),
            },
            **common,
        )
    for run in runs:
        yield event(
            context,
            estate,
            "audit.recorded",
            counts={
                "violations": run.violations,
                "threshold": run.threshold,
                "values_not_read": run.unread_values,
            },
            artefacts={"sql": run.sql_sha256},
            details={
                "audit_id": run.audit_id,
                "snapshot_date": day.isoformat(),
                "status": report.status(run).value,
                "query_id": run.query_id,
            },
            **common,
        )
    for failed in failures:
        details = {"audit_id": failed.audit.id, "snapshot_date": day.isoformat()}
        yield event(context, estate, "audit.failed", details=details, **common)


def _reported(
    context: dg.AssetExecutionContext, estate: Estate, day: date, made: dg.MaterializeResult[Any]
) -> Event:
    said: Mapping[str, Any] = made.metadata or {}
    return event(
        context,
        estate,
        "report.written",
        stream=f"audit-{day.isoformat()}",
        counts={"violations": said["violations"]},
        artefacts=said["sha256"].value,
        details={"verdict": said["verdict"], "snapshot_date": day.isoformat()},
    )


def _run(
    athena: AthenaResource,
    glue: GlueResource,
    lake: LakeResource,
    estate: Estate,
    audits: Sequence[Audit],
    day: date,
) -> Outcome:
    snapshots = _snapshots(glue, estate, audits, day)
    outcome = run_audits(
        athena,
        audits,
        day,
        snapshots,
        lambda audit: lake.uri(output_folder(audit.id, day)),
        AthenaQueryFailed,
    )
    if _snapshots(glue, estate, audits, day) != snapshots:
        raise dg.Failure(description=f"{day}: a snapshot was replaced while it was audited; run again")
    return outcome


def _results(
    by_key: Mapping[dg.AssetKey, Audit],
    checked: Collection[dg.AssetKey],
    runs: Sequence[AuditRun],
    failures: Sequence[Failed],
    lake: LakeResource,
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """What was found, and a failed check of each audit that could not be run and has nothing to show."""
    run_of = {run.audit_id: run for run in runs}
    for key, audit in by_key.items():
        if audit.id in run_of:
            yield _result(audit, run_of[audit.id], lake, checked=key in checked)
    for failed in failures:
        key = asset_key(failed.audit)
        if key in checked:
            yield dg.AssetCheckResult(
                check_name=CHECK,
                asset_key=key,
                passed=False,
                severity=dg.AssetCheckSeverity.ERROR,
                description=f"not audited: {failed.reason}",
                metadata={"status": report.Status.NOT_AUDITED.value},
            )


def _failure(day: date, failures: Sequence[Failed], others: int) -> dg.Failure:
    return dg.Failure(
        description=f"{day}: " + "; ".join(str(failed) for failed in failures),
        metadata={"failed_audits": [failed.audit.id for failed in failures], "other_audits_recorded": others},
        allow_retries=False,  # SQL that is wrong now is wrong in a minute
    )


def _spec(estate: Estate, audit: Audit) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(audit),
        deps=[names.typed_key(estate.by_name[table].name) for table in audit.tables],
        group_name=GROUP,
        owners=[audit.owner],
        kinds={"athena", "iceberg", "sql"},
        tags={"severity": audit.severity.value, "regulation": tag_value(audit.regulation)},
        description=f"{audit.title}. {audit.description}\n\n{audit.regulation}",
        metadata={
            "audit_id": audit.id,
            "regulation": audit.regulation,
            "severity": audit.severity.value,
            "threshold": audit.threshold,
            "sql_sha256": audit.sha256,
            "dagster/table_name": RESULTS,
            "dagster/code_references": CodeReferencesMetadataValue(code_references=[_reference(audit)]),
        },
    )


def _reference(audit: Audit) -> LocalFileCodeReference:
    return LocalFileCodeReference(file_path=str(audit.path.resolve()), line_number=1, label=audit.path.name)


def tag_value(text: str) -> str:
    """``text`` as a tag's value may be: letters, digits, ``_``, ``-`` and ``.``, at most 63.

    >>> tag_value("GDPR Art. 6(1)(a), 7(1)")
    'GDPR_Art._6_1_a_7_1'
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text)[:63].strip("_.-")


def _check_spec(estate: Estate, audit: Audit) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        CHECK,
        asset=asset_key(audit),
        partitions_def=daily(estate),  # each day has a verdict of its own
        description=(
            f"{audit.title}: no more than {audit.threshold} violations ({audit.regulation}), and every value "
            "that the audit reads could be read."
        ),
    )


def _snapshots(glue: GlueResource, estate: Estate, audits: Sequence[Audit], day: date) -> dict[str, Snapshot]:
    """The snapshots that the audits read, as the catalog has them now. Raises dagster.Failure."""
    found = {}
    for table in sorted({table for audit in audits for table in audit.tables}):
        snapshot = _snapshot(glue, estate, table, day)
        if snapshot is None:
            key = "/".join(names.typed_key(table))
            missing = f"{day}: no snapshot of {table}; materialize {key}"
            raise dg.Failure(description=missing, allow_retries=False)
        found[table] = snapshot
    return found


def _snapshot(glue: GlueResource, estate: Estate, table: str, day: date) -> Snapshot | None:
    """A table's snapshot of ``day``; None when there is none. Raises dagster.Failure."""
    partition = glue.partition(table, [day.isoformat()])
    if partition is None:
        return None
    said = partition.parameters
    counts = kept_counts(said)
    if counts is None:
        key = "/".join(names.typed_key(table))
        unsurveyed = f"{day}: nobody knows what the snapshot of {table} lost in typing; materialize {key}"
        raise dg.Failure(description=unsurveyed, allow_retries=False)
    exported = datetime.fromisoformat(said["export_time"])
    source = Source(table, said["export_id"], exported, int(said["item_count"]))
    return Snapshot(source, *counts, estate.by_name[table].misfit_threshold)


def _result(audit: Audit, run: AuditRun, lake: LakeResource, *, checked: bool) -> dg.MaterializeResult[Any]:
    verdict = {
        "violations": run.violations,
        "threshold": run.threshold,
        "status": report.status(run).value,
        "values_not_read": run.unread_values,
    }
    found = f"{run.violations} violations, {run.threshold} allowed"
    results = [
        dg.AssetCheckResult(
            check_name=CHECK,
            asset_key=asset_key(audit),
            passed=run.passed,
            severity=check_severity(run.severity),
            description="; ".join(filter(None, [found, report.unread_words(run.unread)])),
            metadata={**verdict, "severity": run.severity.value, "export_id": run.export_id},
        )
    ]
    return dg.MaterializeResult(
        asset_key=asset_key(audit),
        metadata={**verdict, **_evidence(audit, run, lake)},
        check_results=results if checked else [],
    )


def check_severity(severity: Severity) -> dg.AssetCheckSeverity:
    """Critical and high are errors, medium and low warnings."""
    return dg.AssetCheckSeverity.ERROR if severity in _ERRORS else dg.AssetCheckSeverity.WARN


def _evidence(audit: Audit, run: AuditRun, lake: LakeResource) -> Mapping[str, Any]:
    return {
        "dagster/row_count": run.violations,
        "preview": dg.MetadataValue.md(preview(run)),
        "sql": dg.MetadataValue.md(f"```sql\n{audit.sql}\n```"),
        "sql_sha256": run.sql_sha256,
        "export_id": run.export_id,
        "item_count": sum(source.item_count for source in run.sources),
        "athena_query_id": run.query_id,
        "athena_milliseconds": run.milliseconds,
        "bytes_scanned": dg.MetadataValue.int(run.bytes_scanned),
        "estimated_cost_usd": round(run.dollars, 6),
        "dagster/uri": run.result_uri,
        "s3": dg.MetadataValue.url(lake.console_url(output_folder(run.audit_id, run.snapshot_date))),
    }


def preview(run: AuditRun) -> str:
    """The first violations as a Markdown table; subjects and keys are masked."""
    if not run.sample:
        return "No violations."
    lines = ["| no. | " + " | ".join(COLUMNS) + " |", "|---:" + "|---" * len(COLUMNS) + "|"]
    lines += [
        f"| {number} | {escaped(row.subject)} | {escaped(row.row_key)} | {escaped(row.reason)} |"
        for number, row in enumerate(run.sample, 1)
    ]
    if run.violations > len(run.sample):
        lines += ["", f"The first {len(run.sample)} of {run.violations:,}; all are in `{RESULTS}`:"]
    else:
        lines += ["", "In full, in the order of the numbers:"]
    lines += ["", f"```sql\n{report.rows_query(run)}\n```"]
    return "\n".join(lines)


def _report_spec(audits: Sequence[Audit]) -> dg.AssetSpec:
    return dg.AssetSpec(
        DAILY_REPORT,
        deps=[asset_key(audit) for audit in audits],
        group_name=GROUP,
        owners=[_OWNER],
        kinds={"html", "json", "s3"},
        description=(
            "The day's audits on one page and as one JSON document: each with its regulation, verdict, "
            "count, trend over 30 days, a masked sample, and how to verify it; with what the day's snapshots "
            "lost in typing and hold undeclared."
        ),
    )


def _report(
    estate: Estate,
    audits: Sequence[Audit],
    day: date,
    glue: GlueResource,
    iceberg: IcebergResource,
    lake: LakeResource,
) -> dg.MaterializeResult[Any]:
    days = days_until(day, report.TREND_DAYS)
    runs = read_runs(iceberg, days)
    torn = disagreements(iceberg, day, runs)
    if torn:
        raise dg.Failure(
            description=f"{day}: {RESULTS} and {RUNS} disagree on {', '.join(torn)}, since a run died "
            "between them; materialize these audits again",
            allow_retries=False,
        )
    now = [found for table in sorted(estate.nouns) if (found := _snapshot(glue, estate, table, day))]
    made = report.build(day, audits, runs, now, read_failures(iceberg, days))
    folder = f"reports/snapshot_date={day.isoformat()}/"
    shown, said = page.render(made).encode(), report.document(made).encode()
    html = lake.write(f"{folder}report.html", shown, "text/html; charset=utf-8")
    document = lake.write(f"{folder}report.json", said, "application/json")
    hashes = {"html": hashlib.sha256(shown).hexdigest(), "json": hashlib.sha256(said).hexdigest()}
    return dg.MaterializeResult(
        asset_key=DAILY_REPORT,
        metadata={
            **_report_metadata(made, lake, html, document),
            "sha256": dg.MetadataValue.json(hashes),
        },
    )


def _report_metadata(made: report.Report, lake: LakeResource, html: str, document: str) -> Mapping[str, Any]:
    page_link, until = lake.signed_url(lake.key(html))  # the report holds no personal value
    json_link, _ = lake.signed_url(lake.key(document))
    return {
        "verdict": made.verdict,
        "summary": dg.MetadataValue.md(report.summary(made)),
        "report": dg.MetadataValue.url(page_link),
        "json": dg.MetadataValue.url(json_link),
        "links_open_until": dg.MetadataValue.timestamp(until),
        "s3": dg.MetadataValue.url(lake.object_url(lake.key(html))),
        "dagster/uri": html,
        "json_uri": document,
        "violations": made.violations,
        "violated_audits": dg.MetadataValue.json(
            [
                {
                    "id": line.id,
                    "severity": line.severity.value,
                    "violations": line.violations,
                    "threshold": line.threshold,
                }
                for line in made.violated
            ]
        ),
        "not_audited": [line.id for line in made.having(report.Status.NOT_AUDITED)],
        "not_judged": [line.id for line in made.having(report.Status.NOT_JUDGED)],
        "misfits": {each.source.table: each.misfit_values for each in made.snapshots},
        "undeclared": {each.source.table: each.undeclared for each in made.snapshots},
        "export_ids": sorted({source.export_id for source in made.sources}),
        "item_count": sum(source.item_count for source in made.sources),
        "estimated_cost_usd": round(made.dollars, 6),
    }
