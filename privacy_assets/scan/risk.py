"""What a bucket's owner should look at: findings by detector, place and severity, and what has changed.

Counts alone: no value, and no context, is in it, and the names of objects are scrubbed.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from privacy_assets.markdown import escaped
from privacy_assets.masking import scrub
from privacy_assets.scan.objects import State
from privacy_assets.scan.tables import UTC

SEVERITIES = ("critical", "high", "medium", "low")
READ = (State.CLEAN, State.FINDINGS)
PREFIXES = 20
"""How many places are told apart."""
COLUMNS = (
    "key",
    "detector",
    "severity",
    "status",
    "confidence",
    "first_seen",
    "last_seen",
    "closed_at",
    "job_id",
)
"""The columns of ``scan_findings`` that a summary needs."""
UNREAD = 20
"""How many objects that were not read to their end are named."""


@dataclass(frozen=True)
class DetectorLine:
    """One detector's findings: the open ones, the objects they are in, what is new and what was closed."""

    detector: str
    severity: str
    open: int
    sure: int
    """Open ones of high confidence."""
    objects: int
    new: int
    closed: int
    allowed: int


@dataclass(frozen=True)
class PlaceLine:
    """The open findings under one prefix, by severity."""

    prefix: str
    objects: int
    by_severity: Mapping[str, int]

    @property
    def open(self) -> int:
        """All of them."""
        return sum(self.by_severity.values())


@dataclass(frozen=True)
class Summary:
    """A scan's outcome. ``states`` and ``state_bytes`` are by ``State``."""

    bucket: str
    job_id: str
    at: datetime
    objects: int
    bytes: int
    states: Mapping[str, int]
    state_bytes: Mapping[str, int]
    reasons: Mapping[str, int]
    """Why objects were not read, or not to their end."""
    unread: Sequence[tuple[str, str, str]]
    """Key, state and reason of the first of them."""
    detectors: Sequence[DetectorLine]
    places: Sequence[PlaceLine]

    @property
    def open(self) -> int:
        """Open findings."""
        return sum(line.open for line in self.detectors)

    @property
    def new(self) -> int:
        """Found by this scan and by none before."""
        return sum(line.new for line in self.detectors)

    @property
    def closed(self) -> int:
        """Gone since the scan before."""
        return sum(line.closed for line in self.detectors)

    @property
    def covered(self) -> int:
        """Objects that were read to their end."""
        return sum(self.states.get(state.value, 0) for state in READ)

    @property
    def coverage(self) -> float:
        """Of the objects asked for, the part read to its end, in percent; 100 of none."""
        return 100 * self.covered / self.objects if self.objects else 100.0

    @property
    def worst(self) -> str:
        """The highest severity of an open finding; ``none``."""
        there = {line.severity for line in self.detectors if line.open}
        return next((severity for severity in SEVERITIES if severity in there), "none")

    def by_severity(self) -> dict[str, int]:
        """Open findings of each severity, the highest first."""
        found = dict.fromkeys(SEVERITIES, 0)
        for line in self.detectors:
            found[line.severity] += line.open
        return found


def summarise(
    bucket: str, job_id: str, at: datetime, since: datetime, objects: pa.Table, findings: pa.Table
) -> Summary:
    """What ``objects`` (as ``OBJECT_COLUMNS``) and ``findings`` (its ``COLUMNS``) of a bucket say.

    New is what the scan ``job_id`` saw first; closed, what is gone ``since``.
    """
    states = objects.group_by("state").aggregate([("size", "count"), ("size", "sum")])
    partly = objects.filter(pc.not_equal(objects["why"], ""))
    first = partly.sort_by([("state", "ascending"), ("key", "ascending")]).slice(0, UNREAD)
    return Summary(
        bucket=bucket,
        job_id=job_id,
        at=at,
        objects=objects.num_rows,
        bytes=int(pc.sum(objects["size"]).as_py() or 0),
        states=dict(zip(states["state"].to_pylist(), states["size_count"].to_pylist(), strict=True)),
        state_bytes=dict(zip(states["state"].to_pylist(), states["size_sum"].to_pylist(), strict=True)),
        reasons=dict(Counter(partly["why"].to_pylist()).most_common()),
        unread=[
            (_scrubbed(key), state, scrub(f"{why}: {detail}" if detail else why))
            for key, state, why, detail in zip(
                *(first[name].to_pylist() for name in ("key", "state", "why", "detail")), strict=True
            )
        ],
        detectors=_detectors(findings, job_id, since),
        places=_places(findings.filter(pc.equal(findings["status"], "open"))),
    )


def _detectors(findings: pa.Table, job_id: str, since: datetime) -> list[DetectorLine]:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    fresh = pc.and_(
        pc.equal(findings["job_id"], job_id), pc.equal(findings["first_seen"], findings["last_seen"])
    )
    gone = pc.fill_null(pc.greater_equal(findings["closed_at"], pa.scalar(since, UTC)), False)
    table = findings.select(["detector", "severity", "status", "confidence"])
    table = table.append_column("fresh", fresh).append_column("closed", gone)
    grouped = table.append_column("one", pa.repeat(1, table.num_rows)).group_by(table.column_names)
    for row in grouped.aggregate([("one", "sum")]).to_pylist():
        count, number = counts[row["detector"], row["severity"]], row["one_sum"]
        count[row["status"]] += number
        if row["status"] == "open":
            count["sure"] += number if row["confidence"] == "high" else 0
            count["new"] += number if row["fresh"] else 0
        count["closed"] += number if row["closed"] else 0
    opened = findings.filter(pc.equal(findings["status"], "open"))
    where = opened.group_by(["detector"]).aggregate([("key", "count_distinct")])
    objects = dict(zip(where["detector"].to_pylist(), where["key_count_distinct"].to_pylist(), strict=True))
    lines = [
        DetectorLine(
            detector, severity, count["open"], count["sure"], objects.get(detector, 0), count["new"],
            count["closed"], count["allowed"],
        )
        for (detector, severity), count in counts.items()
    ]  # fmt: skip
    return sorted(lines, key=lambda line: (SEVERITIES.index(line.severity), -line.open, line.detector))


