"""Zip archives: their entries, their damage, and what is built to hurt."""

import gzip
import io
import zipfile

import pytest
from backports import zstd

from privacy_assets.scan.reading import Limits
from privacy_assets.scan.text import Place, Why
from tests.scan.reading.objects import VALUE, Forward, seen

TEXT = b"one line\n" * 100 + VALUE.encode() + b"\n"
PLACE = Place(900, line=101)


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_entries(method: int) -> None:
    result = seen(zipped({"a.txt": TEXT, "dir/": b"", "dir/b.txt": b"nothing", "empty": b""}, method))
    assert result.texts == {"a.txt": TEXT, "dir/b.txt": b"nothing"}
    assert result.places == [("a.txt", PLACE)]
    assert not result.unread
    assert result.members == 4


def test_nested() -> None:
    inner = zipped({"notes.txt": TEXT, "log.gz": gzip.compress(TEXT)})
    result = seen(Forward(zipped({"inner.zip": inner, "after.txt": b"after"}), step=1 << 20))
    assert result.places == [("inner.zip/notes.txt", PLACE), ("inner.zip/log.gz", PLACE)]
    assert result.texts["after.txt"] == b"after"
    assert not result.unread


def test_names_are_only_names() -> None:
    result = seen(zipped({"../../etc/passwd": TEXT, "/abs": TEXT}))
    assert [member for member, _ in result.places] == ["../../etc/passwd", "/abs"]


def test_encrypted() -> None:
    content = bytearray(zipped({"secret.txt": TEXT, "open.txt": TEXT}, zipfile.ZIP_STORED))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    result = seen(bytes(content))
    assert result.whys == {"secret.txt": Why.ENCRYPTED}
    assert [member for member, _ in result.places] == ["open.txt"]


def test_a_wrong_checksum_is_told_after_what_was_read() -> None:
    content = bytearray(zipped({"a.txt": TEXT, "b.txt": TEXT}, zipfile.ZIP_STORED))
    content[content.index(b"one line") + 3] ^= 1
    result = seen(bytes(content))
    assert [(one.member, one.why, one.partly) for one in result.unread] == [("a.txt", Why.BROKEN, True)]
    assert [member for member, _ in result.places] == ["a.txt", "b.txt"]


def test_an_unknown_method() -> None:
    content = bytearray(zipped({"a.txt": TEXT}))
    content[content.index(b"PK\x01\x02") + 10] = 97
    assert seen(bytes(content)).whys == {"a.txt": Why.UNSUPPORTED}


def test_zstandard_entries() -> None:
    packed = zstd.compress(TEXT)
    content = bytearray(zipped({"a.txt": packed}, zipfile.ZIP_STORED))
    directory = content.index(b"PK\x01\x02")
    content[directory + 10] = 93
    content[directory + 16 : directory + 20] = zipfile.crc32(TEXT).to_bytes(4, "little")  # type: ignore[attr-defined]
    content[directory + 24 : directory + 28] = len(TEXT).to_bytes(4, "little")
    result = seen(bytes(content))
    assert result.places == [("a.txt", PLACE)]
    assert not result.unread


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_bomb_ends_its_entry_alone(method: int) -> None:
    content = zipped({"bomb": b" " * 20_000_000, "after.txt": TEXT}, method)
    result = seen(content, limits=Limits(free=1024 * 1024))
    assert result.whys == {"bomb": Why.EXPANDS_TOO_MUCH}
    assert result.places == [("after.txt", PLACE)]
    assert result.text_bytes < 6_000_000


def test_entries_that_share_their_bytes_are_stopped() -> None:
    content = bytearray(zipped({"a": b" " * 900_000}))
    at, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    record, tail = bytes(content[at:end]), content[end:]
    tail[8:12] = (100).to_bytes(2, "little") * 2
    tail[12:16] = (100 * len(record)).to_bytes(4, "little")
    result = seen(bytes(content[:at]) + record * 100 + bytes(tail), limits=Limits(free=1024 * 1024))
    assert Why.EXPANDS_TOO_MUCH in result.whys.values()
    assert result.text_bytes < 6_000_000


def test_too_many_members() -> None:
    result = seen(zipped({str(number): b"x" for number in range(50)}), limits=Limits(members=10))
    assert result.members <= 11
    assert result.whys[""] == Why.EXPANDS_TOO_MUCH


def test_a_program_that_ends_in_an_archive() -> None:
    content = b"MZ" + bytes(range(256)) * 300 + zipped({"a.txt": TEXT})
    result = seen(content)
    assert ("a.txt", PLACE) in result.places
    assert result.whys == {"": Why.BINARY}


def test_a_script_that_ends_in_an_archive() -> None:
    result = seen(b"#!/usr/bin/env python3\n" + zipped({"a.txt": TEXT}))
    assert ("a.txt", PLACE) in result.places


def test_what_follows_the_archive_is_told() -> None:
    result = seen(zipped({"a.txt": TEXT}) + b"trailing garbage")
    assert result.places == [("a.txt", PLACE)]
    assert [(one.why, one.detail) for one in result.unread] == [
        (Why.BROKEN, "16 bytes follow the end of the zip archive")
    ]


def test_an_archive_that_breaks_off() -> None:
    content = zipped({"a.txt": TEXT, "b.txt": TEXT, "c.txt": TEXT})
    result = seen(content[: content.index(b"PK\x01\x02") - 10])
    assert result.whys == {"c.txt": Why.BROKEN, "": Why.BROKEN}
    assert result.places[:2] == [("a.txt", PLACE), ("b.txt", PLACE)]


@pytest.mark.parametrize("method", METHODS)
def test_an_archive_written_as_a_stream_that_lost_its_directory(method: int) -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    file = Unseekable()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.txt", TEXT)
        archive.writestr("b.txt", TEXT)
    content = file.getvalue()
    result = seen(content[: content.index(b"PK\x01\x02") + 20])
    assert result.places == [("a.txt", PLACE), ("b.txt", PLACE)]
    assert result.whys[""] == Why.BROKEN


def test_what_the_source_raises_while_seeking_passes() -> None:
    class Vanishing(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads > 3:
                raise FileNotFoundError("vanished")
            return super().read(size)

    with pytest.raises(FileNotFoundError, match="vanished"):
        seen(Vanishing(zipped({str(number): TEXT for number in range(20)})))
