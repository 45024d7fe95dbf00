"""The scan of the demo: a bucket of samples, a request on the queue, and what was found set against what was
planted.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from privacy_assets.demo.samples import BUCKET, Samples
from privacy_assets.errors import UserError
from privacy_assets.scan.requests import ScanRequest
from resources import settings
from resources.athena import AthenaResource
from resources.s3 import LakeResource
from resources.scan_jobs import FAILED, QUEUED, SUCCEEDED, ScanJobsResource
from resources.sqs import QueueResource

JOB_ID = "sample"
_POLL_SECONDS = 0.5
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}


@dataclass(frozen=True)
class Scanned:
    """What the scan said, and what was planted: findings by (key, detector), states by key."""

    job: Mapping[str, Any]
    severities: Mapping[str, str]
    found: Mapping[tuple[str, str], int]
    expected: Mapping[tuple[str, str], int]
    states: Mapping[str, str]
    unread: Mapping[str, str]
    page: Path

    @property
    def surprises(self) -> list[str]:
        """A line for each difference."""
        lines = []
        for key, detector in sorted({*self.found, *self.expected}):
            there, planted = self.found.get((key, detector), 0), self.expected.get((key, detector), 0)
            if there != planted:
                lines.append(f"s3://{BUCKET}/{key}: {detector} found {there:,}, planted {planted:,}")
        for key, state in sorted(self.states.items()):
            read = state in ("clean", "findings")
            if read == (key in self.unread) or (not read and self.unread.get(key) != state):
                expected = self.unread.get(key, "read to its end")
                lines.append(f"s3://{BUCKET}/{key}: {state}, expected {expected}")
        return lines

    def by_detector(self) -> dict[str, tuple[int, int]]:
        """Found and planted."""
        found, planted = Counter[str](), Counter[str]()
        for (_, detector), number in self.found.items():
            found[detector] += number
        for (_, detector), number in self.expected.items():
            planted[detector] += number
        return {name: (found[name], planted[name]) for name in sorted({*found, *planted})}

    def document(self) -> dict[str, Any]:
        """What ``--json`` tells of it."""
        states = Counter(self.states.values())
        return {
            "bucket": BUCKET,
            "job_id": self.job["job_id"],
            "status": self.job["status"],
            "objects": dict(sorted(states.items())),
            "findings": [
                {"detector": name, "severity": self.severities.get(name), "found": found}
                for name, (found, _) in self.by_detector().items()
            ],
            "page": str(self.page),
        }


def ask(samples: Samples) -> None:
    """Put the objects into the bucket and ask for its scan."""
    from resources import clients

    s3 = clients.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in samples.objects.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    queue = QueueResource(
        queue=settings.SCAN_QUEUE.value(), dead_letters=settings.SCAN_DEAD_LETTER_QUEUE.value()
    )
    queue.send(ScanRequest(BUCKET, "", JOB_ID).body)


def follow(say: Callable[[str], None], alive: Callable[[], None], patience: float) -> Mapping[str, Any]:
    """Wait until the scan has ended; its job. Raises UserError when it fails or nothing happens."""
    jobs = ScanJobsResource(table=settings.SCAN_JOBS_TABLE.value())
    said, until = "", monotonic() + patience
    while True:
        alive()
        job = jobs.get(JOB_ID) or {"status": QUEUED, "progress_percent": 0}
        if job["status"] == SUCCEEDED:
            return job
        if job["status"] == FAILED:
            raise UserError(f"scan of s3://{BUCKET}: {job['reason']}")
        now = f"{job['status'].lower()}, {job['progress_percent']} %"
        if now != said:
            said, until = now, monotonic() + patience
            say(f"scan of s3://{BUCKET}: {now}")
        if monotonic() > until:
            raise UserError(f"scan of s3://{BUCKET}: nothing happened for {patience:g} s; it is {said}")
        sleep(_POLL_SECONDS)


def read(job: Mapping[str, Any], samples: Samples, reports: Path) -> Scanned:
    """What stands in the tables, with Athena as anybody would; the bucket's page copied below ``reports``."""
    athena = AthenaResource(
        workgroup=settings.ATHENA_WORKGROUP.value(), database=settings.GLUE_DATABASE.value()
    )

    def rows(sql: str) -> list[dict[str, Any]]:
        return list(athena.fetch(athena.execute(sql, [f"'{BUCKET}'"])).to_pylist())

    found = rows(
        "SELECT key, detector, severity, count(*) AS number FROM scan_findings "
        "WHERE bucket = ? AND status = 'open' GROUP BY 1, 2, 3"
    )
    states = rows("SELECT key, state FROM scan_objects WHERE bucket = ?")
    reports.mkdir(parents=True, exist_ok=True)
    page = reports / f"{BUCKET}.html"
    lake = LakeResource(bucket=settings.LAKE_BUCKET.value())
    page.write_bytes(lake.read(f"scan/{BUCKET}/risk.html"))
    return Scanned(
        job,
        {row["detector"]: row["severity"] for row in found},
        {(row["key"], row["detector"]): row["number"] for row in found},
        samples.expected,
        {row["key"]: row["state"] for row in states},
        samples.unread,
        page,
    )


def print_scan(scanned: Scanned, console: Console, short: Callable[[Path], str]) -> None:
    """The detectors with what they found, and where the page is."""
    states = Counter(scanned.states.values())
    told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    console.print(
        f"The bucket {BUCKET}: {len(scanned.states)} objects ({told})",
        style="bold italic",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("detector", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("found", justify="right")
    table.add_column("planted", justify="right")
    for name, (found, planted) in scanned.by_detector().items():
        severity = scanned.severities.get(name, "")
        table.add_row(name, Text(severity, style=_STYLES.get(severity, "")), f"{found:,}", f"{planted:,}")
    console.print(table)
    console.print(f"page:    {short(scanned.page)}", soft_wrap=True, highlight=False)
