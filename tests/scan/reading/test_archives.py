"""Tar and 7z archives: their files, their damage, and what is built to hurt."""

import gzip
import io
import tarfile

import py7zr
import pytest

from privacy_assets.scan.reading import Limits
from privacy_assets.scan.text import Place, Why
from tests.scan.reading.objects import VALUE, Forward, seen
from tests.scan.reading.test_zipped import zipped

TEXT = b"one line\n" * 3000 + VALUE.encode() + b"\n"
PLACE = Place(27_000, line=3001)


def tarred(entries: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in entries.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return file.getvalue()


def sevenzipped(entries: dict[str, bytes], **options: object) -> bytes:
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w", **options) as archive:  # type: ignore[arg-type]
        for name, content in entries.items():
            archive.writestr(content, name)
    return file.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_tar(form: int, pack: object) -> None:
    assert callable(pack)
    name = "d/" * 60 + "b.txt"
    content = pack(tarred({"a.txt": TEXT, name: TEXT, "empty": b""}, form))
    result = seen(Forward(content))
    assert result.places == [("a.txt", PLACE), (name, PLACE)]
    assert not result.unread


def test_zip_in_tar_in_gzip() -> None:
    content = gzip.compress(tarred({"in.zip": zipped({"../a.txt": TEXT}), "b.txt": TEXT}))
    result = seen(Forward(content), "x.tgz")
    assert result.places == [("in.zip/../a.txt", PLACE), ("b.txt", PLACE)]
    assert not result.unread


def test_a_spool_is_bounded_and_given_back() -> None:
    inner = zipped({"a.txt": TEXT}, 0)
    limits = Limits(spool=len(inner) + 10)
    assert len(seen(gzip.compress(tarred({"1.zip": inner, "2.zip": inner})), limits=limits).places) == 2
    result = seen(gzip.compress(tarred({"1.zip": inner, "b.txt": TEXT})), limits=Limits(spool=1000))
    assert result.whys == {"1.zip": Why.EXPANDS_TOO_MUCH}
    assert result.places == [("b.txt", PLACE)]


def test_a_full_disk_is_no_fact_about_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda max_size: Full())
    with pytest.raises(OSError, match="No space left"):
        seen(gzip.compress(zipped({"a.txt": TEXT})))


def test_tar_that_breaks_off() -> None:
    content = tarred({"a.txt": TEXT, "b.txt": TEXT})
    result = seen(content[: content.rindex(VALUE.encode()) - 1000])
    assert result.places == [("a.txt", PLACE)]
    assert result.whys == {"b.txt": Why.BROKEN, "": Why.BROKEN}
    assert all(one.partly for one in result.unread)


def test_tar_without_its_end() -> None:
    content = tarred({"a.txt": TEXT})
    result = seen(content[: content.index(b"link")])
    assert result.places == [("a.txt", PLACE)]
    assert result.whys == {"": Why.BROKEN}


def test_tar_with_a_damaged_header() -> None:
    content = bytearray(tarred({"a.txt": TEXT, "b.txt": TEXT}))
    content[content.index(b"b.txt")] ^= 1
    result = seen(bytes(content))
    assert result.places == [("a.txt", PLACE)]
    assert result.whys == {"": Why.BROKEN}


def test_what_follows_tar_is_told() -> None:
    content = tarred({"a.txt": TEXT}) + TEXT
    assert seen(content).whys == {"": Why.BROKEN}


def test_tar_in_damaged_gzip_keeps_what_was_read() -> None:
    import random

    noise = random.Random(1).randbytes(200_000).hex().encode()
    content = gzip.compress(tarred({"a.txt": TEXT, "b.txt": noise}))
    result = seen(content[: len(content) // 2])
    assert result.places == [("a.txt", PLACE)]
    assert result.whys == {"b.txt": Why.BROKEN, "": Why.BROKEN}


def test_a_sparse_file_of_holes_is_stopped() -> None:
    header = tarfile.TarInfo("holes")
    header.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "holes",
        "GNU.sparse.size": str(1 << 40),
        "GNU.sparse.map": f"{(1 << 40) - 1},0",
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header)
    result = seen(file.getvalue(), limits=Limits(free=1024 * 1024, binary=1 << 40))
    assert Why.EXPANDS_TOO_MUCH in result.whys.values()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filters": [{"id": py7zr.FILTER_LZMA}]},
        {"filters": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 1}]},
        {"filters": [{"id": py7zr.FILTER_DEFLATE}]},
        {"filters": [{"id": py7zr.FILTER_BZIP2}]},
        {"filters": [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 24}]},
        {"filters": [{"id": py7zr.FILTER_ZSTD, "level": 3}]},
        {"filters": [{"id": py7zr.FILTER_COPY}]},
    ],
    ids=str,
)
def test_sevenzip(options: dict[str, object]) -> None:
    result = seen(sevenzipped({"a.txt": TEXT, "d/b.txt": TEXT, "e": b""}, **options))
    assert result.places == [("a.txt", PLACE), ("d/b.txt", PLACE)]
    assert not result.unread


def test_sevenzip_encrypted() -> None:
    word = "".join(["not", "a", "secret"])
    assert seen(sevenzipped({"a.txt": TEXT, "b": TEXT}, password=word)).whys == {
        "a.txt": Why.ENCRYPTED,
        "b": Why.ENCRYPTED,
    }
    assert seen(sevenzipped({"a.txt": TEXT}, password=word, header_encryption=True)).whys == {
        "": Why.ENCRYPTED
    }


def test_sevenzip_files_that_are_left_early_do_not_shift_the_next() -> None:
    binary = bytes(range(256)) * 5000
    result = seen(sevenzipped({"a.bin": binary, "b.txt": TEXT}), limits=Limits(binary=0))
    assert result.places == [("b.txt", PLACE)]
    assert result.whys == {"a.bin": Why.BINARY}


def test_sevenzip_damaged() -> None:
    content = bytearray(sevenzipped({"a.txt": TEXT, "b.txt": TEXT}, filters=[{"id": py7zr.FILTER_COPY}]))
    content[content.index(VALUE.encode()) - 4] ^= 1
    assert seen(bytes(content)).whys == {"a.txt": Why.BROKEN}
    packed = bytearray(sevenzipped({"a.txt": TEXT}))
    packed[40:60] = bytes(20)
    assert Why.BROKEN in seen(bytes(packed)).whys.values()
    assert seen(bytes(packed[:-20])).whys == {"": Why.BROKEN}


def test_sevenzip_bomb() -> None:
    result = seen(sevenzipped({"bomb": b" " * 20_000_000, "b.txt": TEXT}), limits=Limits(free=1024 * 1024))
    assert result.whys["bomb"] == Why.EXPANDS_TOO_MUCH
    assert result.text_bytes < 6_000_000


def test_sevenzip_dictionary() -> None:
    content = sevenzipped({"a.txt": TEXT})
    assert seen(content, limits=Limits(memory=1000)).whys == {"a.txt": Why.EXPANDS_TOO_MUCH}
