"""What Dagster tells CloudWatch of itself: each a number of things that are wrong, 0 when all is well."""

from typing import NamedTuple

NAMESPACE = "PrivacyAssets"


class Measure(NamedTuple):
    """A metric; ``runbook`` is a section of docs/runbooks.md, ``group`` a group of assets."""

    name: str
    meaning: str
    runbook: str
    group: str = ""


LATE_EXPORTS = Measure("LateExports", "tables without last night's export", "Exports")
OVERDUE_AUDITS = Measure("OverdueAudits", "days of the last seven without a report", "Audits")
FAILED_RUNS = Measure("FailedRuns", "runs of the last day that failed", "Runs")
CHECKS = (
    Measure("SnapshotChecks", "checks of snapshots that fail", "Snapshots", "snapshot"),
    Measure("ScanChecks", "checks of scans that fail, coverage among them", "Scans", "scan"),
    Measure("ArchiveChecks", "checks of the archive that fail", "Archive", "archive"),
    Measure("LedgerChecks", "checks of the ledger that fail", "Ledger", "evidence"),
    Measure("RequestChecks", "checks of requests that fail, due ones among them", "Requests", "dsar"),
    Measure("EventChecks", "checks of events that fail", "Events", "ingest"),
)
MEASURES = (LATE_EXPORTS, OVERDUE_AUDITS, FAILED_RUNS, *CHECKS)
