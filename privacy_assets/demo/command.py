"""``privacy-assets demo``: start everything, load the days, follow the nights, compare, print, end
everything.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status

from privacy_assets.demo.days import Plan
from privacy_assets.demo.loading import Loaded, load, look_at, open_items
from privacy_assets.errors import UserError
from privacy_assets.machine.stack import Machine, machine, make_directory
from resources import settings

if TYPE_CHECKING:
    from privacy_assets.demo.findings import Findings
    from privacy_assets.demo.requests import Requested
    from privacy_assets.demo.scans import Scanned
    from privacy_assets.estate import Estate

RECORDS, NIGHTS = 20_000, 3
GENERATED_NOUN = "privacy_logs"
SCHEDULED_HOUR = 1
PIPE_WIDTH = 120
LONGEST_SILENCE = 600.0
"""Seconds without progress after which the demo gives up."""
SETTINGS = {"PRIVACY_ASSETS_SENSOR_SECONDS": "3"}
STATE = ("aws", "dagster", "logs")


@dataclass(frozen=True)
class Request:
    """What the demo was asked to do; ``state`` is the directory that holds all it writes."""

    state: Path
    records: int | None = None
    days: int | None = None
    items: Path | None = None
    keep: bool = False
    as_json: bool = False


@dataclass
class Stages:
    """What is going on, on stderr: a spinner for a person, a line for each thing done for everybody."""

    console: Console
    status: Status
    started: float = field(default_factory=monotonic)

    def now(self, what: str) -> None:
        """What is being done."""
        self.status.update(what)

    def done(self, what: str) -> None:
        """What has been done, with the seconds since the start."""
        self.console.print(
            f"[green]✓[/green] [dim]{monotonic() - self.started:5.1f} s[/dim]  {what}", soft_wrap=True
        )

    def night(self, night: date, doing: str, *, done: bool = False) -> None:
        """The progress of one night."""
        self.now(f"night of {night}: {doing}")
        if done:
            self.done(f"night of {night}: {doing}")


def demo(request: Request) -> int:
    """Run the demo and print what it found; the exit code: 0, or 1 when it is not what was
    planted or an audit could not be run.

    Raises UserError for wrong input or a directory in use, and with the reason of a failed run, SettingError
    for a setting that is none.
    """
    settings.check()
    if request.items is not None and request.records is not None:
        raise UserError("--records and --items: expected one of them; a file has as many records as it has")
    nights = last_nights(request.days or (1 if request.items else NIGHTS))
    plan = None if request.items else Plan(request.records or RECORDS, nights)
    if request.items is not None:
        from privacy_assets.governed import governed_estate, table_shapes

        with open_items(request.items) as lines:  # what is wrong with it is said before anything is started
            look_at(lines, table_shapes(governed_estate())[0].keys)
    console = Console(stderr=True, highlight=False)
    with console.status("starting AWS and Dagster on this machine") as status:
        found, scanned, requested = _run(request, nights, plan, Stages(console, status))
    wrong = [
        *found.failures,
        *found.surprises,
        *(scanned.surprises if scanned else ()),
        *(requested.surprises if requested else ()),
    ]
    _print(found, scanned, requested, wrong, console, as_json=request.as_json)
    if request.keep:
        console.print(kept(request.state), soft_wrap=True, markup=False)
    return 1 if wrong else 0


def kept(state: Path) -> str:
    """How to open what ``--keep`` kept."""
    aws, dagster = shlex.quote(str(state / "aws")), shlex.quote(str((state / "dagster").resolve()))
    return (
        f"  AWS is kept: privacy-assets aws up --detach --state {aws}; eval $(privacy-assets aws env)\n"
        f"  Dagster is kept: DAGSTER_HOME={dagster} dagster-webserver -m privacy_assets.definitions"
    )


def _print(
    found: "Findings",
    scanned: "Scanned | None",
    requested: "Requested | None",
    wrong: Sequence[str],
    console: Console,
    *,
    as_json: bool,
) -> None:
    from privacy_assets.demo.findings import print_table, short
    from privacy_assets.demo.requests import print_requests
    from privacy_assets.demo.scans import print_scan

    if as_json:
        document = found.document() | ({"scan": scanned.document()} if scanned else {})
        document |= {"requests": requested.document()} if requested else {}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        out = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        print_table(found, out)
        if scanned is not None:
            print_scan(scanned, out, short)
        if requested is not None:
            print_requests(requested, out, short)
    for line in wrong:
        console.print(f"[red]✗[/red] {line}", soft_wrap=True)
    if found.expected is not None and not wrong:
        console.print("[green]✓[/green] exactly what was planted was found, on every night and in the bucket")


def last_nights(number: int, now: datetime | None = None) -> list[date]:
    """The days of the last ``number`` snapshots that the schedule would have taken by ``now``, oldest
    first.
    """
    now = now or datetime.now(UTC)
    latest = (now - timedelta(hours=SCHEDULED_HOUR)).date() - timedelta(days=1)
    return [latest - timedelta(days=back) for back in reversed(range(number))]


def mornings(nights: Sequence[date]) -> list[str]:
    """The mornings on which the schedule runs for ``nights``."""
    return [(night + timedelta(days=1)).isoformat() for night in nights]


def _run(
    request: Request, nights: Sequence[date], plan: Plan | None, stages: Stages
) -> tuple["Findings", "Scanned | None", "Requested | None"]:
    make_directory(request.state)
    _empty(request.state, STATE)
    succeeded = False
    try:
        with machine(request.state, settings=SETTINGS, eager=True, forgets=not request.keep) as whole:
            found = follow_nights(request, nights, plan, stages, whole)
            stages.now("ending AWS and Dagster")
        succeeded = True
    finally:
        if not request.keep:  # of a failure the logs are kept, which its message may name
            _empty(request.state, STATE if succeeded else STATE[:2])
    return found


def _empty(directory: Path, parts: Sequence[str]) -> None:
    for part in parts:
        shutil.rmtree(directory / part, ignore_errors=True)


def follow_nights(
    request: Request, nights: Sequence[date], plan: Plan | None, stages: Stages, whole: Machine
) -> tuple["Findings", "Scanned | None", "Requested | None"]:
    """Load the days into a machine that runs, follow what comes of them, and read it; shows ``stages``."""
    table, _ = provision_estate(generated=plan is not None)
    stages.done(f"AWS at {whole.endpoint}, with all that the estate needs")
    loaded = _load(request, plan, nights[0], whole.endpoint, table, stages)
    stages.done(
        f"{loaded.items:,} records written to {table}"
        + (f", {loaded.deletes:,} deleted" if loaded.deletes else "")
    )
    from privacy_assets.demo import requests, scans
    from privacy_assets.demo.deletions import accident
    from privacy_assets.demo.findings import read_findings
    from privacy_assets.demo.samples import BUCKET, samples
    from privacy_assets.demo.watching import follow

    made = samples() if plan else None
    if made is not None:
        scans.ask(made)
        stages.done(f"{len(made.objects)} sample objects in s3://{BUCKET}, and a scan asked for")
    subject = requests.subject_of(table) if plan else ""
    whole.begin(mornings(nights))
    stages.now("waiting for the schedule")
    alive = whole.children.check
    audited = follow(nights, stages.night, alive, LONGEST_SILENCE)
    failures = [run.failure for run in audited if run.failure]
    # What a user brings is not deleted from, not even for show.
    happened = accident(table, stages.now, stages.done, alive) if plan else None
    export = requests.ask(subject, "export") if plan else ""
    job = scans.follow(stages.now, alive, LONGEST_SILENCE) if made else None
    if job is not None:
        stages.done(f"scan of s3://{BUCKET}: {job['total_findings']:,} findings")
    stages.now("reading what was found")
    reports = request.state / "reports"
    found = read_findings(nights, reports, plan.expected if plan else None, happened, failures)
    scanned = scans.read(job, made, reports) if job and made else None
    if not export:
        return found, scanned, None
    exported = requests.follow(export, stages.now, alive, LONGEST_SILENCE)
    stages.done(f"a subject's data exported: {exported['bundle']['records']:,} records")
    erasure = requests.ask(subject, "delete")
    erased = requests.follow(erasure, stages.now, alive, LONGEST_SILENCE)
    requested = requests.read(subject, exported, erased, reports)
    stages.done("the same subject erased, and every store searched again")
    return found, scanned, requested


def provision_estate(*, generated: bool) -> tuple[str, bool]:
    """Create what the estate needs; the DynamoDB table to load, and whether it is new.

    Raises UserError or AuditError for an estate or an audit that the code location would refuse.
    """
    from privacy_assets.audit.definition import load_audits
    from privacy_assets.governed import governed_estate, path_of, table_shapes
    from resources.provision import provision

    load_audits(path_of(settings.AUDITS))  # the code server loads them too, but tells nobody what is wrong
    estate = governed_estate()
    table = _table(estate, generated=generated)
    return table, f"table {table}: created" in provision(table_shapes(estate))


def _table(estate: "Estate", *, generated: bool) -> str:
    """Generated rows go to the table they are made for, a user's items to the first."""
    if not generated:
        return estate.tables[0].table
    for table in estate.tables:
        if table.name == GENERATED_NOUN:
            return table.table
    raise UserError(f"estate: no table {GENERATED_NOUN!r} to generate rows for, expected it or --items FILE")


def _load(
    request: Request, plan: Plan | None, first: date, endpoint: str, table: str, stages: Stages
) -> Loaded:
    def progress(loaded: Loaded) -> None:
        of = f" of {plan.records:,}" if plan else ""
        stages.now(f"writing records: {loaded.items:,}{of}")

    if plan is not None:
        return load(endpoint, table, plan.lines(), progress=progress)
    assert request.items is not None
    # Written before the first night's end, so that every night has them all.
    noon = datetime(first.year, first.month, first.day, 12, tzinfo=UTC)
    with open_items(request.items) as lines:
        return load(endpoint, table, lines, write_time=noon, progress=progress)
