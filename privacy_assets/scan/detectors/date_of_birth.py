"""Date of birth: a date that a word says somebody was born on. Without the word a date is only a date."""

from datetime import UTC, date, datetime

from privacy_assets.scan.detectors.masks import hide
from privacy_assets.scan.detectors.shape import Detector, Form, Literals, Numbers, Severity, groups, pattern

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[.]?"
_WORDS = (
    "dob",
    "d.o.b",
    "date of birth",
    "birth date",
    "birthdate",
    "birthday",
    "bday",
    "birth",
    "born",
    "born on",
    "geburtsdatum",
    "geboren",
    "geb",
    "date de naissance",
    "fecha de nacimiento",
    "data di nascita",
)


def valid(value: str) -> bool:
    """Whether it is a day in the calendar on which somebody alive may have been born.

    >>> valid("1990-02-28"), valid("02/30/1990"), valid("5 May 1990"), valid("1850-01-01")
    (True, False, True, False)
    """
    parts = "".join(c if c.isalnum() else " " for c in value.lower()).split()
    numbers = [
        _MONTHS.get(part[:3], 0) if part[0].isalpha() else int(part.rstrip("sthndr")) for part in parts
    ]
    year = max(numbers)
    others = [number for number in numbers if number != year]
    if len(numbers) != 3 or len(others) not in {1, 2}:
        return False
    one, two = others[0], others[-1]
    today = datetime.now(UTC).date()
    return any(
        _exists(year, month, day) and today.year - 120 <= year <= today.year
        for month, day in ((one, two), (two, one))
    )


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


DATE_OF_BIRTH = Detector(
    name="date_of_birth",
    version=1,
    title="Date of birth",
    severity=Severity.MEDIUM,
    forms=(
        Form(
            Numbers(groups(4, (1, 2), (1, 2)), separators=b"-/."),
            pattern(
                r"(?<![A-Za-z0-9])(?<!\d[-/.])(?P<value>(?:19|20)\d\d([-/.])\d{1,2}\2\d{1,2})(?![0-9]|[-/.]\d)"
            ),
            alone=None,
        ),
        Form(
            Numbers(groups((1, 2), (1, 2), 4), separators=b"-/."),
            pattern(
                r"(?<![A-Za-z0-9])(?<!\d[-/.])(?P<value>\d{1,2}([-/.])\d{1,2}\2(?:19|20)\d\d)(?![0-9]|[-/.]\d)"
            ),
            alone=None,
        ),
        Form(
            Literals((b"birth", b"born", b"dob"), ignore_case=True),
            pattern(
                rf"""(?:birth|born|dob) [^\n\d]{{0,24}}? (?<![A-Za-z0-9])
                (?P<value>\d{{1,2}}(?:st|nd|rd|th)?[ .-]{{1,2}}{_MONTH}[ ,-]{{1,2}}(?:19|20)\d\d
                |{_MONTH}[ -]\d{{1,2}}(?:st|nd|rd|th)?,?[ -](?:19|20)\d\d)(?![0-9])""",
                ignore_case=True,
            ),
        ),
    ),
    mask=hide,
    valid=valid,
    words=_WORDS,
    examples=(
        "dob=⟦1990-02-28⟧",
        '{"dateOfBirth": "⟦1990-02-28⟧T00:00:00Z"}',
        "Date of birth: ⟦28/02/1990⟧",
        "born on ⟦February 28, 1990⟧",
        "Geburtsdatum: ⟦28.02.1990⟧",
        "name,birth_date\nada,⟦1990-02-28⟧\n",
    ),
    decoys=(
        "created=1990-02-28",
        "dob=1990-02-31",
        "2026-01-02T03:04:05Z",
        "dob=1850-01-01",
        "version 1.2.2020",
    ),
)
