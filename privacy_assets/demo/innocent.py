"""Background: what a lawful business logs. No row here is a violation, and each story says why.

A story is the events of one subject, whole in itself, so that stories can be mixed in any number. Each takes
the ``key`` its rows are named by, a running number ``n`` to vary by, and the second ``at`` that it begins; it
lasts three hours at most.
"""

from collections.abc import Callable, Sequence

from privacy_assets.demo.events import DAY, Event

Story = Callable[[str, int, int], Sequence[Event]]

MINUTE, HOUR = 60, 3600
LASTS = 3 * HOUR
YEAR = 365 * DAY
CUSTOMERS = 9_973
EUROPE = ("DE", "FR", "IT", "ES", "NL", "PL", "SE", "AT", "IE", "BE", "PT", "FI")
ADEQUATE = ("CH", "JP", "KR", "NZ", "IL", "GB")
ELSEWHERE = ("IN", "US", "SG", "ZA", "PH")
ON_CONTRACT = ("order_fulfilment", "delivery", "customer_support", "warranty")
MESSAGES = (
    "order confirmed, receipt sent to j***@example.com",
    "parcel handed to carrier",
    "card **** 1111 charged",
    "call back arranged for +49 *** *** 12",
    "ticket answered in 3 minutes",
    "invoice 2041 booked",
)


