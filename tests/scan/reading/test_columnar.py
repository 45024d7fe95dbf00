"""Parquet, ORC and Avro: the column and row of a value, nested or not, and files built to hurt."""

import datetime
import decimal
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from privacy_assets.scan.reading import Limits, read
from privacy_assets.scan.text import Place, Unread, Why
from tests.scan.reading.objects import VALUE, Forward, seen

ROWS = 3000
NESTED = pa.list_(pa.struct([("city", pa.string()), ("tags", pa.map_(pa.string(), pa.string()))]))


def table() -> pa.Table:
    """``VALUE`` in several columns, in row 1001."""
    here = [number == 1000 for number in range(ROWS)]
    return pa.table(
        {
            "plain": pa.array([VALUE if it else f"value {number}" for number, it in enumerate(here)]),
            "nulls": pa.array([VALUE if it else None for it in here]),
            "words": pa.array([VALUE if it else "word" for it in here]),
            "bytes": pa.array([VALUE.encode() if it else b"\xff\0" for it in here]),
            "nested": pa.array(
                [
                    [{"city": "x", "tags": []}, {"city": VALUE, "tags": [("k", VALUE)]}] if it else []
                    for it in here
                ],
                NESTED,
            ),
            "struct": pa.array([{"a": {"b": VALUE if it else "n"}} for it in here]),
        }
    )


EXPECTED = {"plain", "nulls", "words", "bytes", "nested.city", "nested.tags.value", "struct.a.b"}


def parquet(content: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(content, file, **options)
    return file.getvalue()


def as_orc(content: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    orc.write_table(content, file, **options)
    return file.getvalue()


def avro(records: list[dict[str, Any]], schema: dict[str, Any], codec: str = "null") -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), records, codec=codec, sync_interval=2000)
    return file.getvalue()


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none", "brotli", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_parquet(compression: str, dictionary: bool) -> None:
    content = parquet(table(), compression=compression, use_dictionary=dictionary, row_group_size=700)
    result = seen(Forward(content))
    assert not result.unread
    assert {place.column for _, place in result.places} == EXPECTED
    assert {place.row for _, place in result.places} == {1001}
    offsets = {place.column: place.byte_offset for _, place in result.places}
    assert offsets["nulls"] == 0
    assert offsets["words"] == 1000 * 5
    assert offsets["nested.city"] == 2


def test_orc() -> None:
    content = as_orc(table().drop_columns(["nested"]), stripe_size=64 * 1024)
    result = seen(Forward(content))
    assert not result.unread
    assert {place.column for _, place in result.places} == EXPECTED - {"nested.city", "nested.tags.value"}
    assert {place.row for _, place in result.places} == {1001}


def test_orc_nested() -> None:
    result = seen(as_orc(table().select(["nested"])))
    assert {place.column for _, place in result.places} == {"nested.city", "nested.tags.value"}


def test_numbers_are_written_as_a_person_would() -> None:
    content = pa.table(
        {
            "int": pa.array([78051120, None]),
            "float": pa.array([78051120.0, 1.5]),
            "card": pa.array([4111111111111111.0, float("nan")]),
            "decimal": pa.array([decimal.Decimal(78051120), decimal.Decimal("1.5")], pa.decimal128(38, 10)),
            "units": pa.array([decimal.Decimal(100), None], pa.decimal128(20, 0)),
            "when": pa.array([datetime.date(2026, 1, 2), None]),
            "at": pa.array([0, None], pa.timestamp("us", "Mars/Olympus")),
            "kind": pa.array(["a", None]).dictionary_encode(),
            "flag": pa.array([True, None]),
            "none": pa.nulls(2),
        }
    )
    (text,) = seen(parquet(content)).texts.values()
    assert text.decode().splitlines() == [
        "78051120", "78051120", "1.5", "4111111111111111", "nan", "78051120", "1.5", "100", "2026-01-02",
        "0", "a", "true",
    ]  # fmt: skip


def test_values_with_newlines_keep_their_rows() -> None:
    result = seen(parquet(pa.table({"note": ["a\nb\nc", f"d\n{VALUE}", "e"]})))
    assert result.place == Place(8, column="note", row=2)


def test_long_values_are_cut() -> None:
    long = "x" * 3_000_000
    result = seen(parquet(pa.table({"note": ["a", long + VALUE, "b", VALUE]})))
    assert [place for _, place in result.places] == [
        Place(3_000_002, column="note", row=2),
        Place(3_000_016, column="note", row=4),
    ]


def test_only_pieces_of_one_value_continue() -> None:
    content = parquet(pa.table({"note": ["a" * 900_000, "b" * 900_000, "c" * 3_000_000, "d"]}))
    pieces = [piece for piece in read(io.BytesIO(content), "") if not isinstance(piece, Unread)]
    for piece, following in pairwise(pieces):
        assert following.continues == (not piece.data.endswith(b"\n"))
    assert any(piece.continues for piece in pieces)


def test_a_dictionary_that_repeats_a_long_value_is_stopped() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 100_000]))
    content = parquet(pa.table({"note": words}), row_group_size=200_000)
    assert len(content) < 200_000
    result = seen(content, limits=Limits(free=1024 * 1024))
    assert result.whys == {"": Why.EXPANDS_TOO_MUCH}
    assert result.text_bytes < 60_000_000


def test_parquet_that_breaks_off() -> None:
    result = seen(parquet(table())[:-9])
    assert [(one.why, one.partly) for one in result.unread] == [(Why.BROKEN, False)]


