"""The assets of a request: what the stores gave or lost, the answer, its end; and an approval.

A run is one request. Its steps hand nothing to one another: each finds in the register what is done, so that
a run may die anywhere and another, or the same step tried again, goes on from there. A store that fails turns
its own step red and no other; the run has failed then, and the sensor ``dsar_jobs`` says so in the register.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from privacy_assets.dsar import composition, names
from privacy_assets.dsar.reappearance import Watch
from privacy_assets.dsar.register import Job, Register
from privacy_assets.dsar.states import Action, State
from privacy_assets.dsar.stores.protocol import StoreError
from privacy_assets.dsar.watch import overdue, standing
from privacy_assets.dsar.work import said
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate, Table
from privacy_assets.partitions import REQUESTS, daily
from privacy_assets.snapshot import names as snapshot_names
from privacy_assets.tasks import task_tags
from resources.erasures import ErasuresResource
from resources.glue import GlueResource
from resources.s3 import LakeResource

if TYPE_CHECKING:
    from privacy_assets.jobs import AssetJob

_OWNER = "team:privacy"
_RETRY = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
_KEYS = set(composition.RESOURCES)
T = TypeVar("T")


def dsar_assets(estate: Estate) -> list[dg.AssetsDefinition]:
    """The assets of requests over the estate's stores."""
    return [_store_results(estate), _bundle(estate), _completion(estate), _approval(estate)]


def dsar_checks(estate: Estate) -> list[dg.AssetChecksDefinition]:
    """What is late or will be soon, whichever request is looked at; who is in a snapshot and was erased."""

    @dg.asset_check(
        asset=dg.AssetKey(names.COMPLETION_KEY),
        name=names.IN_TIME,
        description="No open request is past its deadline (GDPR Art. 12(3), CCPA § 1798.130(a)(2)).",
        required_resource_keys=_KEYS,
    )
    def in_time(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return in_time_result(composition.register(context.resources))

    erased = [_stay_erased(estate, table) for table in composition.erasable(estate)]
    return [in_time, *erased]


def _stay_erased(estate: Estate, table: Table) -> dg.AssetChecksDefinition:
    newer = (
        f"Rows whose `{table.time_key}` is later than the erasure are new ones and may be there."
        if table.time_key
        else "Without a `time_key` in estate.yaml a subject who has come back since is told too."
    )

    @dg.asset_check(
        asset=dg.AssetKey(snapshot_names.typed_key(table.name)),
        name=names.STAY_ERASED,
        partitions_def=daily(estate),
        retry_policy=_RETRY,
        description=(
            "Nobody whose erasure was completed here is in the snapshot, as after a backfill of a night from "
            "before the erasure or an import of an old copy (GDPR Art. 17(1)). The way out: find the person "
            "by the requests that are named, and submit the erasure again (`privacy-assets dsar submit "
            f"delete`), which takes her out of every night's export, snapshot and audit results. {newer}"
        ),
    )
    def stay_erased(
        context: dg.AssetCheckExecutionContext,
        lake: LakeResource,
        glue: GlueResource,
        erasures: ErasuresResource,
    ) -> dg.AssetCheckResult:
        day = context.partition_key
        there = glue.partition(table.name, [day])
        if there is None:
            asset = "/".join(snapshot_names.typed_key(table.name))
            raise dg.Failure(
                description=f"{day}: no snapshot in the catalog; materialize {asset}", allow_retries=False
            )
        watch = Watch(estate, table)
        objects = lake.list(there.location.removeprefix(lake.uri("")).rstrip("/") + "/")
        found = watch.look(lake.parquet_batches(objects, watch.columns), erasures)
        rows = {**found.rows, **found.under_way}
        return dg.AssetCheckResult(
            passed=not rows,
            # A snapshot that was taken while the erasure goes on is erased with the rest.
            severity=dg.AssetCheckSeverity.ERROR if found.rows else dg.AssetCheckSeverity.WARN,
            metadata={
                "rows": sum(found.rows.values()),
                "rows_of_erasures_under_way": sum(found.under_way.values()),
                "subjects": found.subjects,
                "requests": dg.TableMetadataValue(
                    [
                        dg.TableRecord({"request": request, "rows": number})
                        for request, number in sorted(rows.items(), key=lambda each: -each[1])[:20]
                    ],
                    dg.TableSchema([dg.TableColumn("request"), dg.TableColumn("rows", "int")]),
                ),
            },
        )

    return stay_erased


def in_time_result(register: Register) -> dg.AssetCheckResult:
    """The check's result as of now: ids, dates and states alone."""
    today = datetime.now(UTC).date()
    found = standing(register)
    late = overdue(found, today)
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.ERROR,
        asset_key=dg.AssetKey(names.COMPLETION_KEY),
        check_name=names.IN_TIME,
        metadata={
            "open": len(found),
            "overdue": len(late),
            "requests": dg.TableMetadataValue(
                [
                    dg.TableRecord({"request": job["job_id"], "state": job["state"], "due": job["due"]})
                    for job in found[:20]
                ],
                dg.TableSchema([dg.TableColumn(name) for name in ("request", "state", "due")]),
            ),
        },
    )


