"""The scan of a bucket: what it holds, what was found, what an owner should look at. A partition is a bucket.

A run lists the bucket, plans what has changed into shards, reads each shard in a step of its own, and makes
everything visible in one commit a table. A shard puts what it has done into the lake as it goes; whoever
runs after a kill goes on from there.
"""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from privacy_assets.estate import Bucket, Estate
from privacy_assets.governed import path_of
from privacy_assets.ledger import record
from privacy_assets.partitions import BUCKETS
from privacy_assets.recording import event
from privacy_assets.scan import commit as committing
from privacy_assets.scan import inventory, page, risk
from privacy_assets.scan.objects import State
from privacy_assets.scan.plan import KNOWN, Plan, Rules, chosen, listing, plan, shards
from privacy_assets.scan.rules import RuleSet, load_rules
from privacy_assets.scan.tables import (
    FINDING_COLUMNS,
    FINDING_PROPERTIES,
    FINDINGS,
    OBJECT_COLUMNS,
    OBJECTS,
    PARTITION_BY,
)
from privacy_assets.scan.work import OBJECT_PART, Failed, Job, Tally, Workers, planned
from privacy_assets.tasks import shard_executor, task_tags
from resources import settings
from resources.buckets import BucketsResource, ObjectUnreadable
from resources.iceberg import IcebergResource
from resources.ledger import LedgerResource
from resources.s3 import LakeObject, LakeResource
from resources.scan_jobs import PROCESSING, QUEUED, SUCCEEDED, ScanJobsResource
from resources.sns import AlertResource
from resources.sqs import QueueResource