def customer(key: str, n: int, at: int) -> Sequence[Event]:
    """An order: processing on contract, kept for years, the message masked."""
    return (
        Event(
            key,
            f"customer-{n * 7919 % CUSTOMERS:05}",
            at,
            "processing",
            EUROPE[n % 12],
            ON_CONTRACT[n % 4],
            "contract",
            data_categories=("contact", "orders"),
            subject_age=18 + n % 60,
            retention_until=(at // DAY) * DAY + 6 * YEAR,
            message=MESSAGES[n % 6],
        ),
    )


def bookkeeping(key: str, n: int, at: int) -> Sequence[Event]:
    """A legal obligation needs no consent, not even that of a child."""
    return (
        Event(
            key,
            f"customer-{n * 6101 % CUSTOMERS:05}",
            at,
            "processing",
            EUROPE[n % 12],
            "tax_records",
            "legal_obligation",
            data_categories=("payment",),
            subject_age=15 + n % 50,
            retention_until=(at // DAY) * DAY + 10 * YEAR,
        ),
    )


def subscriber(key: str, n: int, at: int) -> Sequence[Event]:
    """Consent, then processing for that purpose; the withdrawal comes after it and nothing follows."""
    who, where = f"reader-{key}", EUROPE[n % 12]
    events = [
        Event(f"{key}-1", who, at, "consent_given", where, "newsletter"),
        Event(
            f"{key}-2",
            who,
            at + MINUTE,
            "processing",
            where,
            "newsletter",
            "consent",
            subject_age=16 + n % 50,
        ),
        Event(
            f"{key}-3", who, at + HOUR, "processing", where, "newsletter", "consent", subject_age=16 + n % 50
        ),
    ]
    if n % 3 == 0:
        events.append(Event(f"{key}-4", who, at + 2 * HOUR, "consent_withdrawn", where, "newsletter"))
    return events


def returning(key: str, n: int, at: int) -> Sequence[Event]:
    """A withdrawal that a new consent follows; in between only what needs no consent."""
    who, where = f"returning-{key}", EUROPE[n % 12]
    return (
        Event(f"{key}-1", who, at, "consent_given", where, "profiling"),
        Event(f"{key}-2", who, at + MINUTE, "consent_withdrawn", where, "profiling"),
        Event(f"{key}-3", who, at + HOUR, "processing", where, "fraud_prevention", "legitimate_interests"),
        Event(f"{key}-4", who, at + 2 * HOUR, "consent_given", where, "profiling"),
        Event(f"{key}-5", who, at + 2 * HOUR, "processing", where, "profiling", "consent"),
    )


def californian(key: str, n: int, at: int) -> Sequence[Event]:
    """Sold before the opt-out and within its fifteen business days; signalled, opted in again, sold."""
    who = f"californian-{key}"
    if n % 2:
        return (
            _sale(f"{key}-1", who, at),
            Event(f"{key}-2", who, at + MINUTE, "opt_out_sale", "US-CA"),
            _sale(f"{key}-3", who, at + 2 * HOUR),
        )
    return (
        _sale(f"{key}-1", who, at),
        Event(f"{key}-2", who, at + MINUTE, "gpc_signal", "US-CA"),
        Event(f"{key}-3", who, at + HOUR, "opt_in_sale", "US-CA"),
        _sale(f"{key}-4", who, at + 2 * HOUR),
    )


def _sale(key: str, who: str, at: int) -> Event:
    return Event(key, who, at, "sale_or_share", "US-CA", "advertising", "", "adnetwork.example", "US")


def requester(key: str, n: int, at: int) -> Sequence[Event]:
    """An access request, answered to the subject abroad: an answer to the subject is no transfer."""
    who, where = f"requester-{key}", EUROPE[n % 12]
    return (
        Event(f"{key}-1", who, at, "access_request", where),
        Event(f"{key}-2", who, at + 2 * HOUR, "disclosure", where, "", "", "subject", ELSEWHERE[n % 5]),
    )


def transferred(key: str, n: int, at: int) -> Sequence[Event]:
    """Disclosed within the EEA, to an adequate country, and elsewhere under a safeguard."""
    who, where = f"customer-{n * 4517 % CUSTOMERS:05}", EUROPE[n % 12]
    country, safeguard = (
        (EUROPE[(n + 5) % 12], ""),
        (ADEQUATE[n % 6], ""),
        (ELSEWHERE[n % 5], "dpf" if ELSEWHERE[n % 5] == "US" else "scc"),
    )[n % 3]
    return (
        Event(
            f"{key}-1",
            who,
            at,
            "disclosure",
            where,
            "hosting",
            "contract",
            "host.example",
            country,
            safeguard,
        ),
    )


def child(key: str, n: int, at: int) -> Sequence[Event]:
    """On the birthday the child decides itself; younger, a parent does."""
    who = f"player-{key}"
    where, age, basis = (
        ("DE", 16, "consent"),
        ("FR", 15, "consent"),
        ("DE", 12, "parental_consent"),
        ("US-CA", 12, "parental_consent"),
        ("US-CA", 13, "consent"),
    )[n % 5]
    return (
        Event(f"{key}-1", who, at, "consent_given", where, "gaming", subject_age=age),
        Event(f"{key}-2", who, at + MINUTE, "processing", where, "gaming", basis, subject_age=age),
    )


def patient(key: str, n: int, at: int) -> Sequence[Event]:
    """Health data on grounds of Article 9(2): explicit consent, and care."""
    who, where, health = f"patient-{key}", EUROPE[n % 12], ("health",)
    return (
        Event(f"{key}-1", who, at, "consent_given", where, "study", "", "", "", "", health, True),
        Event(
            f"{key}-2",
            who,
            at + HOUR,
            "processing",
            where,
            "study",
            "explicit_consent",
            "",
            "",
            "",
            health,
            True,
        ),
        Event(
            f"{key}-3",
            who,
            at + HOUR,
            "processing",
            where,
            "treatment",
            "health_care",
            "",
            "",
            "",
            health,
            True,
        ),
    )


ROTATION: tuple[Story, ...] = (
    *(customer, subscriber, customer, californian, customer, transferred, bookkeeping, customer, requester),
    *(customer, returning, customer, child, customer, patient, customer, californian, customer, subscriber),
)
"""One story after the other. Nineteen, a prime, so that each meets every variation of its running number."""


def erased(key: str, n: int, at: int) -> tuple[Sequence[Event], Sequence[Event]]:
    """A subject asks to be erased; the next day it is done.

    The rows of the first day, of which the first is deleted with the completion, and those of the second.
    """
    who, where = f"leaving-{key}", EUROPE[n % 12]
    asked = (
        Event(f"{key}-1", who, at, "processing", where, ON_CONTRACT[n % 4], "contract"),
        Event(f"{key}-2", who, at + MINUTE, "erasure_request", where),
    )
    done = (Event(f"{key}-3", who, at + DAY, "erasure_completed", where),)
    return asked, done
