"""What may be done with a record of the subject: the rules that all kinds of stores share.

A record is the subject's when a declared field agrees with one of the identifiers. An erasure leaves it where
an exception holds (GDPR Art. 17(3), CCPA §1798.105(d)), changes it where the estate says so, and deletes it
else.
"""

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from privacy_assets.dsar import periods
from privacy_assets.dsar.stores.models import Records, Retention, Values
from privacy_assets.dsar.stores.protocol import (
    Identifier,
    Identifiers,
    Link,
    Record,
    Retained,
    StoreError,
    Tally,
)
from privacy_assets.masking import mask

REDACTED = "erased"
Pseudonym = Callable[[str, str], str]
"""The keyed HMAC of a kind and a value."""
Fields = Mapping[str, frozenset[str]]
"""For each field the values that make a record the subject's."""
_HALF = re.compile(r"[\ud800-\udfff]")
"""Half a surrogate pair: what has one is no text that a store could be asked for."""
_MILLISECONDS = 100_000_000_000  # as seconds it would lie after the year 5000


class Rules:
    """The rules of one table; ``place`` names it in what is told."""

    def __init__(
        self,
        spec: Records,
        place: str,
        pseudonym: Pseudonym,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.spec, self.place = spec, place
        self._pseudonym, self._now = pseudonym, now

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of identifiers that records are found by."""
        return frozenset(self.spec.match)

    @property
    def deletes_all(self) -> bool:
        """Whether every record of the subject is deleted, unseen."""
        return not self.spec.change and not self.spec.retain

    def wanted(self, identifiers: Identifiers) -> Fields:
        """What to search for; a field in which nothing is searched for isn't named."""
        found: dict[str, set[str]] = {}
        for kind, fields in self.spec.match.items():
            for field in fields:
                if identifiers.get(kind):
                    found.setdefault(field, set()).update(identifiers[kind])
        return {field: frozenset(values) for field, values in found.items()}

    def matches(self, record: Mapping[str, Any], wanted: Fields) -> bool:
        """Whether the record is the subject's."""
        return any(text(record.get(field)) in values for field, values in wanted.items())

    def links(self, record: Mapping[str, Any], identifiers: Identifiers) -> Iterator[Link]:
        """What a record of the subject links to, from each identifier that it was found by."""
        sources = [
            Identifier(kind, value)
            for kind, fields in self.spec.match.items()
            for value in {text(record.get(field)) for field in fields} & identifiers.get(kind, frozenset())
            if value is not None
        ]
        for kind, fields in self.spec.links.items():
            for field in fields:
                for value in _texts(record.get(field)):
                    for source in sources:
                        yield Link(source, Identifier(kind, value), f"{self.place}.{field}")

    def exported(self, record: Mapping[str, Any]) -> Record:
        """The record as the subject gets it."""
        found: dict[str, Any] = {}
        for field, value in record.items():
            rule = self.spec.export.get(field)
            if rule == "omit":
                continue
            found[field] = masked(value) if rule == "mask" else plain(value)
        return found

    def retained(self, record: Mapping[str, Any]) -> Retained | None:
        """Why a record stays and until when; of several reasons the one that lasts longest."""
        found: list[Retained] = []
        for each in self.spec.retain:
            if any(text(record.get(field)) not in _allowed(values) for field, values in each.where.items()):
                continue
            until = self._until(each, record)
            if until is None or until > self._now():
                found.append(Retained(each.article, each.reason, 1, until))
        return max(found, key=lambda each: (each.until is None, each.until or self._now()), default=None)

    def _until(self, retention: Retention, record: Mapping[str, Any]) -> datetime | None:
        """None: for ever, or from when is not known, which is no reason to delete."""
        if retention.until is None:
            return None
        start = instant(record.get(retention.until.field))
        return None if start is None else periods.after(start, retention.until.period)

    def changing(self, records: int) -> int:
        """How many of so many records of the subject an erasure would change and not delete."""
        return records if self.spec.change else 0

    def judge(self, record: Mapping[str, Any], tally: Tally) -> bool:
        """Count a record of the subject; whether it is to be erased or changed."""
        tally.before += 1
        kept = self.retained(record)
        if kept is not None:
            tally.retained.append(kept)
            return False
        if self.spec.change:
            tally.changed += 1
        else:
            tally.erased += 1
        return True

    def changes(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The new values of the fields that an erasure changes; of those alone that the record has."""
        found: dict[str, Any] = {}
        for field, rule in self.spec.change.items():
            value = record.get(field)
            if value is None:
                continue
            if rule == "null":
                found[field] = None
            elif not isinstance(value, str):
                raise StoreError(
                    f"{self.place}: {field}: holds no text to {rule}, expected 'null' in 'change'"
                )
            else:
                found[field] = REDACTED if rule == "redact" else self._pseudonym(self._kind(field), value)
        return found

    def _kind(self, field: str) -> str:
        """Pseudonyms of one kind agree in all stores."""
        for kind, fields in [*self.spec.match.items(), *self.spec.links.items()]:
            if field in fields:
                return kind
        return field


def text(value: Any) -> str | None:
    """A value as identifiers are compared: numbers in their shortest form; None for what is no identifier.

    >>> text(7), text(Decimal("7.00")), text(True), text(None), text([7])
    ('7', '7', 'true', None, None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | UUID):
        return str(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value.is_finite() else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return None


def _texts(value: Any) -> Iterator[str]:
    for each in value if isinstance(value, list | set | frozenset | tuple) else (value,):
        found = text(each)
        if found and not _HALF.search(found):
            yield found


def _allowed(values: Values) -> set[str | None]:
    return {text(value) for value in values}


def number(value: str) -> int | None:
    """An identifier as a whole number, if it is one in its shortest form: ``007`` is another than ``7``."""
    try:
        found = int(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def instant(value: Any) -> datetime | None:
    """What a field says of time: an instant, a day (UTC), ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, date):
            found = datetime.combine(value, time())
        elif isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            found = datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS else seconds, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def masked(value: Any) -> Any:
    """A value of somebody else: as much as the subject, who may know it, can recognise."""
    if isinstance(value, Mapping):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(part) for part in value]
    return None if value is None else mask(text(value) or str(plain(value)))


def plain(value: Any) -> Any:
    """A value as JSON has it: binary in base64, numbers as numbers unless JSON's readers would round them."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(part) for part in value), key=repr)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value)


def _number(value: Decimal) -> int | float | str:
    try:
        if value == value.to_integral_value():
            return int(value)
        found = float(value)
    except (InvalidOperation, OverflowError, ValueError):
        return str(value)
    return found if Decimal(repr(found)) == value else str(value)