def test_a_damaged_column_leaves_the_others() -> None:
    content = bytearray(parquet(table(), use_dictionary=False, compression="gzip"))
    at = pq.ParquetFile(io.BytesIO(bytes(content))).metadata.row_group(0).column(0).data_page_offset
    content[at + 60 : at + 200] = bytes(140)
    result = seen(bytes(content))
    assert result.whys == {"": Why.BROKEN}
    assert {place.column for _, place in result.places} == EXPECTED - {"plain"}


def test_encrypted_parquet() -> None:
    content = parquet(table())
    assert seen(b"PARE" + content[4:-4] + b"PARE").whys == {"": Why.ENCRYPTED}


def test_a_text_may_begin_like_parquet_or_orc() -> None:
    for text in (b"PAR1 of four\n", b"ORCHARD\n"):
        assert seen(text).texts == {"": text}


def test_damaged_orc() -> None:
    content = as_orc(table())
    assert seen(content[:-50]).whys == {"": Why.BROKEN}
    assert seen(content[:200] + bytes(len(content) - 400) + content[-200:]).whys == {"": Why.BROKEN}


@pytest.mark.parametrize(
    ("does", "why"), [("os.kill(os.getpid(), 11)", Why.BROKEN), ("time.sleep(60)", Why.TOO_LONG)]
)
def test_a_file_that_ends_or_stops_the_library(
    does: str, why: Why, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "process.py"
    script.write_text(f"import os, time; {does}")
    monkeypatch.setattr("privacy_assets.scan.reading.orc._SCRIPT", script)
    result = seen(as_orc(table()), limits=Limits(seconds=1.5))
    assert result.whys == {"": why}


SCHEMA = {
    "type": "record",
    "name": "Person",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"]},
        {
            "name": "home",
            "type": {"type": "record", "name": "Home", "fields": [{"name": "city", "type": "string"}]},
        },
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "list", "type": {"type": "array", "items": "bytes"}},
        {"name": "score", "type": "double"},
    ],
}


def people() -> list[dict[str, Any]]:
    return [
        {
            "id": 78051120,
            "note": VALUE if number == 500 else None,
            "home": {"city": VALUE if number == 500 else "x"},
            "tags": {"k": VALUE} if number == 500 else {},
            "list": [b"a", VALUE.encode()] if number == 500 else [],
            "score": 5.0,
        }
        for number in range(1000)
    ]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "zstandard"])
def test_avro(codec: str) -> None:
    result = seen(Forward(avro(people(), SCHEMA, codec)))
    assert not result.unread
    assert {(place.column, place.row) for _, place in result.places} == {
        (column, 501) for column in ("note", "home.city", "tags.k", "list")
    }
    assert b"78051120\n78051120\n" in result.texts[""]
    assert b"\n5\n5\n" in result.texts[""]


def test_avro_with_a_codec_that_is_not_read() -> None:
    content = avro(people(), SCHEMA).replace(b"avro.codec\x08null", b"avro.codec\x0csnappy")
    assert seen(content).whys == {"": Why.UNSUPPORTED}


def test_damaged_avro() -> None:
    content = avro(people(), SCHEMA, "deflate")
    result = seen(content[:-100])
    assert [(one.why, one.partly) for one in result.unread] == [(Why.BROKEN, True)]
    damaged = bytearray(content)
    damaged[len(content) // 4] ^= 0xFF
    result = seen(bytes(damaged))
    assert Why.BROKEN in result.whys.values()


def test_avro_that_counts_to_infinity(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "record", "name": "Empty", "fields": []}
    content = avro([{}], schema)
    sync = content[-16:]
    head = content[: content.index(sync) + 16]
    endless = head + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"\0" + sync
    assert seen(endless, limits=Limits(seconds=0.5)).whys == {"": Why.TOO_LONG}


def test_avro_bomb() -> None:
    schema = {"type": "record", "name": "One", "fields": [{"name": "a", "type": "string"}]}
    content = avro([{"a": "x" * 20_000_000}], schema, "deflate")
    assert seen(content, limits=Limits(free=1024 * 1024)).whys == {"": Why.EXPANDS_TOO_MUCH}


def test_avro_schema_that_is_none() -> None:
    content = avro(people(), SCHEMA).replace(b'"record"', b'"recorp"')
    assert seen(content).whys == {"": Why.BROKEN}


def test_what_the_source_raises_passes_through_the_library() -> None:
    class Vanishing(io.BytesIO):
        left = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise FileNotFoundError("vanished")
            return super().read(size)

    for content in (parquet(table()), as_orc(table()), avro(people(), SCHEMA)):
        raised = 0
        for reads in range(40):
            source = Vanishing(content)
            source.left = reads
            try:
                assert not seen(source).unread
            except FileNotFoundError:
                raised += 1
        assert raised > 1


def test_avro_records_in_records_without_end() -> None:
    schema = {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}
    content = avro([{"n": None}], schema)
    sync = content[-16:]
    deep = b"\x02" * 3_000_000 + b"\0"
    size = io.BytesIO()
    fastavro.schemaless_writer(size, {"type": "long"}, len(deep))
    content = content[: content.index(sync) + 16] + b"\x02" + size.getvalue() + deep + sync
    assert seen(content).whys == {"": Why.BROKEN}
    inner = {"n": {"n": {"n": None}}}
    assert not seen(avro([inner], schema)).unread
