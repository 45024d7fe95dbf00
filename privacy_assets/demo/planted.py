"""Violations, each found by one audit and by no other.

A seed takes the ``key`` its rows are named by, a running number ``n`` to vary by, and the second ``at`` at
the start of a day's business. It gives the rows that stage the violation and, last of them, the row that is
the violation. The boundary that a row crosses is told; the audits' own tests are about the boundaries
themselves.
"""

from collections.abc import Callable, Sequence

from privacy_assets.demo.events import DAY, Event

Seed = Callable[[str, int, int], Sequence[Event]]

HOUR = 3600
UNMASKED = (
    "mail returned by anna.sample@example.com",
    "identity confirmed with 219-09-9999",
    "paid with 4111 1111 1111 1111",
    "call back at +1 202 555 0143",
)


def consent_missing(key: str, _n: int, at: int) -> Sequence[Event]:
    """Consent was given for another purpose."""
    who = f"planted-{key}"
    return (
        Event(f"{key}-1", who, at, "consent_given", "DE", "newsletter"),
        Event(f"{key}-2", who, at + HOUR, "processing", "DE", "profiling", "consent"),
    )


def consent_withdrawn(key: str, _n: int, at: int) -> Sequence[Event]:
    """Processed an hour after the withdrawal."""
    who = f"planted-{key}"
    return (
        Event(f"{key}-1", who, at, "consent_given", "FR", "newsletter"),
        Event(f"{key}-2", who, at + HOUR, "consent_withdrawn", "FR", "newsletter"),
        Event(f"{key}-3", who, at + 2 * HOUR, "processing", "FR", "newsletter", "consent"),
    )


def sale_after_opt_out(key: str, _n: int, at: int) -> Sequence[Event]:
    """Sold 45 days after the opt-out: fifteen business days are over after 31 at most."""
    who = f"planted-{key}"
    return (
        Event(f"{key}-1", who, at - 45 * DAY, "opt_out_sale", "US-CA"),
        Event(f"{key}-2", who, at, "sale_or_share", "US-CA", "advertising", "", "adnetwork.example", "US"),
    )


def gpc_ignored(key: str, _n: int, at: int) -> Sequence[Event]:
    """Sold an hour after the browser's signal."""
    who = f"planted-{key}"
    return (
        Event(f"{key}-1", who, at, "gpc_signal", "US-CA"),
        Event(
            f"{key}-2", who, at + HOUR, "sale_or_share", "US-CA", "advertising", "", "adnetwork.example", "US"
        ),
    )


def retention_expired(key: str, _n: int, at: int) -> Sequence[Event]:
    """Was to be gone by the evening and is in the night's snapshot."""
    event = Event(key, f"planted-{key}", at, "processing", "IT", "one_time_code", "contract")
    return (event._replace(retention_until=at + 8 * HOUR),)


def erasure_incomplete(key: str, _n: int, at: int) -> Sequence[Event]:
    """The erasure is said to be completed, and a row from before it was left."""
    who = f"planted-{key}"
    return (
        Event(f"{key}-1", who, at + HOUR, "erasure_request", "ES"),
        Event(f"{key}-2", who, at + 2 * HOUR, "erasure_completed", "ES"),
        Event(f"{key}-3", who, at, "processing", "ES", "delivery", "contract"),
    )


def unsafeguarded(key: str, n: int, at: int) -> Sequence[Event]:
    """To a third country, or to the United States without the framework."""
    country = ("IN", "US", "SG")[n % 3]
    return (
        Event(key, f"planted-{key}", at, "disclosure", "NL", "hosting", "contract", "host.example", country),
    )


def minors(key: str, n: int, at: int) -> Sequence[Event]:
    """The child's own consent at 15 in Germany; at 12 in California no basis but a parent's consent will
    do.
    """
    who = f"planted-{key}"
    where, age, basis = (("DE", 15, "consent"), ("US-CA", 12, "contract"))[n % 2]
    return (
        Event(f"{key}-1", who, at, "consent_given", where, "gaming", subject_age=age),
        Event(f"{key}-2", who, at + HOUR, "processing", where, "gaming", basis, subject_age=age),
    )


def special_category(key: str, _n: int, at: int) -> Sequence[Event]:
    """Health data on contract, which Article 9(2) does not know."""
    health = ("health",)
    return (
        Event(
            key, f"planted-{key}", at, "processing", "PL", "delivery", "contract", "", "", "", health, True
        ),
    )


def incomplete(key: str, n: int, at: int) -> Sequence[Event]:
    """No legal basis, or no jurisdiction."""
    where, basis = (("SE", ""), ("", "contract"))[n % 2]
    return (Event(key, f"planted-{key}", at, "processing", where, "delivery", basis),)


def unmasked(key: str, n: int, at: int) -> Sequence[Event]:
    """An e-mail address, a social security number, a card, a telephone number: none belongs to anybody."""
    event = Event(key, f"planted-{key}", at, "processing", "AT", "customer_support", "contract")
    return (event._replace(message=UNMASKED[n % 4]),)


def access_overdue(key: str, n: int, at: int) -> Sequence[Event]:
    """Asked 75 days ago and still open, or answered after 70: a month and any holidays are over after 45."""
    who, where = f"planted-{key}", ("DE", "US-CA")[n % 2]
    answer = Event(f"{key}-1", who, at - 5 * DAY, "disclosure", where, "", "", "subject")
    asked = Event(f"{key}-2", who, at - 75 * DAY, "access_request", where)
    return (answer, asked) if n % 3 == 2 else (asked,)


def erasure_overdue(key: str, n: int, at: int) -> Sequence[Event]:
    """Asked 75 days ago and still open."""
    return (Event(key, f"planted-{key}", at - 75 * DAY, "erasure_request", ("FR", "US-CA")[n % 2]),)


DAILY: dict[str, tuple[Seed, int]] = {
    "consent.missing": (consent_missing, 2),
    "consent.withdrawn": (consent_withdrawn, 1),
    "optout.sale_after_opt_out": (sale_after_opt_out, 2),
    "optout.gpc_ignored": (gpc_ignored, 3),
    "retention.expired": (retention_expired, 4),
    "erasure.incomplete": (erasure_incomplete, 1),
    "transfer.unsafeguarded": (unsafeguarded, 3),
    "minors.consent": (minors, 2),
    "special_category.basis": (special_category, 1),
    "completeness.mandatory_fields": (incomplete, 5),
    "message.unmasked_personal_data": (unmasked, 4),
}
"""Planted on every day: the seed and how many of it."""

LONG_AGO: dict[str, tuple[Seed, int]] = {
    "access.overdue": (access_overdue, 7),
    "erasure.overdue": (erasure_overdue, 5),
}
"""Planted once, long enough before the first night to be found on each."""

VOLUME = "volume.anomaly"
SPIKE_TYPE = "gpc_signal"


def spike(key: str, at: int) -> Event:
    """One of many signals on one day; the count is the violation, not the row."""
    return Event(key, f"crowd-{key}", at, SPIKE_TYPE, "US-CA")
