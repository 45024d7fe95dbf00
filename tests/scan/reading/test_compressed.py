"""Compressed objects: several streams, damage, bombs."""

import bz2
import gzip
import io
import lzma
import tracemalloc
import zlib
from collections.abc import Callable

import pyarrow as pa
import pytest
from backports import zstd

from privacy_assets.scan.reading import Limits, read
from privacy_assets.scan.text import Place, Unread, Why
from tests.scan.reading.objects import VALUE, Forward, seen

TEXT = b"one line\n" * 50_000 + VALUE.encode() + b"\nthe last\n"
PLACE = Place(450_000, line=50_001)


def lz4(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(data)
    content: bytes = sink.getvalue().to_pybytes()
    return content


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "lz4": lz4,
}
SMALL = Limits(free=1024 * 1024)


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed(name: str) -> None:
    result = seen(Forward(COMPRESS[name](TEXT)), f"log.{name}")
    assert result.texts == {"": TEXT}
    assert result.place == PLACE
    assert not result.unread


@pytest.mark.parametrize("name", COMPRESS)
def test_several_streams_are_one_text(name: str) -> None:
    compress = COMPRESS[name]
    result = seen(Forward(compress(TEXT[:450_003]) + compress(b"") + compress(TEXT[450_003:])))
    assert result.texts == {"": TEXT}
    assert not result.unread


def test_zeros_after_the_end_are_padding() -> None:
    assert not seen(gzip.compress(TEXT) + b"\0" * 5000).unread


def test_a_skippable_frame_holds_nothing() -> None:
    frame = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    assert seen(frame + zstd.compress(TEXT)).texts == {"": TEXT}


@pytest.mark.parametrize("name", COMPRESS)
def test_what_follows_the_end_is_told(name: str) -> None:
    result = seen(COMPRESS[name](TEXT) + b"garbage " * 5)
    assert result.texts == {"": TEXT} or name == "lz4"  # Arrow's loses what stands just before
    assert [(one.why, one.partly) for one in result.unread] == [(Why.BROKEN, True)]


@pytest.mark.parametrize("name", COMPRESS)
def test_a_stream_that_breaks_off(name: str) -> None:
    text = bytes(range(32, 127)) + zlib.compress(TEXT) * 50
    text = b"".join(b"%r\n" % text[at : at + 60] for at in range(0, len(text), 60)) * 30
    packed = COMPRESS[name](text)
    result = seen(packed[: len(packed) * 9 // 10])
    assert text.startswith(result.texts.get("", b""))
    assert result.whys == {"": Why.BROKEN}
    assert result.unread[0].partly == bool(result.texts)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_flipped_bytes(name: str) -> None:
    packed = bytearray(COMPRESS[name](TEXT))
    packed[-6] ^= 0xFF
    assert seen(bytes(packed)).whys == {"": Why.BROKEN}


def test_a_gz_that_is_none_is_read_as_what_it_is() -> None:
    result = seen(TEXT, "log.gz")
    assert result.texts == {"": TEXT}
    assert not result.unread


@pytest.mark.parametrize("name", sorted(set(COMPRESS) - {"lz4"}))  # which makes 255 bytes of one at most
def test_a_bomb_is_stopped(name: str) -> None:
    result = seen(COMPRESS[name](b" " * 20_000_000), limits=SMALL)
    (unread,) = result.unread
    assert (unread.why, unread.partly) == (Why.EXPANDS_TOO_MUCH, True)
    assert result.text_bytes < 6_000_000


def test_a_bomb_in_a_bomb_is_stopped() -> None:
    result = seen(gzip.compress(gzip.compress(b" " * 20_000_000)), limits=SMALL)
    assert result.whys == {"": Why.EXPANDS_TOO_MUCH}


def test_too_deep() -> None:
    content = TEXT
    for _ in range(9):
        content = gzip.compress(content)
    result = seen(content)
    assert result.whys == {"": Why.TOO_DEEP}
    assert not result.texts


def test_xz_that_asks_for_much_memory() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 64 * 1024 * 1024}]
    packed = lzma.compress(TEXT, filters=filters)
    assert seen(packed, limits=Limits(memory=16 * 1024 * 1024)).whys == {"": Why.EXPANDS_TOO_MUCH}


def test_what_the_source_raises_passes_through_the_compression() -> None:
    changed = PermissionError("AccessDenied")
    with pytest.raises(PermissionError) as raised:
        seen(Forward(gzip.compress(TEXT)[:200], failure=changed))
    assert raised.value is changed


def test_memory_does_not_grow_with_the_object() -> None:
    packed = gzip.compress(b"".join(b"%d lines of a log\n" % number for number in range(200_000))) * 40

    tracemalloc.start()
    total = sum(len(piece.data) for piece in read(io.BytesIO(packed), "") if not isinstance(piece, Unread))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 150_000_000
    assert peak < 10 * 1024 * 1024
