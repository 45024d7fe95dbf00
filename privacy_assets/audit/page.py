"""The daily report as one HTML page that needs nothing but itself: no script, no font, no request."""

from functools import cache
from pathlib import Path

from jinja2 import Template

from privacy_assets.audit.chart import HEIGHT, chart
from privacy_assets.audit.report import TREND_DAYS, Report, Status, loss_words, rows_query
from privacy_assets.page import template

_SAMPLE_ROWS = 10  # enough to see what kind of thing it is; the JSON document has twenty


def render(report: Report) -> str:
    """The page of ``report``."""
    return _template().render(
        report=report,
        losses=loss_words(report),
        charts={line.id: chart(line.trend, line.threshold) for line in report.lines},
    )


@cache
def _template() -> Template:
    return template(
        Path(__file__).parent / "report.html",
        Status=Status,
        chart_height=HEIGHT,
        trend_days=TREND_DAYS,
        sample_rows=_SAMPLE_ROWS,
        rows_query=rows_query,
    )
