"""Until when a request must be answered: rule sets by jurisdiction, versioned, each with its source.

A request keeps the id of the rule set that it was received under, so that a rule that changes later changes
no deadline of before. All days are days in UTC.
"""

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from privacy_assets.dsar.holidays import country_of, next_working_day
from privacy_assets.errors import UserError

_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


@dataclass(frozen=True)
class Pause:
    """The clock stood still from ``start`` until ``end``, which is None while it does."""

    start: date
    end: date | None = None

    def days(self, today: date) -> int:
        """How many days it lasted by ``today``."""
        return max(0, ((self.end or today) - self.start).days)


@dataclass(frozen=True)
class RuleSet:
    """How a law counts. Either ``months`` or ``days``; the extended period counts from receipt, too."""

    id: str
    source: str
    months: int = 0
    extended_months: int = 0
    days: int = 0
    extended_days: int = 0
    acknowledgement_business_days: int = 0
    rolls: bool = False
    """Whether a period that would end on a weekend or a holiday ends on the next working day."""
    pausable: str = ""
    """On what ground the clock may be stopped; empty where it may not be."""

    def due(
        self,
        received: date,
        jurisdiction: str,
        *,
        extended: bool = False,
        pauses: Sequence[Pause] = (),
        today: date | None = None,
    ) -> date:
        """The last day on which the answer is in time. Days of ``pauses`` are added to the period."""
        if self.months:
            end = add_months(received, self.extended_months if extended else self.months)
        else:
            end = received + timedelta(days=self.extended_days if extended else self.days)
        end += timedelta(days=sum(pause.days(today or received) for pause in pauses))
        return next_working_day(end, country_of(jurisdiction)) if self.rolls else end

    def acknowledge_by(self, received: date) -> date | None:
        """The last day on which receipt may be confirmed; None where no law asks for it.

        Weekends alone are no business days here: what a holiday would add is not relied upon.
        """
        if not self.acknowledgement_business_days:
            return None
        day, left = received, self.acknowledgement_business_days
        while left:
            day += timedelta(days=1)
            left -= day.isoweekday() <= 5
        return day


GDPR = RuleSet(
    id="gdpr-2018",
    source="GDPR Art. 12(3); Regulation (EEC, Euratom) 1182/71 Art. 3",
    months=1,
    extended_months=3,
    rolls=True,
    pausable="identity in doubt (GDPR Art. 12(6); EDPB Guidelines 01/2022 no. 157)",
)
"""One month from receipt, extended by two where necessary. The day of receipt does not count; a month
that lacks the day ends on its last; what would end on a Saturday, a Sunday or a public holiday ends on the
next working day.
"""

CCPA = RuleSet(
    id="ccpa-2023",
    source="CCPA Civ. Code § 1798.130(a)(2); 11 CCR § 7021",
    days=45,
    extended_days=90,
    acknowledgement_business_days=10,
)
"""45 calendar days from receipt whatever verification takes, extended once by 45; receipt is confirmed within
10 business days.
"""

RULE_SETS = {rules.id: rules for rules in (GDPR, CCPA)}
"""Every rule set that a request may have been received under. One that is no longer in force stays."""


def rules_for(jurisdiction: str) -> RuleSet:
    """The rule set in force: California's own, and everywhere else the month, which is the stricter.

    Raises UserError for what is no jurisdiction.
    """
    if not _JURISDICTION.fullmatch(jurisdiction):
        raise UserError("jurisdiction: expected an ISO 3166 code such as DE or US-CA")
    return CCPA if jurisdiction == "US-CA" else GDPR


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last (Regulation 1182/71 Art. 3(2)(c))."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


@dataclass(frozen=True)
class Clock:
    """One request's time: what its deadline is made of."""

    rules: RuleSet
    jurisdiction: str
    received: datetime
    extended: bool = False
    pauses: tuple[Pause, ...] = ()
    acknowledged: bool = False

    def due(self, today: date) -> date:
        """The last day on which the answer is in time, as of ``today``."""
        return self.rules.due(
            self.received.date(), self.jurisdiction, extended=self.extended, pauses=self.pauses, today=today
        )

    @property
    def acknowledge_by(self) -> date | None:
        """The last day on which receipt may be confirmed; None once it is, or where no law asks for it."""
        return None if self.acknowledged else self.rules.acknowledge_by(self.received.date())

    @property
    def paused(self) -> bool:
        """Whether the clock stands still now."""
        return any(pause.end is None for pause in self.pauses)


WARN_DAYS = (7, 3, 1)
"""People are told when so many days are left, and once more when the day is over."""


def warnings(clock: Clock, today: date) -> list[tuple[str, str]]:
    """What is to be told of a request that is open ``today``: (a name that it is told once under, words).

    Only the nearest warning of each deadline is given, so that who was away is not told all at once.
    """
    found = []
    for what, day in (("answer", clock.due(today)), ("acknowledgement", clock.acknowledge_by)):
        if day is None:
            continue
        left = (day - today).days
        if left < 0:
            found.append((f"{what}:{day}:overdue", f"{what} overdue since {day}"))
        elif steps := [step for step in WARN_DAYS if left <= step]:
            when = "today" if left == 0 else f"in {left} day{'s' if left > 1 else ''}"
            found.append((f"{what}:{day}:{min(steps)}", f"{what} due {when}, on {day}"))
    return found
