"""One privacy event as a line of DynamoDB JSON."""

from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

DAY = 86_400


class Event(NamedTuple):
    """A row of PrivacyLogsTable. ``at`` is seconds since 1970, UTC; an empty text or None is left out of the
    item.
    """

    log_id: str
    subject_id: str
    at: int
    event_type: str
    jurisdiction: str = "DE"
    purpose: str = ""
    legal_basis: str = ""
    recipient: str = ""
    recipient_country: str = ""
    safeguard: str = ""
    data_categories: tuple[str, ...] = ("contact",)
    special_category: bool = False
    subject_age: int | None = None
    retention_until: int | None = None
    message: str = ""

    def line(self) -> bytes:
        """The item with its write time, which is the minute of the event: the service logs as it acts."""
        # What many events share is put into words once; a million of them are written in seconds.
        shared = _shared(*self[3:12])
        day, second = divmod(self.at, DAY)
        date_, minute = _date(day), _MINUTES[second // 60]
        more = f',"subject_age":{{"N":"{self.subject_age}"}}' if self.subject_age is not None else ""
        if self.retention_until is not None:
            more += f',"retention_until":{{"S":"{instant(self.retention_until)}"}}'
        if self.message:
            more += f',"message":{{"S":"{self.message}"}}'
        if self.subject_id:
            more += f',"subject_id":{{"S":"{self.subject_id}"}}'
        return (
            f'{{"Item":{{"log_id":{{"S":"{self.log_id}"}},'
            f'"event_time":{{"S":"{date_}T{minute}:{second % 60:02}Z"}}{shared}{more}}},'
            f'"WriteTime":"{date_}T{minute}:00Z"}}\n'
        ).encode()


@lru_cache(maxsize=65_536)
def _shared(
    event_type: str,
    jurisdiction: str,
    purpose: str,
    legal_basis: str,
    recipient: str,
    recipient_country: str,
    safeguard: str,
    data_categories: tuple[str, ...],
    special_category: bool,
) -> str:
    texts = {
        "event_type": event_type,
        "jurisdiction": jurisdiction,
        "purpose": purpose,
        "legal_basis": legal_basis,
        "recipient": recipient,
        "recipient_country": recipient_country,
        "safeguard": safeguard,
    }
    attributes = [f',"{name}":{{"S":"{text}"}}' for name, text in texts.items() if text]
    if data_categories:
        members = ",".join(f'{{"S":"{name}"}}' for name in data_categories)
        attributes.append(f',"data_categories":{{"L":[{members}]}}')
    attributes.append(f',"special_category":{{"BOOL":{"true" if special_category else "false"}}}')
    return "".join(attributes)


def deletion(log_id: str, at: int) -> bytes:
    """The line that deletes an item at ``at`` seconds since 1970."""
    return f'{{"Delete":{{"log_id":{{"S":"{log_id}"}}}},"WriteTime":"{instant(at)}"}}\n'.encode()


def instant(seconds: int) -> str:
    """ISO 8601 in UTC, to the second."""
    day, second = divmod(seconds, DAY)
    return f"{_date(day)}T{_MINUTES[second // 60]}:{second % 60:02}Z"


@lru_cache(maxsize=65_536)
def _date(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


_MINUTES = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1440)]