def dsar_jobs() -> "list[AssetJob]":
    """``dsar_request`` works on one request; ``dsar_approval`` approves or rejects one."""
    completion = dg.AssetSelection.assets(names.COMPLETION_KEY)
    answered = dg.AssetSelection.assets(names.STORE_RESULTS_KEY, names.BUNDLE_KEY) | completion
    return [
        dg.define_asset_job(
            names.DSAR_REQUEST,
            answered | dg.AssetSelection.checks_for_assets(names.COMPLETION_KEY),
            description="Works on one request: every store, the answer, its end.",
            executor_def=dg.in_process_executor,
            tags=task_tags(names.DSAR_REQUEST),
        ),
        dg.define_asset_job(
            names.DSAR_APPROVAL,
            dg.AssetSelection.assets(names.APPROVAL_KEY),
            description="Approves or rejects a request that waits for it; who starts it says who decided.",
            executor_def=dg.in_process_executor,
            tags=task_tags(names.DSAR_APPROVAL),
        ),
    ]


def _store_results(estate: Estate) -> dg.AssetsDefinition:
    @dg.op(
        name="dsar_identify",
        out=dg.Out(dg.Nothing),
        retry_policy=_RETRY,
        required_resource_keys=_KEYS,
        description="Takes up the request and finds out, through links between stores, who it is about.",
    )
    def identify(context: dg.OpExecutionContext) -> None:
        worker = composition.worker(estate, context.resources)
        job = _begun(context, worker.register)
        if job["state"] == State.COMPLETED:
            return
        known = _quietly(lambda: worker.identify(job["job_id"]))
        kinds = {kind: len(values) for kind, values in known.identifiers.items()}
        context.log.info(f"{sum(kinds.values())} identifiers of {len(kinds)} kinds")
        for store in known.missed:
            context.log.warning(f"store {store} could not be asked for links")

    @dg.op(
        name="dsar_gather",
        ins={"worked": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing, is_required=False),
        retry_policy=_RETRY,
        required_resource_keys=_KEYS,
        description="All stores are done: the request goes on, or waits for an approval or a lock's date.",
    )
    def gather(context: dg.OpExecutionContext) -> Any:
        worker = composition.worker(estate, context.resources)
        _begun(context, worker.register)
        job = _quietly(lambda: worker.gather(context.partition_key))
        if job["state"] in (State.RUNNING, State.COMPLETED):
            yield dg.Output(None, metadata=_store_metadata(job))
        else:
            context.log.info(f"{job['state']}: {job.get('reason')}")

    steps = [_store_step(estate, spec.name) for spec in estate.stores]

    @dg.graph_asset(
        key=names.STORE_RESULTS_KEY,
        partitions_def=REQUESTS,
        group_name="dsar",
        owners=[_OWNER],
        kinds={"s3", "dynamodb"},
        description=(
            "What each store of the estate holds of the subject, exported or erased and searched again. One "
            "step a store; what is done is not done again."
        ),
    )
    def store_results() -> Any:
        identified = identify()
        worked = [step(identified) for step in steps]
        return gather(worked or [identified])

    return store_results


