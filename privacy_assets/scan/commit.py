"""What a scan found becomes visible: parts and what was known before, merged into new rows of one bucket.

Merging the same parts again gives the same rows, so a run that dies between the two tables is made good by
the next one.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from privacy_assets.scan.objects import State
from privacy_assets.scan.tables import FINDING_COLUMNS, IDENTITY, OBJECT_COLUMNS, UTC
from privacy_assets.scan.work import OBJECT_PART

Tables = Callable[[], Iterable[pa.Table]]
"""Rows a piece at a time, as often as they are asked for: findings may be many."""


@dataclass(frozen=True)
class Results:
    """The parts of a bucket, put together: one row an object (the latest), and the findings of that reading.

    ``objects`` is as ``OBJECT_PART``, ``findings`` gives tables as ``FINDING_PART``.
    """

    objects: pa.Table
    findings: Tables


def results(objects: Collection[pa.Table], findings: Tables) -> Results:
    """Put parts together. An object that was read twice counts as it was read last, one whose findings aren't
    all there not at all; findings of a reading that has no object's row are nobody's.
    """
    done = pa.concat_tables(objects) if objects else OBJECT_PART.empty_table()
    if done.num_rows:
        order = pc.sort_indices(done, sort_keys=[("key", "ascending"), ("scanned_at", "descending")])
        done = done.take(order)
        done = done.filter(_first_of_each(done["key"]))
    # Whatever happened to a part: an object counts only with as many findings as its reading had.
    there: Counter[str] = Counter()
    for part in findings():
        there.update(part["take"].to_pylist())
    whole = [there[take] == count for take, count in zip(*_said(done), strict=True)]
    done = done.filter(pa.array(whole, pa.bool_()))
    takes = done["take"]
    return Results(done, lambda: (part.filter(pc.is_in(part["take"], takes)) for part in findings()))


def _said(done: pa.Table) -> tuple[list[str], list[int]]:
    """Each object's reading, and how many findings it had."""
    return done["take"].to_pylist(), done["findings"].to_pylist()


def _first_of_each(keys: pa.ChunkedArray) -> pa.Array:
    """For sorted ``keys``: whether a row is the first of its key."""
    whole = keys.combine_chunks()
    if len(whole) < 2:
        return pa.array([True] * len(whole), pa.bool_())
    return pa.concat_arrays([pa.array([True]), pc.not_equal(whole[1:], whole[:-1])])


def merge_findings(
    known: Tables, new: Results, gone: Collection[str], detectors: Collection[str], now: datetime
) -> Iterator[pa.Table]:
    """The rows of ``scan_findings`` after a scan, as ``FINDING_COLUMNS``, a piece at a time.

    A finding that is found again keeps ``first_seen``. One is *gone* when its object is deleted or replaced,
    when its object was read to the end for its detector without it, and when its detector is no longer one
    of ``detectors``. Held are the identities alone, not the findings; ``known`` is read twice.
    """
    before = [(_identities(part), part["first_seen"]) for part in known()]
    ids = _together([one for one, _ in before], pa.string())
    since = _together([seen for _, seen in before], UTC)
    fresh: list[tuple[set[str], pa.ChunkedArray]] = []
    for part in new.findings():
        found = part.select(FINDING_COLUMNS.names)
        found, found_ids = _distinct(found)
        keys = set(pc.unique(found["key"]).to_pylist())
        for others, other_ids in fresh:  # only an object with very many findings is in several parts
            if keys & others:
                left = pc.invert(pc.is_in(found_ids, other_ids))
                found, found_ids = found.filter(left), found_ids.filter(left)
        fresh.append((keys, found_ids))
        first = since.take(pc.index_in(found_ids, ids))
        yield _with(found, "first_seen", pc.coalesce(first, found["first_seen"]))
    again = _together([one for _, one in fresh], pa.string())
    for part in known():
        kept = part.select(FINDING_COLUMNS.names)
        kept = kept.filter(pc.invert(pc.is_in(_identities(kept), again)))
        closed = _closed(kept, new.objects, gone, detectors)
        closed = pc.and_(closed, pc.not_equal(kept["status"], "gone"))
        kept = _with(kept, "closed_at", pc.if_else(closed, pa.scalar(now, UTC), kept["closed_at"]))
        yield _with(kept, "status", pc.if_else(closed, "gone", kept["status"]))


