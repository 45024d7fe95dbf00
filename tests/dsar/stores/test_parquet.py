"""Parquet written anew: everything but the subject's rows is as it was, and none of her bytes is left."""
# ruff: noqa: DTZ001  # Parquet knows times without a zone

import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privacy_assets.dsar.files import parquet
from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.models import Records
from privacy_assets.dsar.stores.needles import Needles
from privacy_assets.dsar.stores.protocol import StoreError, Tally
from privacy_assets.dsar.stores.rules import Rules

JANE = "jane.doe@example.com"
GROUP = 100
GROUPS = 4


def rules(**fields: Any) -> Rules:
    return Rules(
        Records(match={"email": ("email",)}, **fields), "table", lambda kind, value: f"{kind}-pseudonym"
    )


def selection(*values: str) -> Selection:
    return Selection({"email": frozenset(values or (JANE,))}, fields=("email",))


def table(jane: tuple[int, ...] = (7, 120)) -> pa.Table:
    rows = GROUP * GROUPS
    when = [datetime(2020, 1, 1) + timedelta(seconds=number) for number in range(rows)]
    mails = [JANE if number in jane else f"p{number:04}@example.org" for number in range(rows)]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "email": pa.array(mails, pa.string()),
            "copy": pa.array(mails, pa.string()).dictionary_encode(),
            "large": pa.array(mails, pa.large_string()),
            "tags": pa.array([["a", mail] for mail in mails], pa.list_(pa.string())),
            "inside": pa.array([{"x": mail, "y": 1} for mail in mails]),
            "nanos": pa.array([int(w.timestamp()) * 10**9 + 123456789 for w in when], pa.timestamp("ns")),
            "zoned": pa.array(when, pa.timestamp("us", tz="UTC")),
            "day": pa.array([date(2020, 1, 1)] * rows),
            "price": pa.array([Decimal("1.50")] * rows, pa.decimal128(20, 2)),
            "small": pa.array([number % 100 for number in range(rows)], pa.uint8()),
            "flag": pa.array([None, True] * (rows // 2)),
        }
    ).replace_schema_metadata({"owner": "crm", "pandas": "{}"})


def written(data: pa.Table, **options: Any) -> BinaryIO:
    file = io.BytesIO()
    pq.write_table(data, file, row_group_size=GROUP, **options)
    return cast("BinaryIO", file)


def rewritten(
    source: BinaryIO, use: Rules | None = None, which: Selection | None = None
) -> tuple[io.BytesIO, Tally]:
    target, tally = io.BytesIO(), Tally()
    assert parquet.rewrite(source, cast("BinaryIO", target), which or selection(), use or rules(), tally)
    return target, tally


