"""What the nights found: read back as anybody would, from the report and with Athena, and set against the
plan.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from privacy_assets.demo.days import RowKeys
from privacy_assets.demo.deletions import Accident
from resources import settings
from resources.athena import AthenaResource
from resources.s3 import LakeResource

ROW_KEYS = "SELECT snapshot_date, audit_id, row_key FROM audit_results"
SHOWN = 3
BESIDE_REGULATION, LEAST_REGULATION = 48, 20
"""Characters of a line that the columns but audit and regulation take."""
SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
STATUS_STYLES = {
    "passed": "green",
    "violated": "red",
    "not_audited": "bold yellow",
    "not_judged": "bold yellow",
}


@dataclass(frozen=True)
class Night:
    """One night's report, and the row keys that each audit wrote to the results table."""

    date: date
    report: Mapping[str, Any]
    row_keys: Mapping[str, Sequence[str]]
    html: Path
    json: Path


@dataclass(frozen=True)
class Findings:
    """All nights, oldest first. ``expected`` is what was planted, None when nobody knows; ``accident`` tells
    of the records that were deleted, where some were; ``failures`` are the reasons of runs that failed since
    an audit could not be run.
    """

    nights: Sequence[Night]
    expected: Mapping[date, RowKeys] | None
    accident: Accident | None = None
    failures: Sequence[str] = ()

    @property
    def last(self) -> Night:
        """The last night, which the table and the document are about."""
        return self.nights[-1]

    @property
    def surprises(self) -> list[str]:
        """A line for each audit of each night that did not find exactly what was planted, and for records
        that did not come back.
        """
        lines = list(self.accident.surprises) if self.accident else []
        if self.expected is None:
            return lines
        return [
            *(line for night in self.nights for line in _surprises(night, self.expected[night.date])),
            *lines,
        ]

    def planted(self, audit: str) -> int | None:
        """How many violations were planted for the last night; None when nobody knows."""
        if self.expected is None or (_own_audits() and audit not in self.expected[self.last.date]):
            return None
        return len(self.expected[self.last.date].get(audit, ()))

    def document(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        report = self.last.report
        return {
            "snapshot_date": self.last.date.isoformat(),
            "records": self.last.report["item_count"],
            "exports": [
                {"snapshot_date": night.date.isoformat(), **export}
                for night in self.nights
                for export in night.report["exports"]
            ],
            "audits": [
                {name: audit[name] for name in ("id", "status", "violations", "severity")}
                for audit in self.last.report["audits"]
            ],
            **({"archive": asdict(self.accident)} if self.accident else {}),
            "report": {"html": str(self.last.html), "json": str(self.last.json)},
            "verdict": report["verdict"]["text"],
            "snapshots": report["snapshots"],
            "reasons": {audit["id"]: audit["reason"] for audit in report["audits"] if audit["reason"]},
        }


def _own_audits() -> bool:
    return bool(os.environ.get(settings.AUDITS.name))


def _surprises(night: Night, expected: RowKeys) -> Iterator[str]:
    told = {audit["id"]: audit for audit in night.report["audits"]}
    names = told if _own_audits() else {*told, *expected}
    for name in sorted(names):
        if name not in expected and _own_audits():
            continue
        planted = expected.get(name, set())
        found = night.row_keys.get(name, ())
        wrong = []
        if name not in told or told[name]["status"] == "not_audited":
            wrong.append("was not audited")
        elif told[name]["status"] == "not_judged":
            wrong.append("could not be judged on all rows")
        elif told[name]["violations"] != len(planted):
            wrong.append(f"reported {told[name]['violations']:,}, planted {len(planted):,}")
        if len(found) != len(set(found)):
            wrong.append("wrote the same row twice")
        wrong += _named("did not find", planted - set(found))
        wrong += _named("found what was not planted:", set(found) - planted)
        if wrong:
            yield f"{night.date} {name}: {'; '.join(wrong)}"


def _named(what: str, keys: set[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else ""
    return [f"{what} {', '.join(sorted(keys)[:SHOWN])}{more}"]


def read_findings(
    nights: Sequence[date],
    reports: Path,
    expected: Mapping[date, RowKeys] | None,
    accident: Accident | None = None,
    failures: Sequence[str] = (),
) -> Findings:
    """Copy every night's report below ``reports`` and read what the audits wrote."""
    lake = LakeResource(bucket=settings.LAKE_BUCKET.value())
    athena = AthenaResource(
        workgroup=settings.ATHENA_WORKGROUP.value(), database=settings.GLUE_DATABASE.value()
    )
    row_keys: dict[date, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    # With data that we did not make, nobody compares rows; there may be as many as there are items.
    if expected is not None:
        for row in athena.fetch(athena.execute(ROW_KEYS)).to_pylist():
            row_keys[row["snapshot_date"]][row["audit_id"]].append(row["row_key"])
    found = [_night(lake, night, reports, row_keys[night]) for night in nights]
    return Findings(found, expected, accident, failures)


def _night(lake: LakeResource, night: date, reports: Path, row_keys: Mapping[str, Sequence[str]]) -> Night:
    folder = reports / night.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("report.html", "report.json"):
        (folder / name).write_bytes(lake.read(f"reports/snapshot_date={night.isoformat()}/{name}"))
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return Night(night, document, row_keys, folder / "report.html", folder / "report.json")


def print_table(found: Findings, console: Console) -> None:
    """The last night's audits, worst first, and where the report is."""
    report = found.last.report
    nights = f", {len(found.nights)} nights" if len(found.nights) > 1 else ""
    table = Table(
        title=f"The night of {found.last.date}: {report['item_count']:,} records{nights}",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("audit", "severity", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("found", justify="right", no_wrap=True)
    if found.expected is not None:
        table.add_column("planted", justify="right", no_wrap=True)
    longest = max(len(audit["id"]) for audit in report["audits"])
    room = console.width - longest - BESIDE_REGULATION
    if room >= LEAST_REGULATION:  # in a narrow window the rest is worth more
        table.add_column("regulation", no_wrap=True)
    for audit in report["audits"]:
        planted = found.planted(audit["id"])
        table.add_row(
            audit["id"],
            Text(audit["severity"], style=SEVERITY_STYLES.get(audit["severity"], "")),
            Text(audit["status"].replace("_", " "), style=STATUS_STYLES.get(audit["status"], "")),
            "—" if audit["violations"] is None else f"{audit['violations']:,}",
            *([] if found.expected is None else ["—" if planted is None else f"{planted:,}"]),
            *([Text(_cut(audit["regulation"], room))] if room >= LEAST_REGULATION else []),
        )
    console.print(table)
    console.print(f"{report['verdict']['text']}.", soft_wrap=True, highlight=False, markup=False)
    for line in _reasons(report):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    for name, path in (("report", found.last.html), ("as JSON", found.last.json)):
        console.print(f"{name + ':':8} {short(path)}", soft_wrap=True, highlight=False)


def _reasons(report: Mapping[str, Any]) -> Iterator[str]:
    """What keeps the last night from being judged: what each snapshot lost, and why an audit was not run."""
    for snapshot in report["snapshots"]:
        for what, counts in (
            ("could not be read", snapshot["misfits"]),
            ("not in estate.yaml", snapshot["undeclared"]),
        ):
            if counts:
                listed = ", ".join(f"{name} {number:,}" for name, number in counts.items())
                yield f"  {snapshot['table']}: {what}: {listed}"
    for audit in report["audits"]:
        if audit["status"] == "not_audited":
            yield f"  {audit['id']}: {audit['reason'] or 'not audited'}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1].rstrip(" ,;(") + "…"


def short(path: Path) -> str:
    """The path from where we are, if it is below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
