"""PDF: pages and what hangs on them, passwords, damage."""

import io

import pypdf
import pytest
from pypdf.annotations import Text
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    TextStringObject,
)

from privacy_assets.scan.reading import Limits
from privacy_assets.scan.text import Place, Why
from tests.scan.reading.objects import VALUE, Forward, seen
from tests.scan.reading.test_zipped import zipped


def page(writer: pypdf.PdfWriter, lines: list[str]) -> pypdf.PageObject:
    added = writer.add_blank_page(612, 792)
    content = DecodedStreamObject()
    drawn = " T* ".join(f"({line}) Tj" for line in lines)
    content.set_data(f"BT /F1 12 Tf 14 TL 72 720 Td {drawn} ET".encode())
    added[NameObject("/Contents")] = writer._add_object(content.flate_encode())
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    added[NameObject("/Resources")] = DictionaryObject(
        {
            NameObject("/Font"): DictionaryObject(
                {NameObject("/F1"): DictionaryObject({NameObject(k): NameObject(v) for k, v in font.items()})}
            )
        }
    )
    return added


def book() -> pypdf.PdfWriter:
    writer = pypdf.PdfWriter()
    page(writer, ["first page"])
    page(writer, ["second page", f"is {VALUE}"])
    return writer


def written(writer: pypdf.PdfWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def test_pages() -> None:
    result = seen(Forward(written(book())), "a.pdf")
    assert not result.unread
    assert result.texts["page 1"] == b"first page"
    assert result.places == [("page 2", Place(15, line=2))]


def test_what_hangs_on_pages_and_on_the_whole() -> None:
    writer = book()
    writer.add_annotation(0, Text(text=f"note {VALUE}", rect=(0, 0, 10, 10)))
    field = DictionaryObject(
        {NameObject("/Subtype"): NameObject("/Widget"), NameObject("/V"): TextStringObject(VALUE)}
    )
    annotations = writer.pages[0]["/Annots"]
    assert isinstance(annotations, ArrayObject)
    annotations.append(writer._add_object(field))
    writer.add_metadata({"/Author": VALUE})
    writer.add_attachment("list.zip", zipped({"a.txt": VALUE.encode()}))
    result = seen(written(writer))
    assert not result.unread
    assert [member for member, _ in result.places] == [
        "page 1", "page 1", "page 2", "properties", "list.zip/a.txt",
    ]  # fmt: skip


def test_password() -> None:
    word = "".join(["not", "a", "secret"])
    locked, printable = book(), book()
    locked.encrypt(word, algorithm="AES-256")
    assert seen(written(locked)).whys == {"": Why.ENCRYPTED}
    printable.encrypt("", word, algorithm="RC4-128")
    assert [member for member, _ in seen(written(printable)).places] == ["page 2"]


def test_pages_that_show_images_are_told() -> None:
    writer = book()
    image = DecodedStreamObject()
    image.set_data(b"\0")
    image[NameObject("/Subtype")] = NameObject("/Image")
    for _ in range(2):
        added = page(writer, [""])
        resources = added["/Resources"]
        assert isinstance(resources, DictionaryObject)
        resources[NameObject("/XObject")] = DictionaryObject({NameObject("/I"): writer._add_object(image)})
    (unread,) = seen(written(writer)).unread
    assert (unread.why, unread.partly) == (Why.UNSUPPORTED, True)
    assert unread.detail.endswith("3, 4")


def test_damage() -> None:
    content = written(book())
    assert seen(content[: len(content) // 3]).whys == {"": Why.BROKEN}
    damaged = content.replace(b"/FlateDecode", b"/FlatoDecode", 1)
    result = seen(damaged)
    assert result.whys == {"page 1": Why.BROKEN}
    assert [member for member, _ in result.places] == ["page 2"]


def test_a_stream_that_expands_too_much() -> None:
    writer = book()
    bomb = DecodedStreamObject()
    bomb.set_data(b" " * 100_000_000)
    writer.pages[0][NameObject("/Contents")] = writer._add_object(bomb.flate_encode())
    result = seen(written(writer))
    assert result.whys["page 1"] == Why.EXPANDS_TOO_MUCH
    assert [member for member, _ in result.places] == ["page 2"]


def test_time_is_asked_within_a_page() -> None:
    writer = book()
    many = DecodedStreamObject()
    many.set_data(b"BT /F1 12 Tf " + b"(x) Tj " * 300_000 + b"ET")
    writer.pages[0][NameObject("/Contents")] = writer._add_object(many)
    result = seen(written(writer), limits=Limits(seconds=0.3))
    assert result.whys == {"": Why.TOO_LONG}


def test_a_pdf_that_ends_in_an_archive() -> None:
    content = written(book()) + zipped({"a.txt": VALUE.encode()})
    assert [member for member, _ in seen(content).places] == ["page 2", "a.txt"]


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen(written(book()).replace(b"/F1", b"/" + VALUE[:2].encode()))
    assert not caplog.records


def test_what_the_source_raises_passes() -> None:
    content = written(book())

    class Vanishing(io.BytesIO):
        left = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise FileNotFoundError("vanished")
            return super().read(size)

    raised = 0
    for reads in range(12):
        source = Vanishing(content)
        source.left = reads
        try:
            assert not seen(source).unread
        except FileNotFoundError:
            raised += 1
    assert raised > 1