def _store_step(estate: Estate, store: str) -> Callable[..., Any]:
    @dg.op(
        name=f"dsar_{store}",
        ins={"identified": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        retry_policy=_RETRY,
        required_resource_keys=_KEYS,
        description=f"The request's work in the store {store}.",
    )
    def step(context: dg.OpExecutionContext) -> Any:
        worker = composition.worker(estate, context.resources)
        if _begun(context, worker.register)["state"] == State.COMPLETED:
            entry: Any = {}
        else:
            entry = _quietly(lambda: worker.work(context.partition_key, store))
        yield dg.Output(None, metadata=_entry_metadata(entry))

    return step


def _bundle(estate: Estate) -> dg.AssetsDefinition:
    @dg.asset(
        key=names.BUNDLE_KEY,
        deps=[names.STORE_RESULTS_KEY],
        partitions_def=REQUESTS,
        group_name="dsar",
        owners=[_OWNER],
        kinds={"s3"},
        retry_policy=_RETRY,
        required_resource_keys=_KEYS,
        description=(
            "The answer: a zip with each store's records as JSON, a manifest of SHA-256 hashes and a page "
            "for a person; of an erasure, what was erased and what was kept, and why."
        ),
    )
    def bundle(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        worker, job_id = composition.worker(estate, context.resources), context.partition_key
        job = worker.register.get(job_id)
        made = job["bundle"] if job["state"] == State.COMPLETED else _quietly(lambda: worker.answer(job_id))
        return dg.MaterializeResult(
            metadata={
                "s3": context.resources.bundles.uri(made["key"]),
                "console": dg.MetadataValue.url(context.resources.bundles.console_url(made["key"])),
                "bytes": made["size"],
                "records": made["records"],
                "sha256": made["sha256"],
            }
        )

    return bundle


def _completion(estate: Estate) -> dg.AssetsDefinition:
    @dg.asset(
        key=names.COMPLETION_KEY,
        deps=[names.BUNDLE_KEY],
        partitions_def=REQUESTS,
        group_name="dsar",
        owners=[_OWNER],
        kinds={"dynamodb", "sns"},
        retry_policy=_RETRY,
        required_resource_keys=_KEYS,
        description=(
            "The request is answered: registered and in the ledger, people told, and what was kept of the "
            "subject for the work deleted."
        ),
    )
    def completion(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        worker, job_id = composition.worker(estate, context.resources), context.partition_key
        _quietly(lambda: worker.complete(job_id))
        job = _quietly(lambda: composition.close(context.resources, job_id))
        answered = datetime.fromisoformat(job["ended_at"])
        received = datetime.fromisoformat(job["received_at"])
        return dg.MaterializeResult(
            metadata={
                "action": job["action"],
                "state": job["state"],
                "attempts": job["attempt"],
                "received": dg.MetadataValue.timestamp(received),
                "answered": dg.MetadataValue.timestamp(answered),
                "due": job["due"],
                "in_time": answered.date().isoformat() <= job["due"],
                "events_in_the_ledger": job["seq"],
            }
        )

    return completion


class ApprovalConfig(dg.Config):
    """Who decided, and what; a rejection needs its reason."""

    decided_by: str
    approve: bool = True
    reason: str = ""


def _approval(estate: Estate) -> dg.AssetsDefinition:
    needed = ", ".join(sorted(estate.requests.approval)) or "nothing, in this estate"

    @dg.asset(
        key=names.APPROVAL_KEY,
        partitions_def=REQUESTS,
        group_name="dsar",
        owners=[_OWNER],
        kinds={"dynamodb"},
        required_resource_keys=_KEYS,
        description=f"Somebody's decision about a request that waits for one (needed for: {needed}).",
    )
    def approval(context: dg.AssetExecutionContext, config: ApprovalConfig) -> dg.MaterializeResult[Any]:
        register, job_id = composition.register(context.resources), context.partition_key
        if config.approve:
            _quietly(lambda: register.approve(job_id, config.decided_by))
        else:
            _quietly(lambda: register.reject(job_id, config.decided_by, config.reason))
        decided = "approved" if config.approve else "rejected"
        return dg.MaterializeResult(metadata={"decision": decided, "decided_by": config.decided_by})

    return approval


def _begun(context: dg.OpExecutionContext, register: Register) -> Job:
    """The request, RUNNING by this run. A run that a person starts is a new attempt.

    Each step asks, as a run that goes on from another's failure begins anywhere.
    """
    job_id, tags = context.partition_key, context.run.tags
    by_hand = names.ATTEMPT_TAG not in tags or context.run.parent_run_id is not None
    job = register.get(job_id)
    mine = job.get("run_id") == context.run.run_id
    if job["state"] == State.COMPLETED or (mine and job["state"] in (State.RUNNING, State.BLOCKED)):
        return job
    attempt = None if by_hand else int(tags[names.ATTEMPT_TAG])
    return _quietly(lambda: register.begin(job_id, attempt, context.run.run_id))


def _quietly(work: Callable[[], T]) -> T:
    """Dagster keeps an error's words for ever, and of all that it came from; so a failure has ours alone."""
    try:
        return work()
    except (UserError, StoreError) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except Exception as error:  # noqa: BLE001  # it is raised, under another name
        raise dg.Failure(description=said(error)) from None


def _entry_metadata(entry: Mapping[str, Any]) -> dict[str, Any]:
    names_ = (
        "state", "records", "size", "sha256", "before", "erased", "changed", "versions", "after",
        "interrupted",
    )  # fmt: skip
    return {name: entry[name] for name in names_ if name in entry}


def _store_metadata(job: Job) -> dict[str, Any]:
    export = job["action"] == Action.EXPORT
    columns = ("records", "size", "sha256") if export else ("before", "erased", "changed", "after")
    schema = dg.TableSchema([dg.TableColumn(name) for name in ("store", "state", *columns)])
    rows = [
        dg.TableRecord(
            {"store": store, "state": entry["state"], **{each: entry.get(each, 0) for each in columns}}
        )
        for store, entry in job["stores"].items()
    ]
    total = sum(int(entry.get(columns[0], 0)) for entry in job["stores"].values())
    return {"stores": dg.TableMetadataValue(rows, schema), "records": total}