def _distinct(found: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
    """``found`` without what stands in it twice, and the identities of what is left."""
    ids = _identities(found)
    order = pc.sort_indices(ids)
    found, ids = found.take(order), ids.take(order)
    first = _first_of_each(ids)
    return found.filter(first), ids.filter(first)


def _together(pieces: Sequence[pa.ChunkedArray], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], kind)


def merge_objects(known: pa.Table, new: Results, gone: Collection[str], findings: pa.Table) -> pa.Table:
    """The rows of ``scan_objects`` after a scan: the known ones without those that were read again and those
    that are gone, and the new ones.

    ``findings``: as merged. An object that was read for some detectors has the findings of the others, too.
    """
    left = known.filter(pc.invert(pc.is_in(known["key"], new.objects["key"])))
    if gone:
        left = left.filter(pc.invert(pc.is_in(left["key"], pa.array(gone, pa.string()))))
    return pa.concat_tables([left.select(OBJECT_COLUMNS.names), _counted(new.objects, findings)])


def _counted(objects: pa.Table, findings: pa.Table) -> pa.Table:
    """The new rows; of those read for some detectors, count and state are told anew."""
    partial = pc.not_equal(objects["only"], "")
    if not pc.any(partial).as_py():
        return objects.select(OBJECT_COLUMNS.names)
    there = findings.filter(pc.not_equal(findings["status"], "gone"))
    counts = there.group_by("key").aggregate([("key", "count")])
    count = pc.fill_null(counts["key_count"].take(pc.index_in(objects["key"], counts["key"])), 0)
    count = pc.if_else(partial, count, objects["findings"])
    state = objects["state"]
    found = pc.and_(pc.equal(state, State.CLEAN.value), pc.greater(count, 0))
    objects = _with(objects, "state", pc.if_else(found, State.FINDINGS.value, state))
    return _with(objects, "findings", count).select(OBJECT_COLUMNS.names)


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    position = table.schema.get_field_index(name)
    return table.set_column(position, table.schema.field(position), values.cast(table.schema.types[position]))


def _identities(findings: pa.Table) -> pa.ChunkedArray:
    """What makes a finding one within its bucket, as a string."""
    parts = [pc.fill_null(findings[name].cast(pa.string()), "") for name in IDENTITY]
    return pc.binary_join_element_wise(*parts, "\x1f")


def _closed(
    kept: pa.Table, objects: pa.Table, gone: Collection[str], detectors: Collection[str]
) -> pa.ChunkedArray:
    """Which of the findings that were not found again are gone."""
    at = pc.index_in(kept["key"], objects["key"])
    replaced = pc.not_equal(objects["etag"].take(at), kept["etag"])
    state, only = objects["state"].take(at), objects["only"].take(at)
    whole = pc.is_in(state, pa.array([State.CLEAN.value, State.FINDINGS.value]))
    asked = pc.equal(only, "")
    for names in pc.unique(objects["only"]).to_pylist():
        these = pc.and_(pc.equal(only, names), pc.is_in(kept["detector"], pa.array(names.split(","))))
        asked = pc.or_(asked, these)
    deleted = pc.is_in(kept["key"], pa.array(gone, pa.string()))
    dropped = pc.invert(pc.is_in(kept["detector"], pa.array(detectors, pa.string())))
    unread = pc.is_null(at)
    because_read = pc.if_else(unread, False, pc.or_(replaced, pc.and_(whole, asked)))
    return pc.or_(pc.or_(deleted, dropped), because_read)
