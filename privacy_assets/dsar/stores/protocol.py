"""What every store of a subject's data can do, and what it answers.

A store finds, exports, erases and verifies. Everything may be called again at any time: ``find``, ``export``
and ``verify`` change nothing, ``erase`` finishes what is left and answers nothing found where nothing is.

Identifiers are raw values: they go into a store and never into a log, a tag, an error or the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, NewType, Protocol

RequestId = NewType("RequestId", str)
"""The id of a data subject request; no personal value."""

Identifiers = Mapping[str, frozenset[str]]
"""What a subject is known by: for each kind (``email``, ``customer_id``, ``device_id``) the values."""

Record = Mapping[str, Any]
"""One record of an export, which ``json.dumps`` takes as it is."""


class Identifier(NamedTuple):
    """One thing that a subject is known by."""

    kind: str
    value: str


class Link(NamedTuple):
    """That a record of ``source`` named ``target`` in a field that the estate declares as a link."""

    source: Identifier
    target: Identifier
    field: str


@dataclass(frozen=True)
class Found:
    """How many records of the subject there are, and what they link to. Nought is an answer.

    ``changing`` of them are in tables whose records an erasure changes and doesn't delete. ``touched`` names
    the objects that it would rewrite, as ``Erased.touched`` does: they are noted before it begins, so that
    one that was killed halfway is counted and proved whole.
    """

    records: int
    links: frozenset[Link] = frozenset()
    changing: int = 0
    touched: tuple[str, ...] = ()

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.records + other.records,
            self.links | other.links,
            self.changing + other.changing,
            tuple(dict.fromkeys((*self.touched, *other.touched))),
        )


@dataclass(frozen=True)
class Retained:
    """Records that stay, by the article and the reason that the estate gives; ``until`` is when the first of
    them may go, None when nobody can say (a legal hold).
    """

    article: str
    reason: str
    records: int
    until: datetime | None = None


@dataclass(frozen=True)
class Blocked:
    """What can't be erased yet: ``what`` says it without a personal value, ``until`` is when to try again;
    None: when somebody lifts it (S3 Object Lock's legal hold).
    """

    what: str
    count: int
    until: datetime | None = None


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    ``before`` records were found: of these ``erased`` are gone, ``changed`` stay without what identifies the
    subject, the others are ``retained`` or ``blocked``. ``versions`` are old versions and delete markers of
    S3 objects that went besides. ``touched`` names the objects that were rewritten, for ``Store.verify``:
    keys may hold personal values, so it is handed to the store and shown to nobody.
    """

    before: int = 0
    erased: int = 0
    changed: int = 0
    retained: tuple[Retained, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    versions: int = 0
    touched: tuple[str, ...] = ()

    @property
    def nothing_left(self) -> bool:
        """Whether there was nothing to do: an erasure that is finished, or a subject that was never here."""
        return not (self.erased or self.changed or self.versions or self.blocked)

    def __add__(self, other: "Erased") -> "Erased":
        """Both together; what is retained for the same reason, or blocked by the same, is one."""
        return Erased(
            self.before + other.before,
            self.erased + other.erased,
            self.changed + other.changed,
            merged_retained((*self.retained, *other.retained)),
            merged_blocked((*self.blocked, *other.blocked)),
            self.versions + other.versions,
            tuple(dict.fromkeys((*self.touched, *other.touched))),
        )


@dataclass(frozen=True)
class Remaining:
    """What a search after the erasure found.

    ``records`` are the subject's and should be gone; ``retained`` and ``blocked`` may be there. ``objects``
    is how many surviving versions of rewritten objects were read to the last byte, ``bytes`` how much that
    was, and ``mentions`` in how many an identifier still stands: in somebody else's record, mostly.
    """

    records: int = 0
    retained: tuple[Retained, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    objects: int = 0
    bytes: int = 0
    mentions: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is left that should be gone. What is blocked is not gone, and is told beside."""
        return not self.records and not self.mentions

    def __add__(self, other: "Remaining") -> "Remaining":
        return Remaining(
            self.records + other.records,
            merged_retained((*self.retained, *other.retained)),
            merged_blocked((*self.blocked, *other.blocked)),
            self.objects + other.objects,
            self.bytes + other.bytes,
            self.mentions + other.mentions,
        )


class Store(Protocol):
    """A place that may hold a subject's data.

    A class of one's own needs these members and nothing else (``kind: python`` in ``estate.yaml``). An error
    that it raises fails this store alone; its words should quote no value.
    """

    @property
    def name(self) -> str:
        """The name in ``estate.yaml``, which is the step's and the file's name too."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of identifiers that records are found by here."""
        ...

    def find(self, identifiers: Identifiers) -> Found:
        """How many records the subject has, and what they link to. Unknown kinds count for nothing."""
        ...

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        """The subject's records, one at a time; secrets left out and third parties masked."""
        ...

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:
        """Erase all that may be erased. Killed anywhere, the same call again completes it."""
        ...

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:
        """Search again; read the surviving versions of ``touched`` to the last byte."""
        ...


class StoreError(Exception):
    """A store can't do what it was asked; one line: what, where, what was expected. No personal value."""


@dataclass
class Tally:
    """Counts an erasure while it goes on."""

    before: int = 0
    erased: int = 0
    changed: int = 0
    versions: int = 0
    retained: list[Retained] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)

    def done(self) -> Erased:
        """The counts as they are now."""
        return Erased(
            self.before,
            self.erased,
            self.changed,
            merged_retained(self.retained),
            merged_blocked(self.blocked),
            self.versions,
            tuple(self.touched),
        )


def merged_retained(several: Sequence[Retained]) -> tuple[Retained, ...]:
    """One entry for each article and reason; of their dates the earliest."""
    found: dict[tuple[str, str], Retained] = {}
    for each in several:
        key = each.article, each.reason
        before = found.get(key)
        if before is not None:
            each = Retained(*key, before.records + each.records, _earliest(before.until, each.until))
        found[key] = each
    return tuple(found.values())


def merged_blocked(several: Sequence[Blocked]) -> tuple[Blocked, ...]:
    """One entry for each cause; of their dates the latest, since trying again before is in vain."""
    found: dict[tuple[str, bool], Blocked] = {}
    for each in several:
        key = each.what, each.until is None
        before = found.get(key)
        if before is not None:
            until = max(before.until, each.until) if before.until and each.until else None
            each = Blocked(each.what, before.count + each.count, until)
        found[key] = each
    return tuple(found.values())


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other
