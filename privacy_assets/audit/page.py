"""The daily report as one HTML page that needs nothing but itself: no script, no font, no request.

Everything is escaped by Jinja2; the page also forbids itself to load or run anything.
"""

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from privacy_assets.audit.chart import HEIGHT, chart
from privacy_assets.audit.report import TREND_DAYS, Report, Status, rows_query

_FOLDER = Path(__file__).parent
_SAMPLE_ROWS = 10  # enough to see what kind of thing it is; the JSON document has twenty
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def render(report: Report) -> str:
    """The page of ``report``."""
    return _template().render(
        report=report, charts={line.id: chart(line.trend, line.threshold) for line in report.lines}
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"day": day, "instant": instant, "number": number, "size": size, "signed": signed}
    # The style sheet is ours and holds nothing of the data.
    css = Markup((_FOLDER / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    environment.globals |= {
        "css": css,
        "Status": Status,
        "chart_height": HEIGHT,
        "trend_days": TREND_DAYS,
        "sample_rows": _SAMPLE_ROWS,
        "rows_query": rows_query,
    }
    return environment.get_template("report.html")


def day(value: date) -> str:
    """``31 January 2026``."""
    return f"{value.day} {value:%B} {value.year}"


def instant(value: datetime) -> str:
    """``1 February 2026, 00:00:00 UTC``."""
    moment = value.astimezone(UTC)
    return f"{day(moment)}, {moment:%H:%M:%S} UTC"


def number(value: int) -> str:
    """With commas."""
    return f"{value:,}"


def signed(value: int) -> str:
    """``+3``, ``−2`` or ``±0``."""
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{abs(value):,}"


def size(value: int) -> str:
    """Bytes in units of a thousand, as Athena's console shows them."""
    amount = float(value)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")
