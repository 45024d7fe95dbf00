"""Office documents: DOCX, XLSX, PPTX (ECMA-376), OpenDocument (ISO/IEC 26300), which are zip archives of XML.

Each part is a member: body, headers, footers, notes, comments, text boxes, properties and links alike, the
deleted text of tracked changes too. Text that is split over runs is joined again. What else the archive holds
— images, embedded documents — is read as what it is. Sheets of workbooks are in ``sheets``.
"""

from collections.abc import Iterator

from privacy_assets.scan.reading.encodings import utf8
from privacy_assets.scan.reading.markup import Attributes, Parser
from privacy_assets.scan.reading.segments import SEGMENT, TextSegment
from privacy_assets.scan.reading.sheets import OpenPart, Sheet, Workbook
from privacy_assets.scan.reading.stream import Stream
from privacy_assets.scan.reading.walk import Format, Member, Piece, Walk

_XML = (".xml", ".rels", ".vml")
# What stands by itself. A text that another element holds ends with that element unless it is a run's.
_BLOCKS = frozenset(
    {"p", "h", "tr", "tc", "row", "c", "si", "comment", "text", "author", "br", "cr", "tab"}
    | {"list-item", "table-cell", "table-row", "line-break"}
)
_RUNS = frozenset(
    {"t", "delText", "instrText", "delInstrText", "r", "rPh", "span", "a", "s"}
    | {"ruby-base", "ruby-text", "meta-field"}
)
_SPOKEN = ("descr", "title", "alt", "href", "string-value", "display", "prompt", "connection", "command", "v")


class Document:
    """An archive that is an office document."""

    def __init__(self, names: list[str], open_part: OpenPart, walk: Walk) -> None:
        self._workbook = Workbook(open_part, walk) if "xl/workbook.xml" in names else None

    @staticmethod
    def recognise(names: list[str]) -> bool:
        """Whether an archive with entries of these names is one."""
        return "[Content_Types].xml" in names or {"mimetype", "content.xml"} <= set(names)

    def part(self, name: str) -> tuple[str, Format | None]:
        """What the part of this name is called as a member, and how it is read; None: as any other file."""
        if self._workbook and (title := self._workbook.titles.get(name)):
            return title, Sheet(self._workbook)
        if self._workbook and (rest := self._workbook.rest(name)):
            return name, rest
        return name, Prose() if name.lower().endswith(_XML) else None


class Prose:
    """A part whose text is read on, a paragraph a line."""

    NAME = "a part of an office document"

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._size = 0
        self._inside: list[bool] = []
        self._broken = True

    def recognise(self, head: bytes, name: str) -> bool:  # noqa: ARG002  # its archive says what it is
        """A part is known by its place."""
        return True

    def read(self, stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
        """The text of the part."""
        parser = Parser(walk.limits.memory)
        parser.on_start, parser.on_end, parser.on_text = self._start, self._end, self._text
        encoding, offset, line = utf8(), 0, 1
        for last in parser.feed(stream):
            if self._size < SEGMENT and not last:
                continue
            data = "".join(self._texts).encode()
            self._texts, self._size = [], 0
            if data:
                yield TextSegment(data, member.path, offset > 0, encoding=encoding, offset=offset, line=line)
            offset += len(data)
            line += data.count(b"\n")

    def _start(self, name: str, attributes: Attributes) -> None:
        if name in _BLOCKS:
            self._break()
        self._inside.append(False)
        spoken = [attributes[key] for key in _SPOKEN if attributes.get(key)]
        if attributes.get("TargetMode") == "External":
            spoken.append(attributes.get("Target", ""))
        for value in spoken:
            self._break()
            self._add(value)
            self._break()

    def _end(self, name: str) -> None:
        held_text = self._inside.pop()
        if name in _BLOCKS or (held_text and name not in _RUNS):
            self._break()

    def _text(self, text: str) -> None:
        if not self._inside[-1] and text.isspace() and "\n" in text:
            return  # how the XML is laid out, no text
        self._inside[-1] = True
        self._add(text)

    def _add(self, text: str) -> None:
        self._texts.append(text)
        self._size += len(text)
        self._broken = False

    def _break(self) -> None:
        if not self._broken:
            self._texts.append("\n")
            self._size += 1
        self._broken = True