def _places(opened: pa.Table) -> list[PlaceLine]:
    """The prefixes that hold most, as deep as they still are few."""
    if not opened.num_rows:
        return []
    grouped = opened.group_by(["key", "severity"]).aggregate([("detector", "count")])
    rows = list(
        zip(*(grouped[name].to_pylist() for name in ("key", "severity", "detector_count")), strict=True)
    )
    depth = 1
    while depth < 6 and len({_prefix(key, depth + 1) for key, _, _ in rows}) <= PREFIXES:
        depth += 1
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    keys: dict[str, set[str]] = defaultdict(set)
    for key, severity, number in rows:
        prefix = _prefix(key, depth)
        counts[prefix][severity] += number
        keys[prefix].add(key)
    lines = [PlaceLine(_scrubbed(prefix), len(keys[prefix]), dict(count)) for prefix, count in counts.items()]
    return sorted(lines, key=_weight)[:PREFIXES]


def _scrubbed(key: str) -> str:
    """A key without what identifies a person; each folder by itself, so that ``2026/01/31`` is no number.

    >>> _scrubbed("logs/2026/01/31/jane.doe@example.com")
    'logs/2026/01/31/ja••••om'
    """
    return "/".join(scrub(part) for part in key.split("/"))


def _weight(line: PlaceLine) -> tuple[Any, ...]:
    return (*(-line.by_severity.get(severity, 0) for severity in SEVERITIES), line.prefix)


def _prefix(key: str, depth: int) -> str:
    """``a/b/`` of ``a/b/c.txt`` at depth 2; the key itself where it is no deeper.

    >>> _prefix("a/b/c.txt", 1), _prefix("a/b/c.txt", 2), _prefix("c.txt", 1)
    ('a/', 'a/b/', 'c.txt')
    """
    parts = key.split("/")
    return "/".join(parts[:depth]) + "/" if len(parts) > depth else key


def document(summary: Summary) -> str:
    """The summary as one JSON document."""
    return json.dumps(asdict(summary), default=_plain, indent=1) + "\n"


def parse(text: str) -> Summary:
    """The summary of a ``document``. Raises ValueError and KeyError."""
    said = json.loads(text)
    said["at"] = datetime.fromisoformat(said["at"])
    said["unread"] = [(key, state, why) for key, state, why in said["unread"]]
    said["detectors"] = [DetectorLine(**line) for line in said["detectors"]]
    said["places"] = [PlaceLine(**line) for line in said["places"]]
    return Summary(**said)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(type(value).__name__)


def markdown(summary: Summary) -> str:
    """The detectors as a Markdown table."""
    if not summary.detectors:
        return "No findings."
    lines = [
        "| detector | severity | open | sure | objects | new | closed |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {line.detector} | {line.severity} | {line.open:,} | {line.sure:,} | {line.objects:,} "
        f"| {line.new:,} | {line.closed:,} |"
        for line in summary.detectors
    ]
    return "\n".join(lines)


def places_markdown(summary: Summary) -> str:
    """The places as a Markdown table."""
    if not summary.places:
        return "No findings."
    lines = ["| place | objects | critical | high | medium | low |", "|---|---:|---:|---:|---:|---:|"]
    for line in summary.places:
        numbers = " | ".join(f"{line.by_severity.get(severity, 0):,}" for severity in SEVERITIES)
        lines.append(f"| {escaped(line.prefix)} | {line.objects:,} | {numbers} |")
    return "\n".join(lines)


def unread_markdown(summary: Summary) -> str:
    """The objects that were not read to their end, as a Markdown table."""
    if not summary.unread:
        return "Every object was read to its end."
    lines = ["| object | state | why |", "|---|---|---|"]
    lines += [f"| {escaped(key)} | {state} | {escaped(why)} |" for key, state, why in summary.unread]
    if (more := summary.objects - summary.covered - len(summary.unread)) > 0:
        lines += ["", f"and {more:,} more in `scan_objects`"]
    return "\n".join(lines)


@dataclass(frozen=True)
class Trend:
    """Open findings of earlier scans, oldest first: when, and how many of each severity."""

    points: Sequence[tuple[datetime, Mapping[str, int]]]


def trend(documents: Iterable[str]) -> Trend:
    """What earlier scans' documents say; one that can't be read is passed over."""
    points = []
    for text in documents:
        try:
            said = json.loads(text)
            found = Counter[str]()
            for line in said["detectors"]:
                found[line["severity"]] += line["open"]
            points.append((datetime.fromisoformat(said["at"]), dict(found)))
        except (ValueError, KeyError, TypeError):
            continue
    return Trend(sorted(points, key=lambda point: point[0]))
