"""What our pages share: one style sheet, one way to write dates and numbers, no request to anywhere.

Everything is escaped by Jinja2; each page also forbids itself to load or run anything.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def template(path: Path, **names: Any) -> Template:
    """The template at ``path``, which finds ``css``, the functions below as filters, and ``names``."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"day": day, "instant": instant, "number": number, "size": size, "signed": signed}
    # The style sheet is ours and holds nothing of the data.
    css = Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8"))  # noqa: S704
    environment.globals |= {"css": css, **names}
    return environment.get_template(path.name)


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