WAYS: dict[str, dict[str, Any]] = {
    "snappy": {},
    "zstd, page index": {"compression": "zstd", "write_page_index": True},
    "no codec, no dictionary": {"compression": "none", "use_dictionary": False},
    "codecs by column": {"compression": {"email": "gzip", "id": "zstd"}, "use_dictionary": ["email", "copy"]},
    "delta": {
        "use_dictionary": False,
        "column_encoding": {"id": "DELTA_BINARY_PACKED", "email": "DELTA_BYTE_ARRAY"},
    },
    "int96": {"use_deprecated_int96_timestamps": True},
    "no Arrow schema": {"store_schema": False},
    "no statistics": {"write_statistics": False},
    "some statistics": {"write_statistics": ["id"]},
    "old lists": {"use_compliant_nested_type": False},
    "sorted": {"sorting_columns": [pq.SortingColumn(0)]},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_as_it_was_without_the_subject(way: str) -> None:
    data, options = table(), WAYS[way]
    if way == "int96":  # Arrow writes all timestamps so, or none
        data = data.drop_columns(["zoned"])
    source = written(data, **options)
    target, tally = rewritten(source)
    assert (tally.before, tally.erased) == (2, 2)
    before, after = pq.ParquetFile(source), pq.ParquetFile(target)
    assert after.schema.equals(before.schema)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    kept = [number for number in range(GROUP * GROUPS) if number not in (7, 120)]
    expected = pq.ParquetFile(source).read().take(kept)
    assert after.read().to_pylist() == expected.to_pylist()
    assert (after.metadata.metadata or {}).keys() == (before.metadata.metadata or {}).keys()
    assert [after.metadata.row_group(number).num_rows for number in range(GROUPS)] == [99, 99, 100, 100]
    for column in range(before.metadata.num_columns):
        old, new = before.metadata.row_group(2).column(column), after.metadata.row_group(2).column(column)
        for what in ("path_in_schema", "compression", "encodings", "physical_type", "is_stats_set"):
            assert getattr(new, what) == getattr(old, what), (what, old.path_in_schema)
        assert (new.has_dictionary_page, new.has_column_index) == (
            old.has_dictionary_page,
            old.has_column_index,
        )
    assert after.metadata.row_group(0).sorting_columns == before.metadata.row_group(0).sorting_columns
    # Not in a value, not in a dictionary, not in the statistics.
    assert not parquet.mentions(cast("BinaryIO", target), Needles({"email": frozenset({JANE})}), None)
    assert JANE.encode() not in target.getvalue()
    assert parquet.mentions(source, Needles({"email": frozenset({JANE})}), None)
    # And again there is nothing to do.
    assert not parquet.rewrite(cast("BinaryIO", target), io.BytesIO(), selection(), rules(), Tally())


def test_a_dictionary_keeps_no_value_of_a_row_that_is_gone() -> None:
    """Pages without a codec show what is in them."""
    source = written(table(), compression="none")
    assert source.getvalue().count(JANE.encode()) > 5  # type: ignore[attr-defined]
    assert rewritten(source)[0].getvalue().count(JANE.encode()) == 0


def test_a_group_that_can_not_hold_the_subject_is_not_read() -> None:
    data = table().sort_by("email")
    source = written(data, write_page_index=False)

    class Watched(io.BytesIO):
        places: ClassVar[list[int]] = []

        def seek(self, offset: int, whence: int = 0) -> int:
            if whence == 0:
                self.places.append(offset)
            return super().seek(offset, whence)

    watched = Watched(source.getvalue())  # type: ignore[attr-defined]
    metadata = pq.ParquetFile(source).metadata
    column = next(
        n for n in range(metadata.num_columns) if metadata.row_group(0).column(n).path_in_schema == "email"
    )
    starts = [metadata.row_group(group).column(column).dictionary_page_offset for group in range(GROUPS)]
    assert len(list(parquet.records(cast("BinaryIO", watched), selection()))) == 2
    assert [start in watched.places for start in starts] == [True, False, False, False]


@pytest.mark.parametrize("year", [1500, 9999])
def test_int96_beyond_the_range_of_nanoseconds(tmp_path: Path, year: int) -> None:
    data = pa.table(
        {
            "email": pa.array([JANE, "a@b.example"]),
            "until": pa.array(
                [datetime(2020, 1, 1), datetime(year, 12, 31, 23, 59, 59, 5)], pa.timestamp("us")
            ),
        }
    )
    source = written(data, use_deprecated_int96_timestamps=True)
    target, _ = rewritten(source)
    after = pq.ParquetFile(target, coerce_int96_timestamp_unit="us")
    assert after.schema.column(1).physical_type == "INT96"
    assert after.read().column("until").to_pylist() == [datetime(year, 12, 31, 23, 59, 59, 5)]


def test_int96_keeps_its_nanoseconds() -> None:
    data = pa.table(
        {"email": [JANE, "a@b.example"], "at": pa.array([1, 1234567890123456789], pa.timestamp("ns"))}
    )
    target, _ = rewritten(written(data, use_deprecated_int96_timestamps=True))
    assert pq.ParquetFile(target).read().column("at").cast(pa.int64()).to_pylist() == [1234567890123456789]


def test_a_schema_that_can_not_be_kept_is_refused() -> None:
    """Mixed INT96 and INT64 timestamps: Arrow writes but one of them."""
    data = pa.table({"email": [JANE], "a": pa.array([1], pa.timestamp("us"))})
    source = written(data, use_deprecated_int96_timestamps=True)
    other = written(pa.table({"email": [JANE], "tags": pa.array([{"k": [1]}])}))
    assert rewritten(other)[1].erased == 1
    with pytest.raises(StoreError, match="no whole Parquet file"):
        list(parquet.records(cast("BinaryIO", io.BytesIO(source.read()[:50])), selection()))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int16(), pa.string())])
def test_fields_are_changed(kind: pa.DataType) -> None:
    mails = pa.array([JANE, "a@b.example", JANE]).cast(pa.string())
    column = mails.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else mails.cast(kind)
    data = pa.table({"email": column, "Phone": ["1", "2", None], "name": ["J", "A", "J"]})
    use = rules(change={"email": "hmac", "phone": "null", "name": "redact"})
    which = Selection({"email": frozenset({JANE})}, fields=use.spec.fields)
    target, tally = rewritten(written(data), use, which)
    assert (tally.changed, tally.erased) == (2, 0)
    assert pq.ParquetFile(target).read().to_pydict() == {
        "email": ["email-pseudonym", "a@b.example", "email-pseudonym"],
        "Phone": [None, "2", None],
        "name": ["erased", "A", "erased"],
    }
    assert JANE.encode() not in target.getvalue()


def test_numbers_and_partitions_are_matched() -> None:
    data = pa.table({"user": pa.array([1, 2, 4711], pa.int32()), "x": ["a", "b", "c"]})
    numbered = Selection({"user": frozenset({"4711", "04711", "x", str(2**40)})})
    assert [row["x"] for row in parquet.records(written(data), numbered)] == ["c"]
    whole = Selection({"region": frozenset({"jane-land"})}, {"region": "jane-land"})
    assert len(list(parquet.records(written(data), whole))) == 3
    everything, tally = rewritten(written(data), None, whole)
    assert (tally.erased, pq.ParquetFile(everything).metadata.num_rows) == (3, 0)
    assert pq.ParquetFile(everything).schema_arrow.names == ["user", "x"]


def test_what_is_retained_may_be_mentioned() -> None:
    source = written(table())
    needles = Needles({"email": frozenset({JANE})})
    assert not parquet.mentions(source, needles, selection())
    told = table().set_column(0, "id", pa.array([f"a friend of {JANE}"] * (GROUP * GROUPS)))
    assert parquet.mentions(written(told), needles, selection())