GROUP = "scan"
OBJECTS_KEY = dg.AssetKey([GROUP, "objects"])
FINDINGS_KEY = dg.AssetKey([GROUP, "findings"])
RISK_KEY = dg.AssetKey([GROUP, "bucket_risk"])
SCAN_JOB = "scan_bucket"
JOB_TAG = "privacy_assets/scan_job"
"""Tag of a run that was asked for: the id of its job."""
_OWNER = "team:privacy"
_RETRY = dg.RetryPolicy(max_retries=2, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
_PARQUET = "application/vnd.apache.parquet"
_TELL_SECONDS = 2.0
_TREND = 30  # scans
_FEW, _SMALL = 500, 32 << 20
_READ = (State.CLEAN.value, State.FINDINGS.value)
_BYTES_A_SECOND = 50e6  # of one core with all detectors, formats mixed; only an estimate rests on it


def scan_assets(estate: Estate) -> tuple[list[dg.AssetsDefinition], list[dg.AssetChecksDefinition]]:
    """The assets of the domain, and their checks."""
    return [_scan(estate), _bucket_risk(estate)], [_coverage()]


def scan_job() -> Any:
    """``scan_bucket``: the three assets of one bucket. In production its shards are tasks of their own."""
    return dg.define_asset_job(
        SCAN_JOB,
        dg.AssetSelection.assets(OBJECTS_KEY, FINDINGS_KEY, RISK_KEY)
        | dg.AssetSelection.checks_for_assets(OBJECTS_KEY),
        description="Reads what is new or changed in a bucket and lists what it finds.",
        executor_def=shard_executor(),
        tags={"dagster/max_retries": 2, **task_tags(SCAN_JOB)},
    )


def folder(bucket: str) -> str:
    """The key prefix in the lake of all that a bucket's scans keep beside the tables."""
    return f"scan/{bucket}/"


def governed(estate: Estate, bucket: str) -> Bucket:
    """What the estate says of ``bucket``; a bucket that it doesn't name is read whole."""
    found = next((one for one in estate.buckets if one.name == bucket), None)
    return found or Bucket(name=bucket, owner=_OWNER)


def _rules() -> RuleSet:
    path = settings.DETECTORS.value()
    return load_rules(path_of(settings.DETECTORS) if path else None)


def _job_id(context: dg.OpExecutionContext) -> str:
    """The job that the run was asked for by, or the run itself: a run that is tried again is the same job."""
    return context.run.tags.get(JOB_TAG) or context.run.root_run_id or context.run.run_id


def _scan(estate: Estate) -> dg.AssetsDefinition:
    @dg.op(
        name="scan_plan",
        out=dg.DynamicOut(dg.Nothing, description="One for each shard"),
        retry_policy=_RETRY,
        description="Lists the bucket and deals what must be read into shards.",
    )
    def scan_plan(
        context: dg.OpExecutionContext,
        buckets: BucketsResource,
        iceberg: IcebergResource,
        lake: LakeResource,
        scan_jobs: ScanJobsResource,
    ) -> Iterator[dg.DynamicOutput[None]]:
        bucket, job_id = context.partition_key, _job_id(context)
        where = governed(estate, bucket)
        job = scan_jobs.record(job_id, bucket, where.prefix)
        rules = _rules().rules
        _ensure(iceberg)
        try:
            found = _listing(buckets, where, job["prefix"])
        except ObjectUnreadable as error:
            raise dg.Failure(
                description=f"s3://{bucket}: {error.why} ({error.detail}), expected s3:ListBucket on it",
                allow_retries=error.passes,
            ) from None
        known = iceberg.read(OBJECTS, KNOWN.names, {"bucket": [bucket]}).cast(KNOWN)
        known = chosen(chosen(known, where.prefix, where.include, where.exclude), job["prefix"], (), ())
        made = plan(found, known, rules)
        done = _done(lake, _settled_parts(lake, scan_jobs, bucket, job_id), rules)
        work = _without(made.work, done)
        dealt = shards(work)
        base = f"{folder(bucket)}jobs/{job_id}/"
        lake.write(
            f"{base}gone.parquet", _parquet(pa.table({"key": pa.array(made.gone, pa.string())})), _PARQUET
        )
        for number, shard in enumerate(dealt):
            lake.write(f"{base}{_shard(number)}.parquet", _parquet(shard), _PARQUET)
        before = done.filter(pc.equal(done["job_id"], job_id))
        queued = work.num_rows + before.num_rows
        scan_jobs.begin(job_id, context.run.run_id, made.listed, queued, len(dealt))
        if before.num_rows:
            scan_jobs.advance(job_id, "before", before.num_rows, _counts(_tally(before)))
        _tell_plan(context, made, work.num_rows, done.num_rows, len(dealt))
        for number in range(len(dealt)):
            yield dg.DynamicOutput(None, mapping_key=_shard(number))

    @dg.op(
        name="scan_shard",
        ins={"planned": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        retry_policy=_RETRY,
        description="Reads the objects of one shard in a pool of processes.",
    )
    def scan_shard(
        context: dg.OpExecutionContext,
        buckets: BucketsResource,
        lake: LakeResource,
        scan_jobs: ScanJobsResource,
        scan_queue: QueueResource,
    ) -> None:
        bucket, job_id = context.partition_key, _job_id(context)
        shard = str(context.get_mapping_key())
        rules = _rules()
        work = _read_parquet(lake, f"{folder(bucket)}jobs/{job_id}/{shard}.parquet")
        # A run that is tried again finds its own parts here; those of others were left out of its plan.
        parts = f"{folder(bucket)}parts/{job_id}/{context.run.root_run_id or context.run.run_id}/{shard}/"
        done = _done(lake, list(lake.list(parts)), rules.rules)
        left = _without(work, done)
        total = _tally(done)
        job = Job(bucket, job_id, parts, buckets, lake, rules.scanner(), rules.rules.text)
        told = datetime.now(UTC)
        with Workers(job, _processes(left)) as workers:
            for tally in workers.scan(planned(left)):
                total.add(tally)
                if tally.failed:
                    scan_queue.report([_dead_letter(job, failed) for failed in tally.failed])
                now = datetime.now(UTC)
                if (now - told).total_seconds() > _TELL_SECONDS:
                    scan_jobs.advance(job_id, shard, work.num_rows, _counts(total))
                    told = now
        scan_jobs.advance(job_id, shard, work.num_rows, _counts(total))
        context.log.info(
            f"{shard}: {left.num_rows} objects read, {done.num_rows} before; {total.findings} findings"
        )

    @dg.op(
        name="scan_commit",
        ins={"scanned": dg.In(dg.Nothing)},
        out={"findings": dg.Out(dg.Nothing), "objects": dg.Out(dg.Nothing)},
        retry_policy=_RETRY,
        description="Makes what the shards found visible, in one commit a table.",
    )
    def scan_commit(
        context: dg.OpExecutionContext,
        iceberg: IcebergResource,
        lake: LakeResource,
        scan_jobs: ScanJobsResource,
        alerts: AlertResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.Output[None]]:
        bucket, job_id = context.partition_key, _job_id(context)
        where, rules, now = governed(estate, bucket), _rules().rules, datetime.now(UTC)
        job = scan_jobs.record(job_id, bucket, where.prefix)
        base = f"{folder(bucket)}jobs/{job_id}/"
        parts = _settled_parts(lake, scan_jobs, bucket, job_id)
        new = committing.results(
            [_read_parquet(lake, part.key) for part in parts if "/objects-" in part.key],
            lambda: (_read_parquet(lake, part.key) for part in parts if "/findings-" in part.key),
        )
        gone = _gone(lake, f"{base}gone.parquet")
        only = {"bucket": [bucket]}
        if new.objects.num_rows or gone:

            def known() -> Iterator[pa.Table]:
                for batch in iceberg.batches(FINDINGS, FINDING_COLUMNS.names, only):
                    yield pa.Table.from_batches([batch]).cast(FINDING_COLUMNS)

            def findings() -> Iterator[pa.RecordBatch]:
                for merged in committing.merge_findings(known, new, gone, rules.detectors, now):
                    yield from merged.to_batches()

            def objects() -> Iterator[pa.RecordBatch]:
                before = iceberg.read(OBJECTS, where=only).cast(OBJECT_COLUMNS)
                yield from committing.merge_objects(
                    before, new, gone, iceberg.read(FINDINGS, ("key", "status"), only)
                ).to_batches()

            iceberg.replace(FINDINGS, only, findings)
            iceberg.replace(OBJECTS, only, objects)
        summary = risk.summarise(
            bucket,
            job_id,
            now,
            datetime.fromisoformat(job.get("started_at", job["requested_at"])),
            iceberg.read(OBJECTS, where=only),
            iceberg.read(FINDINGS, risk.COLUMNS, only),
        )
        document = risk.document(summary).encode()
        done = event(
            context,
            estate,
            "scan.completed",
            stream=job_id,
            counts={
                "objects": summary.objects,
                "bytes": summary.bytes,
                "open_findings": summary.open,
                "new_findings": summary.new,
                "closed_findings": summary.closed,
                **{f"objects_{state}": number for state, number in summary.states.items()},
            },
            artefacts={"summary": hashlib.sha256(document).hexdigest()},
            details={"bucket": bucket, "rules": rules.text},
        )
        record(ledger, done, once=f"scan/{job_id}/{job['attempt']}")
        lake.write(
            f"{folder(bucket)}scans/{now:%Y-%m-%dT%H-%M-%SZ}-{job_id}.json",
            document,
            "application/json",
        )
        lake.delete(part.key for part in parts)
        lake.delete(item.key for item in lake.list(base))
        if job["status"] != SUCCEEDED:  # told before the job is closed: twice rather than never
            _alert(alerts, where, summary)
            scan_jobs.end(job_id, SUCCEEDED)
        yield dg.Output(None, "findings", metadata=_findings_metadata(summary))
        yield dg.Output(None, "objects", metadata=_objects_metadata(summary))

    @dg.graph_multi_asset(
        name="scan",
        group_name=GROUP,
        outs={
            "objects": dg.AssetOut(
                key=OBJECTS_KEY,
                owners=[_OWNER],
                kinds={"s3", "iceberg"},
                description=(
                    "Every object of the bucket with its state: clean, findings, partly read, skipped or "
                    "failed, and why. A file that was not read is not a file without findings."
                ),
            ),
            "findings": dg.AssetOut(
                key=FINDINGS_KEY,
                owners=[_OWNER],
                kinds={"iceberg"},
                description=(
                    "Personal data and credentials with detector, byte, line or row and column, and a masked "
                    "context; open, gone or allowed."
                ),
            ),
        },
        partitions_def=BUCKETS,
    )
    def scan() -> dict[str, Any]:
        made = scan_commit(scan_plan().map(scan_shard).collect())
        return {"objects": made.objects, "findings": made.findings}

    return scan


def _bucket_risk(estate: Estate) -> dg.AssetsDefinition:
    @dg.asset(
        key=RISK_KEY,
        deps=[OBJECTS_KEY, FINDINGS_KEY],
        partitions_def=BUCKETS,
        retry_policy=_RETRY,
        group_name=GROUP,
        owners=[_OWNER],
        kinds={"html", "json", "s3"},
        description=(
            "What the bucket's owner should look at: findings by detector, place and severity, what is new "
            "or gone since the scan before, and what could not be read."
        ),
    )
    def bucket_risk(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult[Any]:
        bucket = context.partition_key
        scans = sorted(item.key for item in lake.list(f"{folder(bucket)}scans/"))
        if not scans:
            raise dg.Failure(
                description=f"{bucket}: no scan yet; materialize {OBJECTS_KEY.to_user_string()} first",
                allow_retries=False,
            )
        documents = [lake.read(key).decode() for key in scans[-_TREND:]]
        summary = risk.parse(documents[-1])
        html = lake.write(
            f"{folder(bucket)}risk.html",
            page.render(governed(estate, bucket), summary, risk.trend(documents)).encode(),
            "text/html; charset=utf-8",
        )
        link, until = lake.signed_url(lake.key(html))  # it holds masks and counts alone
        return dg.MaterializeResult(
            metadata={
                "worst_severity": summary.worst,
                "open_findings": summary.open,
                "new": summary.new,
                "closed": summary.closed,
                "coverage_percent": round(summary.coverage, 2),
                "detectors": dg.MetadataValue.md(risk.markdown(summary)),
                "places": dg.MetadataValue.md(risk.places_markdown(summary)),
                "page": dg.MetadataValue.url(link),
                "page_open_until": dg.MetadataValue.timestamp(until),
                "s3": dg.MetadataValue.url(lake.object_url(lake.key(html))),
                "dagster/uri": html,
                "summary": lake.uri(scans[-1]),
            }
        )

    return bucket_risk


def _coverage() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=OBJECTS_KEY,
        name="coverage",
        partitions_def=BUCKETS,
        description="Every object that was asked for was read to its end.",
    )
    def coverage(context: dg.AssetCheckExecutionContext, iceberg: IcebergResource) -> dg.AssetCheckResult:
        bucket = context.partition_key
        known = iceberg.read(OBJECTS, ("key", "state", "why"), {"bucket": [bucket]})
        states = Counter(known["state"].to_pylist())
        read = states[State.CLEAN.value] + states[State.FINDINGS.value]
        others = {state: number for state, number in sorted(states.items()) if state not in _READ}
        said = ", ".join(f"{number:,} {state}" for state, number in others.items())
        serious = states[State.FAILED.value] or states[State.PARTLY.value]
        return dg.AssetCheckResult(
            passed=read == known.num_rows,
            severity=dg.AssetCheckSeverity.ERROR if serious else dg.AssetCheckSeverity.WARN,
            description=f"{read:,} of {known.num_rows:,} objects read to their end"
            + (f"; {said}" if said else ""),
            metadata={
                "objects": known.num_rows,
                "coverage_percent": round(100 * read / known.num_rows, 4) if known.num_rows else 100.0,
                "states": dict(states),
                "reasons": dict(Counter(why for why in known["why"].to_pylist() if why).most_common(50)),
            },
        )

    return coverage


def _tell_plan(context: dg.OpExecutionContext, made: Plan, queued: int, done: int, shard_count: int) -> None:
    seconds = made.bytes / _BYTES_A_SECOND
    context.log.info(
        f"{made.listed:,} objects ({made.listed_bytes:,} bytes) listed, {made.unchanged:,} unchanged, "
        f"{len(made.gone):,} gone, {done:,} read by an earlier try; "
        f"{queued:,} to read ({made.bytes:,} bytes, about {seconds / 3600:.2f} core hours, "
        f"${costs(queued, seconds):.4f}) in {shard_count} shards"
    )


def costs(objects: int, seconds: float) -> float:
    """Dollars, estimated: one GET an object and Fargate's price for the core hours (us-east-1, 2026)."""
    return objects * 0.4e-6 + seconds / 3600 * (0.04048 + 2 * 0.004445)


def _dead_letter(job: Job, failed: Failed) -> tuple[str, str]:
    body = {"bucket": job.bucket, "key": failed.key, "etag": failed.etag, "job_id": job.job_id}
    return json.dumps(body), f"{failed.why} after {failed.attempts} tries: {failed.detail}"[:500]


def _alert(alerts: AlertResource, where: Bucket, summary: risk.Summary) -> None:
    """The end of a scan, told with counts; a louder subject when new findings are severe enough."""
    order = risk.SEVERITIES
    loud = [
        line
        for line in summary.detectors
        if line.new and order.index(line.severity) <= order.index(where.alert_at)
    ]
    new = sum(line.new for line in loud)
    subject = f"{where.name}: {new:,} new findings" if loud else f"{where.name}: scan complete"
    lines = [
        f"Scan {summary.job_id} of s3://{where.name} is complete.",
        f"{summary.objects:,} objects, {summary.coverage:.2f} % read to their end.",
        f"Open findings: {summary.open:,}; new: {summary.new:,}; closed: {summary.closed:,}.",
        *(f"New: {line.detector} ({line.severity}) {line.new:,}" for line in loud),
    ]
    alerts.publish(subject, "\n".join(lines))


def _objects_metadata(summary: risk.Summary) -> Mapping[str, Any]:
    return {
        "dagster/row_count": summary.objects,
        "dagster/table_name": OBJECTS,
        "bytes": dg.MetadataValue.int(summary.bytes),
        "coverage_percent": round(summary.coverage, 4),
        "states": dict(summary.states),
        "not_read": dg.MetadataValue.md(risk.unread_markdown(summary)),
        "scan_job": summary.job_id,
    }


def _findings_metadata(summary: risk.Summary) -> Mapping[str, Any]:
    return {
        "dagster/row_count": summary.open,
        "dagster/table_name": FINDINGS,
        "by_severity": summary.by_severity(),
        "new": summary.new,
        "closed": summary.closed,
        "detectors": dg.MetadataValue.md(risk.markdown(summary)),
        "scan_job": summary.job_id,
    }


def _shard(number: int) -> str:
    return f"shard_{number:04d}"


def _ensure(iceberg: IcebergResource) -> None:
    iceberg.ensure(OBJECTS, OBJECT_COLUMNS, PARTITION_BY)
    iceberg.ensure(FINDINGS, FINDING_COLUMNS, PARTITION_BY, FINDING_PROPERTIES)


def _listing(buckets: BucketsResource, where: Bucket, prefix: str) -> pa.Table:
    """What is asked for of the bucket: by the estate, and within that by the job."""
    if where.inventory:
        found = inventory.listing(buckets, where.inventory)
    else:
        start = prefix if prefix.startswith(where.prefix) else where.prefix
        found = listing(buckets.list(where.name, start))
    return chosen(chosen(found, where.prefix, where.include, where.exclude), prefix, (), ())


def _settled_parts(
    lake: LakeResource, scan_jobs: ScanJobsResource, bucket: str, job_id: str
) -> list[LakeObject]:
    """The parts of this job and of jobs that have ended. Those of another that still runs are left to it: its
    findings may be there before the objects that they belong to.
    """
    base = f"{folder(bucket)}parts/"
    found = list(lake.list(base))
    others = {part.key.removeprefix(base).split("/", 1)[0] for part in found} - {job_id}
    running = {
        other for other in others if (scan_jobs.get(other) or {}).get("status") in (QUEUED, PROCESSING)
    }
    return [part for part in found if part.key.removeprefix(base).split("/", 1)[0] not in running]


def _done(lake: LakeResource, parts: Sequence[LakeObject], rules: Rules) -> pa.Table:
    """The objects that an earlier try has put into ``parts``; those made by other rules are dropped."""
    found = [OBJECT_PART.empty_table()]
    for item in parts:
        if "/objects-" in item.key:
            part = _read_parquet(lake, item.key)
            if part.num_rows and part["rules"][0].as_py() != rules.text:
                lake.delete([item.key])
            else:
                found.append(part)
    done = pa.concat_tables(found)
    return done.filter(pc.not_equal(done["state"], State.FAILED.value))


def _without(work: pa.Table, done: pa.Table) -> pa.Table:
    """The work whose very version is not among the done."""
    there = set(zip(done["key"].to_pylist(), done["etag"].to_pylist(), strict=True))
    if not there:
        return work
    pairs = zip(work["key"].to_pylist(), work["etag"].to_pylist(), strict=True)
    return work.filter(pa.array([pair not in there for pair in pairs], pa.bool_()))


def _tally(done: pa.Table) -> Tally:
    return Tally(Counter(done["state"].to_pylist()), sum(done["findings"].to_pylist()))


def _counts(total: Tally) -> Mapping[str, int]:
    read = (State.CLEAN, State.FINDINGS, State.PARTLY)
    return {
        "succeeded": sum(total.states[state.value] for state in read),
        "failed": total.states[State.FAILED.value],
        "skipped": total.states[State.SKIPPED.value],
        "total_findings": total.findings,
    }


def _processes(work: pa.Table) -> int:
    """As many as are set, or as there are cores; one where starting more would take longer than the work."""
    if settings.SCAN_PROCESSES.value():
        return int(settings.SCAN_PROCESSES.number())
    small = work.num_rows < _FEW and sum(work["size"].to_pylist()) < _SMALL
    return 1 if small else len(os.sched_getaffinity(0))


def _gone(lake: LakeResource, key: str) -> list[str]:
    """The keys that the plan no longer found; none when this commit was made before, and cleaned up."""
    try:
        return list(_read_parquet(lake, key)["key"].to_pylist())
    except FileNotFoundError:
        return []


def _parquet(table: pa.Table) -> bytes:
    body = io.BytesIO()
    pq.write_table(table, body, compression="zstd")
    return body.getvalue()


def _read_parquet(lake: LakeResource, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(lake.read(key)))
