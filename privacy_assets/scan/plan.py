"""What has to be read: the objects that are new, changed, or known by older rules; in balanced shards.

An unchanged object costs its entry in the listing. A changed detector reads objects again for itself alone.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from privacy_assets.scan.objects import State

LISTING = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("modified", pa.timestamp("us", tz="UTC")),
        pa.field("storage_class", pa.string()),
    ]
)
KNOWN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("findings", pa.int64(), nullable=False),
        pa.field("rules", pa.string(), nullable=False),
    ]
)
"""The columns of ``scan_objects`` that a plan needs."""
WORK = LISTING.append(pa.field("only", pa.string(), nullable=False))
"""A planned object: ``only`` names the detectors to scan it for, parted by commas; empty: all."""

SHARD_BYTES = 4 << 30
OBJECT_BYTES = 128 << 10
"""What an object costs beside its bytes: the call that fetches it, in bytes that could be read meanwhile."""
MAX_SHARDS = 256
_WILD = {"*": ".*", "?": "."}


@dataclass(frozen=True)
class Rules:
    """What objects are scanned by, so that a later scan knows what has changed.

    ``detectors``: each one's version. ``allow``: a fingerprint of the allow lists. ``reading``: the readers'
    version.
    """

    detectors: Mapping[str, int]
    allow: str = ""
    reading: int = 1

    @property
    def text(self) -> str:
        """``reading:1 allow:… email:1 ssn:2``, in this order, as ``scan_objects`` keeps it."""
        versions = " ".join(f"{name}:{version}" for name, version in sorted(self.detectors.items()))
        return f"reading:{self.reading} allow:{self.allow} {versions}".rstrip()

    @classmethod
    def parse(cls, text: str) -> "Rules":
        """The rules of a ``text``. Raises ValueError."""
        reading, allow, *versions = text.split(" ")
        pairs = [version.rsplit(":", 1) for version in versions]
        return cls(
            {name: int(version) for name, version in pairs},
            allow.removeprefix("allow:"),
            int(reading.removeprefix("reading:")),
        )

    def since(self, old: "Rules", *, has_findings: bool) -> frozenset[str]:
        """The detectors that an unchanged object must be read again for.

        An object without findings has none that an allow list could concern.
        """
        if self.reading != old.reading or (has_findings and self.allow != old.allow):
            return frozenset(self.detectors)
        return frozenset(
            name for name, version in self.detectors.items() if old.detectors.get(name) != version
        )


@dataclass(frozen=True)
class Plan:
    """What a scan of a bucket will do."""

    work: pa.Table
    """As ``WORK``."""
    listed: int
    listed_bytes: int
    unchanged: int
    gone: Collection[str] = field(default=(), repr=False)
    """Keys that were known and are no longer listed."""

    @property
    def bytes(self) -> int:
        """The bytes to read, compressed ones as they are stored."""
        return int(pc.sum(self.work["size"]).as_py() or 0)


def listing(pages: Iterable[Sequence[object]]) -> pa.Table:
    """Pages of ``Listed`` as a table, as ``LISTING``; a key that is listed twice stands once."""
    batches = []
    for page in pages:
        columns = [[getattr(item, name) for item in page] for name in LISTING.names]
        batches.append(
            pa.record_batch(
                [pa.array(column, kind) for column, kind in zip(columns, LISTING.types, strict=True)],
                schema=LISTING,
            )
        )
    return pa.Table.from_batches(batches, LISTING)


def chosen(found: pa.Table, prefix: str, include: Sequence[str], exclude: Sequence[str]) -> pa.Table:
    """Of a listing, or of known objects, what is asked for.

    In a glob ``*`` stands for anything, slashes too, and ``?`` for one character.
    """
    keep = pc.starts_with(found["key"], prefix) if prefix else None
    if include:
        keep = _and(keep, pc.match_substring_regex(found["key"], _globs(include)))
    if exclude:
        keep = _and(keep, pc.invert(pc.match_substring_regex(found["key"], _globs(exclude))))
    return found if keep is None else found.filter(keep)


def _and(one: "pa.ChunkedArray | None", other: pa.ChunkedArray) -> pa.ChunkedArray:
    return other if one is None else pc.and_(one, other)


def _globs(globs: Sequence[str]) -> str:
    """One regular expression of RE2."""
    parts = ("".join(_WILD.get(letter) or re.escape(letter) for letter in glob) for glob in globs)
    return "(?s)^(?:" + "|".join(parts) + ")$"


def plan(found: pa.Table, known: pa.Table, rules: Rules) -> Plan:
    """What must be read of ``found`` (as ``LISTING``), given what is ``known`` (as ``KNOWN``).

    Both must be narrowed to the same part of the bucket. Objects that failed are tried again.
    """
    joined = found.join(
        known.rename_columns(["key", *(f"known_{name}" for name in KNOWN.names[1:])]),
        keys="key",
        join_type="left outer",
    )
    same = pc.fill_null(pc.equal(joined["etag"], joined["known_etag"]), False)
    failed = pc.fill_null(pc.equal(joined["known_state"], State.FAILED.value), False)
    settled = pc.and_(same, pc.invert(failed))
    pieces = [_work(joined.filter(pc.invert(settled)), "")]
    unchanged = joined.filter(settled)
    left = 0
    for text in pc.unique(unchanged["known_rules"]).to_pylist():
        group = unchanged.filter(pc.equal(unchanged["known_rules"], text))
        old = Rules.parse(text)
        for has_findings in (False, True):
            some = pc.greater(group["known_findings"], 0)
            part = group.filter(some if has_findings else pc.invert(some))
            again = rules.since(old, has_findings=has_findings)
            if again:
                pieces.append(_work(part, "" if again == set(rules.detectors) else ",".join(sorted(again))))
            else:
                left += part.num_rows
    gone = known["key"].filter(pc.invert(pc.is_in(known["key"], found["key"])))
    return Plan(
        pa.concat_tables(pieces),
        found.num_rows,
        int(pc.sum(found["size"]).as_py() or 0),
        left,
        gone.to_pylist(),
    )


def _work(part: pa.Table, only: str) -> pa.Table:
    table = part.select(LISTING.names)
    return table.append_column(WORK.field("only"), pa.repeat(only, part.num_rows)).cast(WORK)


def shards(work: pa.Table, size: int = SHARD_BYTES) -> list[pa.Table]:
    """``work`` in up to 256 parts of about the same cost, ``size`` bytes each where there are fewer.

    The largest objects are dealt first, each to the part that has least; in a part they stand by key.
    """
    import heapq

    if not work.num_rows:
        return []
    cost = pc.add(work["size"], OBJECT_BYTES)
    count = min(MAX_SHARDS, work.num_rows, -(-int(pc.sum(cost).as_py()) // size))
    if count == 1:
        return [work.sort_by("key")]
    heap = [(0, number) for number in range(count)]
    members: list[list[int]] = [[] for _ in range(count)]
    costs = cost.to_pylist()
    for index in pc.sort_indices(cost, sort_keys=[("", "descending")]).to_pylist():
        filled, number = heapq.heappop(heap)
        members[number].append(index)
        heapq.heappush(heap, (filled + costs[index], number))
    return [work.take(pa.array(indices)).sort_by("key") for indices in members]
