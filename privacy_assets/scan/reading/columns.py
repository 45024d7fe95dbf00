"""What columnar formats share: columns as text, one value a line, each knowing its row.

A nested column is its leaves, with a dotted path: ``address.city``; lists add nothing to it, maps ``key`` and
``value``. Numbers are written as a person would: without a fraction that is zero, without an exponent,
because identifiers are kept in columns of numbers too.
"""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from privacy_assets.scan.reading.segments import SEGMENT
from privacy_assets.scan.reading.walk import Walk
from privacy_assets.scan.text import Place, Segment

BATCH_BYTES = 4 * SEGMENT
_WHOLE_FLOATS = 2.0**63

Positions = NDArray[np.int64]


class ColumnSegment:
    """Values of one column, each ended by a newline."""

    __slots__ = ("_begins", "_column", "_offset", "_rows", "continues", "data", "member")

    def __init__(
        self,
        data: bytes,
        member: str,
        continues: bool,
        *,
        column: str,
        offset: int,
        begins: Positions,
        rows: Positions,
    ) -> None:
        self.data = data
        self.member = member
        self.continues = continues
        self._column = column
        self._offset = offset
        self._begins = begins
        self._rows = rows

    def place(self, start: int, end: int) -> Place:  # noqa: ARG002  # the protocol's shape
        """The byte offset in the column's values, the column and the row of ``data[start]``."""
        index = int(np.searchsorted(self._begins, start, side="right")) - 1
        return Place(self._offset + start, column=self._column, row=int(self._rows[index]) + 1)


class Columns:
    """The columns of one member while it is read: how far in each of them."""

    def __init__(self, member: str, walk: Walk) -> None:
        self._member = member
        self._walk = walk
        self._offsets: dict[str, int] = {}

    @property
    def begun(self) -> bool:
        """Whether any value was handed out."""
        return bool(self._offsets)

    def array(self, path: str, array: pa.Array, rows: Positions) -> Iterator[Segment]:
        """The leaves of ``array``, whose values stand in ``rows``, counted from 0."""
        for leaf_path, leaf, leaf_rows in _leaves(path, array, rows):
            for piece, piece_rows in _pieces(leaf, leaf_rows):
                yield from self._text(leaf_path, piece, piece_rows)

    def values(self, path: str, data: bytes, begins: Positions, rows: Positions) -> Iterator[Segment]:
        """Values that are text already: each begins in ``begins`` and ends with a newline."""
        self._walk.clock.check()
        self._walk.expand(len(data))
        offset = self._offsets.get(path, 0)
        self._offsets[path] = offset + len(data)
        start = 0
        while start < len(data):
            # Cut between values; a value of more than a segment, anywhere.
            index = int(np.searchsorted(begins, start + SEGMENT, side="right")) - 1
            end = len(data) if start + SEGMENT >= len(data) else int(begins[index])
            if end <= start:
                end = start + SEGMENT
            first = int(np.searchsorted(begins, start, side="right")) - 1
            last = int(np.searchsorted(begins, end, side="left"))
            yield ColumnSegment(
                data[start:end],
                self._member,
                start > int(begins[first]),
                column=path,
                offset=offset + start,
                begins=begins[first:last] - start,
                rows=rows[first:last],
            )
            start = end

    def _text(self, path: str, array: pa.Array, rows: Positions) -> Iterator[Segment]:
        if array.null_count:
            rows = rows[np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)]
            array = array.drop_null()
        if not len(array):
            return
        lines = pc.binary_join_element_wise(
            _as_text(array), pa.scalar(b"", pa.large_binary()), pa.scalar(b"\n", pa.large_binary())
        )
        _, bounds, data = lines.buffers()
        edges = np.frombuffer(bounds, dtype=np.int64)[lines.offset : lines.offset + len(lines) + 1]
        content = data[int(edges[0]) : int(edges[-1])].to_pybytes()
        yield from self.values(path, content, edges[:-1] - edges[0], rows)


def _leaves(path: str, array: pa.Array, rows: Positions) -> Iterator[tuple[str, pa.Array, Positions]]:
    """The columns without structure that ``array`` is made of."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        yield from _leaves(path, array.storage, rows)
    elif pa.types.is_struct(kind):
        for field, child in zip(kind, array.flatten(), strict=True):
            yield from _leaves(f"{path}.{field.name}", child, rows)
    elif pa.types.is_map(kind):
        entries = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        yield from _leaves(path, array.cast(pa.list_(entries)), rows)
    elif pa.types.is_nested(kind) and not pa.types.is_union(kind):
        parents = np.asarray(pc.list_parent_indices(array).to_numpy(zero_copy_only=False), dtype=np.int64)
        yield from _leaves(path, pc.list_flatten(array), rows[parents])
    elif not pa.types.is_null(kind):
        yield path, array, rows


def longest_word(array: pa.Array) -> int:
    """The bytes of the longest value in a dictionary that ``array`` holds; 0 if there is none."""
    longest = 0
    for _, leaf, _ in _leaves("", array, np.arange(len(array), dtype=np.int64)):
        if pa.types.is_dictionary(leaf.type):
            longest = max(longest, pc.max(pc.binary_length(leaf.dictionary)).as_py() or 0)
    return longest


def _pieces(array: pa.Array, rows: Positions) -> Iterator[tuple[pa.Array, Positions]]:
    """``array``; spelled out in pieces if it is a dictionary, which may repeat a long value without end."""
    if not pa.types.is_dictionary(array.type):
        yield array, rows
        return
    words = _as_text(array.dictionary)
    sizes = np.asarray(
        pc.fill_null(pc.binary_length(words), 0).to_numpy(zero_copy_only=False), dtype=np.int64
    )
    indices = pc.fill_null(array.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    ends = np.cumsum(np.append(sizes, 0)[indices] + 1)
    start = 0
    while start < len(array):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + BATCH_BYTES, side="right")))
        taken = array.indices[start:end]
        yield words.take(taken), rows[start:end]
        start = end


def _as_text(array: pa.Array) -> pa.Array:
    """``array``, which has no structure, as it would be written; bytes as they are."""
    kind = array.type
    if pa.types.is_floating(kind):
        array = _floats(array.cast(pa.float64()))
    elif pa.types.is_decimal(kind):
        text = array.cast(pa.string())
        if kind.scale > 0:
            text = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
        array = text
    elif pa.types.is_union(kind):
        array = pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    elif not _is_binary(kind):
        array = _other(array)
    return array.cast(pa.large_binary())


def _is_binary(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def _floats(array: pa.Array) -> pa.Array:
    whole = pc.and_kleene(pc.equal(array, pc.trunc(array)), pc.less(pc.abs(array), _WHOLE_FLOATS))
    integers = pc.if_else(whole, array, None).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.coalesce(integers, array.cast(pa.string()))


def _other(array: pa.Array) -> pa.Array:
    with suppress(pa.ArrowException, OSError):  # a time zone that nobody knows, an instant out of range
        return array.cast(pa.string())
    return array.cast(pa.int64()).cast(pa.string())
