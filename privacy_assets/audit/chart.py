"""A trend as bars: where each stands, in the units of an SVG's view box. No colours, no markup."""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy_assets.audit.report import Point, Status

DAY = 10
"""Width of a day."""
HEIGHT = 48


@dataclass(frozen=True)
class Bar:
    """One day. ``kind`` is ``gap`` (not audited), ``not_judged`` (not on all rows), ``none`` (no violation),
    ``allowed`` or ``violated``."""

    kind: str
    x: float
    y: float
    height: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Bars from left to right, the line of the threshold if it is above nought, and all of it in words."""

    width: int
    bars: tuple[Bar, ...]
    threshold_y: float | None
    highest: int
    words: str


def chart(trend: Sequence[Point], threshold: int) -> Chart:
    """``trend`` as bars. The tallest is the highest count or the threshold, whichever is more."""
    highest = max((point.violations or 0 for point in trend), default=0)
    top = max(highest, threshold, 1)
    return Chart(
        width=DAY * len(trend),
        bars=tuple(_bar(index, point, top) for index, point in enumerate(trend)),
        threshold_y=HEIGHT - _height(threshold, top) if threshold else None,
        highest=highest,
        words=_words(trend, threshold),
    )


def _bar(index: int, point: Point, top: int) -> Bar:
    day = f"{point.day.day} {point.day:%b}"
    x = float(index * DAY)
    if point.violations is None:
        return Bar("gap", x, HEIGHT, 0, f"{day}: not audited")
    number = f"{day}: {point.violations:,}"
    if point.status is Status.NOT_JUDGED:
        height = _height(point.violations, top)
        return Bar("not_judged", x, HEIGHT - height, height, f"{number}, not all rows could be judged")
    if not point.violations:
        return Bar("none", x, HEIGHT - 2, 2, number)
    height = _height(point.violations, top)
    kind = "violated" if point.status is Status.VIOLATED else "allowed"
    return Bar(kind, x, HEIGHT - height, height, number)


def _height(number: int, top: int) -> float:
    """At least 4, so that one of a million can be seen beside none."""
    return round(4 + (HEIGHT - 6) * number / top, 2)


def _words(trend: Sequence[Point], threshold: int) -> str:
    audited = [point for point in trend if point.violations is not None]
    if not audited:
        return f"Violations a day over {len(trend)} days: not audited on any."
    most = max(audited, key=lambda point: (point.violations or 0, point.day))
    last = trend[-1]
    gaps, above = len(trend) - len(audited), sum(point.status is Status.VIOLATED for point in audited)
    return (
        f"Violations a day over {len(trend)} days: "
        f"{'not audited' if last.violations is None else f'{last.violations:,}'} on {_day(last)}, "
        f"at most {most.violations:,} on {_day(most)}, "
        f"{above} {'day' if above == 1 else 'days'} above the threshold of {threshold:,}, "
        f"{gaps} {'day' if gaps == 1 else 'days'} not audited."
    )


def _day(point: Point) -> str:
    return f"{point.day.day} {point.day:%B}"
