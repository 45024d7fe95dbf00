"""A bucket's risk as one HTML page that needs nothing but itself: no script, no font, no request."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template

from privacy_assets.estate import Bucket
from privacy_assets.page import day, template
from privacy_assets.scan.objects import State
from privacy_assets.scan.risk import SEVERITIES, Summary, Trend

_WIDTH = 600.0
_HEIGHT = 48.0
_STATES = tuple(state.value for state in State)


@dataclass(frozen=True)
class Piece:
    """A piece of a stacked bar, in units of an SVG's view box."""

    kind: str
    x: float
    width: float
    label: str


@dataclass(frozen=True)
class Column:
    """One scan in the trend: pieces of (severity, y, height)."""

    x: float
    pieces: tuple[tuple[str, float, float], ...]
    label: str


def render(bucket: Bucket, summary: Summary, trend: Trend) -> str:
    """The page of ``summary``."""
    most = max((line.open for line in summary.detectors), default=0)
    return _template().render(
        bucket=bucket,
        summary=summary,
        severities=SEVERITIES,
        by_severity=summary.by_severity(),
        severity_bar=stacked(summary.by_severity(), SEVERITIES, "open"),
        state_bar=stacked(summary.states, _STATES, "objects"),
        width=_WIDTH,
        most=most,
        columns=_columns(trend),
        trend=trend,
    )


def stacked(counts: Mapping[str, int], order: tuple[str, ...], unit: str) -> list[Piece]:
    """``counts`` side by side on the whole width; none is narrower than two units."""
    total = sum(counts.values())
    pieces, x = [], 0.0
    shown = [(kind, counts[kind]) for kind in order if counts.get(kind)]
    room = _WIDTH - 2.0 * len(shown)
    for kind, count in shown:
        width = 2.0 + room * count / total
        pieces.append(
            Piece(kind.replace(" ", "_"), round(x, 2), round(width, 2), f"{kind}: {count:,} {unit}")
        )
        x += width
    return pieces


def _columns(trend: Trend) -> list[Column]:
    highest = max((sum(counts.values()) for _, counts in trend.points), default=0) or 1
    step = _WIDTH / max(len(trend.points), 8)
    columns = []
    for index, (at, counts) in enumerate(trend.points):
        y, pieces = _HEIGHT, []
        for severity in reversed(SEVERITIES):
            height = round(_HEIGHT * counts.get(severity, 0) / highest, 2)
            y -= height
            if height:
                pieces.append((severity, round(y, 2), height))
        label = f"{day(at)}: {sum(counts.values()):,} open"
        columns.append(Column(round(index * step, 2), tuple(pieces), label))
    return columns


@cache
def _template() -> Template:
    return template(Path(__file__).parent / "risk.html", height=_HEIGHT)
