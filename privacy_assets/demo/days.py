"""The generated days: what is written on each, and which rows of it every audit must find.

Every day has the same mixture, so that no type of event is rare on one day and frequent on another, but for
the days that ``volume.anomaly`` shall notice. Nothing is left to chance: the same numbers give the same rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from privacy_assets.demo import innocent, planted
from privacy_assets.demo.events import DAY, Event, deletion
from privacy_assets.errors import UserError

HISTORY_DAYS = 7
"""Days before the first night: volume.anomaly compares with the week before."""
SPIKE_EVERY = 8
"""Nights from one spike to the next, so that none is in the week that another is compared with."""
LEAST_A_DAY = 100
ERASED_A_DAY = 1_000
"""One in so many rows belongs to a subject who leaves."""
_EPOCH = date(1970, 1, 1)
_OPENS = 5 * innocent.HOUR
_BUSINESS = DAY - _OPENS - innocent.LASTS
"""Seconds of a day in which stories begin, so that each ends on its day."""

RowKeys = dict[str, set[str]]


@dataclass
class Plan:
    """What ``lines`` writes: ``records`` items that are left after the last night, on ``days``.

    ``expected`` has, for each night, what every audit must find. It is complete once ``lines`` has ended.
    """

    records: int
    nights: Sequence[date]
    expected: dict[date, RowKeys] = field(default_factory=dict)
    _quota: int = 0
    _leaving: list[Event] = field(default_factory=list)
    _completions: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        least = LEAST_A_DAY * len(self.days)
        if self.records < least:
            raise UserError(
                f"--records: {self.records:,}, expected at least {least:,} for "
                f"{_count(self.nights)} and the week before"
            )
        names = (*planted.DAILY, *planted.LONG_AGO, planted.VOLUME)
        self.expected = {night: {name: set() for name in names} for night in self.nights}

    @property
    def days(self) -> list[date]:
        """All days of business: a week, then the nights'."""
        first = self.nights[0] - timedelta(days=HISTORY_DAYS)
        return [first + timedelta(days=n) for n in range(HISTORY_DAYS + len(self.nights))]

    def lines(self) -> Iterator[bytes]:
        """Every change, as a line to load."""
        before = list(self._before())
        yield from (event.line() for event in before)
        left, days = self.records - len(before), self.days
        for number, day in enumerate(days):
            self._quota = left // len(days) + (number < left % len(days))
            yield from self._day(day)

    def _before(self) -> Iterator[Event]:
        start = _second(self.days[0]) + _OPENS
        for audit, (seed, times) in planted.LONG_AGO.items():
            for n in range(times):
                rows = seed(f"{audit}-{n}", n, start)
                yield from rows
                self._expect(audit, rows[-1].log_id, self.nights[0])

    def _day(self, day: date) -> Iterator[bytes]:
        """The quota's worth of one day: what must be there first, then stories until it is full."""
        for event in self._must(day):
            self._quota -= 1
            yield event.line()
        for event in self._leaving:
            self._quota += 1
            yield deletion(event.log_id, event.at + DAY)
        self._leaving, self._completions = [], []
        for number in range(1 + self._quota // ERASED_A_DAY):
            asked, done = innocent.erased(
                f"{day:%Y%m%d}-e{number:x}", number, _second(day) + _OPENS + number % 3600
            )
            self._leaving.append(asked[0])
            self._completions += done
            for event in asked:
                self._quota -= 1
                yield event.line()
        yield from self._stories(day)

    def _must(self, day: date) -> Iterator[Event]:
        """The erasures asked for yesterday, today's violations and, on some nights, a crowd."""
        yield from self._completions
        start = _second(day) + _OPENS
        spikes = 0
        for audit, (seed, times) in planted.DAILY.items():
            for n in range(times):
                rows = seed(f"{day:%Y%m%d}-{audit}-{n}", n, start + n * innocent.MINUTE)
                yield from rows
                self._expect(audit, rows[-1].log_id, day)
        if day in self.nights and (self.nights[-1] - day).days % SPIKE_EVERY == 0:
            spikes = 20 + self._quota // 20
            self.expected[day][planted.VOLUME].add(planted.SPIKE_TYPE)
        for n in range(spikes):
            yield planted.spike(f"{day:%Y%m%d}-s{n:x}", start + n % _BUSINESS)

    def _stories(self, day: date) -> Iterator[bytes]:
        start = _second(day) + _OPENS
        prefix = f"{day:%Y%m%d}-"
        rotation, many = innocent.ROTATION, len(innocent.ROTATION)
        left, n = self._quota, 0
        while left > 0:
            events = rotation[n % many](f"{prefix}{n:06x}", n, start + n * 7 % _BUSINESS)
            if len(events) > left:  # the day's last rows: whoever stands alone
                events = innocent.customer(f"{prefix}{n:06x}", n, start)
            for event in events:
                yield event.line()
            left -= len(events)
            n += 1

    def _expect(self, audit: str, row_key: str, since: date) -> None:
        for night in self.nights:
            if night >= since:
                self.expected[night][audit].add(row_key)


def _second(day: date) -> int:
    return (day - _EPOCH).days * DAY


def _count(nights: Sequence[date]) -> str:
    return f"{len(nights)} night" + ("s" if len(nights) != 1 else "")
