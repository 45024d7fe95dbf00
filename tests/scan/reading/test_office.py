"""Office documents: everything that holds text, and where in a sheet a value stands."""

import datetime
import io
import zipfile
from collections.abc import Callable

import docx
import openpyxl
import pptx
import pytest
from openpyxl.comments import Comment
from pptx.util import Inches

from privacy_assets.scan.reading import Limits
from privacy_assets.scan.reading.sheets import number
from privacy_assets.scan.text import Place, Why
from tests.scan.reading.objects import VALUE, Forward, seen
from tests.scan.reading.test_zipped import zipped

COUNTED = [f"07{place}-05-1120" for place in range(10)]


def saved(document: object) -> bytes:
    file = io.BytesIO()
    document.save(file)  # type: ignore[attr-defined]
    return file.getvalue()


def changed(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    return zipped({**entries, name: change(entries.get(name, b""))})


def letter() -> bytes:
    document = docx.Document()
    paragraph = document.add_paragraph("Dear ")
    for run in (VALUE[:3], VALUE[3:8], VALUE[8:]):
        paragraph.add_run(run).bold = True
    document.add_paragraph(COUNTED[0])
    cells = document.add_table(1, 2).rows[0].cells
    cells[0].text, cells[1].text = COUNTED[1], "next"
    document.sections[0].header.paragraphs[0].text = COUNTED[2]
    document.sections[0].footer.paragraphs[0].text = COUNTED[3]
    document.core_properties.author = COUNTED[4]
    document.add_comment(paragraph.runs[0], COUNTED[5], author="A", initials="A")
    return saved(document)


def test_docx() -> None:
    result = seen(letter(), "letter.docx")
    assert not result.unread or set(result.whys) == {"docProps/thumbnail.jpeg"}
    assert result.texts["word/document.xml"].startswith(
        f"Dear {VALUE}\n{COUNTED[0]}\n{COUNTED[1]}\nnext\n".encode()
    )
    assert result.places == [("word/document.xml", Place(5, line=1))]
    parts = {
        value: [name for name, text in result.texts.items() if value.encode() in text]
        for value in COUNTED[2:6]
    }
    assert [len(names) for names in parts.values()] == [1, 1, 1, 1], parts
    assert parts[COUNTED[4]] == ["docProps/core.xml"]


def test_footnotes_deleted_text_and_links() -> None:
    content = changed(
        letter(),
        "word/footnotes.xml",
        lambda _: (
            b'<w:footnotes xmlns:w="w"><w:footnote><w:p><w:del><w:r><w:delText>' + VALUE.encode()
            + b"</w:delText></w:r></w:del></w:p></w:footnote></w:footnotes>"
        ),
    )  # fmt: skip
    assert ("word/footnotes.xml", Place(0, line=1)) in seen(content).places
    content = changed(
        letter(),
        "word/_rels/document.xml.rels",
        lambda xml: xml.replace(
            b"</Relationships>",
            b'<Relationship Id="x" TargetMode="External" Target="mailto:'
            + VALUE.encode()
            + b'"/></Relationships>',
        ),
    )
    assert "word/_rels/document.xml.rels" in [member for member, _ in seen(content).places]


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Customers"
    sheet.append(["id", "name", "ssn", "born"])
    sheet.append([1, "Ann", "none", datetime.date(1980, 1, 2)])
    sheet.append([2.0, "Bo", VALUE, datetime.datetime(1980, 1, 2, 3, 4)])  # noqa: DTZ001
    sheet["B6"] = 78051120
    sheet["B6"].number_format = "000-00-0000"
    sheet["C7"] = 4111111111111111
    sheet["C3"].comment = Comment(COUNTED[1], "A")
    assert sheet.oddHeader is not None
    sheet.oddHeader.center.text = COUNTED[2]
    book.create_sheet("Other")["D4"] = VALUE
    book.properties.creator = COUNTED[3]
    return saved(book)


def test_xlsx() -> None:
    result = seen(Forward(workbook()), "book.xlsx")
    assert not result.unread
    text = result.texts["Customers"].decode()
    assert text.startswith(
        "id\tname\tssn\tborn\t\n1\tAnn\tnone\t1980-01-02\t\n2\tBo\t078-05-1120\t1980-01-02 03:04:00\t\n"
    )
    assert "4111111111111111\t" in text
    assert result.places == [
        ("Customers", Place(text.index(VALUE), column="C (ssn)", row=3)),
        ("Customers", Place(text.rindex(VALUE), column="B (name)", row=6)),
        ("Other", Place(0, column="D", row=4)),
    ]
    for value in COUNTED[1:4]:
        assert any(value.encode() in text for text in result.texts.values())


STRINGS = (
    "<sst><si><t>first</t></si><si><r><t>078-05</t></r><r><t>-1120</t></r></si>"
    f"<si><t>{COUNTED[7]}</t></si></sst>"
)


def with_shared_strings(strings: bytes) -> bytes:
    cell = b'<worksheet><sheetData><row r="4"><c r="D4" t="s"><v>1</v></c></row></sheetData></worksheet>'
    content = changed(workbook(), "xl/worksheets/sheet2.xml", lambda _: cell)
    return changed(content, "xl/sharedStrings.xml", lambda _: strings)


def test_shared_strings_and_those_that_no_cell_shows() -> None:
    result = seen(with_shared_strings(STRINGS.encode()))
    assert not result.unread
    assert ("Other", Place(0, column="D", row=4)) in result.places
    assert result.texts["xl/sharedStrings.xml"] == b"first\n" + COUNTED[7].encode()


def test_a_workbook_whose_strings_are_damaged_is_told_and_read_as_far_as_can_be() -> None:
    result = seen(with_shared_strings(STRINGS.encode()[:-10]))
    assert result.whys == {"xl/sharedStrings.xml": Why.BROKEN}
    assert VALUE.encode() in result.texts["xl/sharedStrings.xml"]


def test_inline_strings_and_cells_without_a_reference() -> None:
    xml = (
        b'<worksheet><sheetData><row><c t="inlineStr"><is><r><t>078-05</t></r><r><t>-1120</t></r></is></c>'
        b'<c t="str"><v>x</v></c><c t="b"><v>1</v></c></row></sheetData></worksheet>'
    )
    result = seen(changed(workbook(), "xl/worksheets/sheet2.xml", lambda _: xml))
    assert ("Other", Place(0, column="A", row=1)) in result.places
    assert result.texts["Other"] == b"078-05-1120\tx\t1\t\n"


def slides() -> bytes:
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    assert slide.shapes.title is not None
    slide.shapes.title.text = VALUE
    slide.shapes.add_table(1, 1, 0, 0, Inches(1), Inches(1)).table.cell(0, 0).text = COUNTED[0]
    frame = slide.notes_slide.notes_text_frame
    assert frame is not None
    frame.text = COUNTED[1]
    return saved(show)


def test_pptx() -> None:
    result = seen(slides())
    assert result.places == [("ppt/slides/slide1.xml", Place(0, line=1))]
    assert COUNTED[0].encode() in result.texts["ppt/slides/slide1.xml"]
    assert COUNTED[1].encode() in result.texts["ppt/notesSlides/notesSlide1.xml"]


def test_opendocument() -> None:
    xml = (
        b'<office:document-content xmlns:office="o" xmlns:text="t"><text:p>a</text:p><text:p>078-'
        b"<text:span>05-1120</text:span></text:p></office:document-content>"
    )
    content = zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": xml})
    assert seen(content).places == [("content.xml", Place(2, line=2))]


def test_entities_are_refused() -> None:
    laughs = b'<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><w>&b;</w>'
    result = seen(changed(letter(), "word/document.xml", lambda _: laughs))
    assert result.whys["word/document.xml"] == Why.EXPANDS_TOO_MUCH
    assert "word/footer1.xml" in result.texts or "docProps/core.xml" in result.texts


def test_a_part_that_breaks_off_keeps_what_was_read() -> None:
    result = seen(changed(letter(), "word/document.xml", lambda xml: xml[: xml.index(b"next")]))
    assert result.whys["word/document.xml"] == Why.BROKEN
    assert [member for member, _ in result.places] == ["word/document.xml"]


def test_cells_that_repeat_a_long_string_are_stopped() -> None:
    strings = b"<sst><si><t>" + b"x" * 1_000_000 + b"</t></si></sst>"
    cells = (
        b"<worksheet><sheetData><row>" + b'<c t="s"><v>0</v></c>' * 5000 + b"</row></sheetData></worksheet>"
    )
    content = changed(workbook(), "xl/sharedStrings.xml", lambda _: strings)
    content = changed(content, "xl/worksheets/sheet2.xml", lambda _: cells)
    result = seen(content, limits=Limits(free=1024 * 1024))
    assert result.whys["Other"] == Why.EXPANDS_TOO_MUCH
    assert result.text_bytes < 100_000_000


def test_a_token_without_end_is_stopped() -> None:
    content = changed(letter(), "word/document.xml", lambda _: b"<w a='" + b"x" * 3_000_000)
    assert seen(content, limits=Limits(memory=1_000_000)).whys["word/document.xml"] == Why.EXPANDS_TOO_MUCH


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        ("78051120", r"000\-00\-0000", "078-05-1120"),
        ("78051120", "General", "78051120"),
        ("4.111111111111111E15", "General", "4111111111111111"),
        ("1.5", "0.00", "1.5"),
        ("7", "00000", "00007"),
        ("-7", "00000", "-7"),
        ("36526", "yyyy-mm-dd", "2000-01-01"),
        ("1e999", "General", "1e999"),
        ("99999999999", "yyyy-mm-dd", "99999999999"),
        ("x", "General", "x"),
    ],
)
def test_numbers(value: str, code: str, shown: str) -> None:
    assert number(value, code) == shown
