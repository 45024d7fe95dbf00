"""``evidence/ledger_checkpoint``: each day the whole ledger is verified, and its checkpoint put aside.

A checkpoint that was put aside is under Object Lock and never written again: what the log says later must
agree with every one of them.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from privacy_assets.estate import Estate
from privacy_assets.ledger import open_log
from privacy_assets.ledger.folder import KEPT
from privacy_assets.ledger.log import LedgerDamaged
from privacy_assets.ledger.verify import Report, verify
from privacy_assets.partitions import daily, snapshot_date
from privacy_assets.tasks import task_tags
from resources.ledger import LedgerResource

CHECKPOINT_KEY = dg.AssetKey(["evidence", "ledger_checkpoint"])
JOB = "ledger_checkpoint"
CHECK = "ledger_verified"
_OWNER = "team:privacy"


def ledger_assets(estate: Estate) -> list[dg.AssetsDefinition]:
    """The assets of the domain."""
    return [_checkpoint(estate)]


def ledger_job() -> Any:
    """``ledger_checkpoint``: the day's verification."""
    return dg.define_asset_job(
        JOB,
        dg.AssetSelection.assets(CHECKPOINT_KEY),
        description="Verifies the whole ledger and puts its checkpoint aside.",
        executor_def=dg.in_process_executor,
        tags=task_tags(JOB),
    )


def _checkpoint(estate: Estate) -> dg.AssetsDefinition:
    @dg.asset(
        key=CHECKPOINT_KEY,
        partitions_def=daily(estate),
        group_name="evidence",
        owners=[_OWNER],
        kinds={"s3", "dynamodb"},
        description=(
            "The ledger's checkpoint of the day, put aside once every entry, hash and signature was "
            "verified, the index agreed, and nothing before an earlier checkpoint had changed."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=CHECKPOINT_KEY,
                partitions_def=daily(estate),
                blocking=True,
                description="The ledger is whole, signed, and goes on from every checkpoint put aside.",
            )
        ],
    )
    def ledger_checkpoint(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        day = snapshot_date(context)
        log = open_log(ledger)
        report = _verified(ledger)
        checked = _checked(report)
        if not report.verified:
            yield checked
            raise dg.Failure(
                description=f"the ledger is damaged: {report.damage[0]} (`privacy-assets ledger verify`)",
                metadata={"damage": report.damage},
                allow_retries=False,
            )
        head = report.checkpoint
        kept = f"{KEPT}/{day.isoformat()}"
        if head is not None:
            ledger.create(kept, head.signed)
        yield dg.MaterializeResult(
            metadata={
                "entries": head.size if head else 0,
                "checkpoint": dg.MetadataValue.md(f"```\n{head.signed.decode()}```" if head else "none yet"),
                "vkey": log.key.vkey,
                "dagster/uri": ledger.uri(kept),
                "s3": dg.MetadataValue.url(ledger.console_url()),
                "verify": dg.MetadataValue.md(
                    f'```\nprivacy-assets ledger verify {ledger.uri()} --vkey "{log.key.vkey}"\n```'
                ),
            },
            check_results=[checked],
        )

    return ledger_checkpoint


def _verified(ledger: LedgerResource) -> Report:
    """Publish what somebody left who died, and verify all, which tells more of damage than he who met it."""
    log, met = open_log(ledger), ""
    try:
        log.open()
    except LedgerDamaged as error:
        met = str(error)
    report = verify(ledger, [log.key], index=ledger.index(), head=log.head)
    if met and report.verified:
        report.wrong(met)
    return report


def _checked(report: Report) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=CHECKPOINT_KEY,
        passed=report.verified,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(report.damage[:3] or report.said),
        metadata={
            "entries": report.checkpoint.size if report.checkpoint else 0,
            "damage": report.damage,
            "looked_at": report.said,
        },
    )
