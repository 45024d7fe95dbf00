"""The sheets of a workbook (ECMA-376 Part 1 §18): a member by its title, a row a line, cells divided by tabs.

A place is the cell's: its column is ``D``, or ``D (ssn)`` under a header, its row is the number that the
sheet shows. Dates are written as ISO 8601; numbers without a fraction that is zero, and with the zeros and
dashes that a format such as ``000-00-0000`` shows. Formulas are not read, their results are.
"""

import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from posixpath import normpath

import numpy as np
from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils import column_index_from_string, get_column_letter
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from privacy_assets.scan.reading.delimited import header
from privacy_assets.scan.reading.encodings import utf8
from privacy_assets.scan.reading.markup import Attributes, Parser
from privacy_assets.scan.reading.segments import SEGMENT, TextSegment
from privacy_assets.scan.reading.stream import Raw, Stop, Stream
from privacy_assets.scan.reading.walk import Format, Member, Piece, Walk
from privacy_assets.scan.text import Place, Why

OpenPart = Callable[[str], Raw]
"""Opens a part of the archive by its name. Raises KeyError if there is none."""

_WORKBOOK, _LINKS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_STRINGS, _STYLES = "xl/sharedStrings.xml", "xl/styles.xml"
LAST_PART = _STRINGS
"""The part that is to be read after all others."""
_HEADER_ROWS, _LAST_COLUMN = 20, 16_384
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_ZEROS = re.compile(r"[0() /-]*")
_MARGINS = frozenset(["oddHeader", "evenHeader", "firstHeader", "oddFooter", "evenFooter", "firstFooter"])


class Workbook:
    """What all sheets share: titles, strings, formats."""

    def __init__(self, open_part: OpenPart, walk: Walk) -> None:
        self._open = open_part
        self._walk = walk
        self.titles: dict[str, str] = {}
        """Titles of sheets by the names of their parts."""
        self.strings: Strings | None = None
        self.formats: list[str] = []
        """The number format of each style."""
        self.epoch: datetime = CALENDAR_WINDOWS_1900
        try:
            self._read_titles()
            self._read_formats()
            self.strings = self._read_strings()
        except Exception:  # noqa: BLE001  # the parts are read as prose then, and say themselves what is wrong
            walk.raise_failure()
            self.titles = {}

    def rest(self, name: str) -> Format | None:
        """How the shared strings are read after the sheets: those that no cell shows are there too."""
        if name == _STRINGS and self.titles and self.strings is not None:
            return _Unshown(self.strings)
        return None

    def _parse(self, name: str, parser: Parser) -> None:
        for _ in parser.feed(Stream(self._open(name), self._walk.clock)):
            pass

    def _read_titles(self) -> None:
        sheets: dict[str, str] = {}

        def sheet(name: str, attributes: Attributes) -> None:
            if name == "sheet" and "id" in attributes:
                sheets[attributes["id"]] = attributes.get("name", attributes["id"])
            elif name == "workbookPr" and attributes.get("date1904") in {"1", "true"}:
                self.epoch = CALENDAR_MAC_1904

        def link(name: str, attributes: Attributes) -> None:
            if name == "Relationship" and attributes.get("Id") in sheets:
                target = attributes.get("Target", "")
                part = target.lstrip("/") if target.startswith("/") else normpath(f"xl/{target}")
                if part.startswith("xl/worksheets/"):
                    self.titles[part] = sheets[attributes["Id"]]

        for name, handler in ((_WORKBOOK, sheet), (_LINKS, link)):
            parser = Parser(self._walk.limits.memory)
            parser.on_start = handler
            self._parse(name, parser)

    def _read_formats(self) -> None:
        codes = dict(BUILTIN_FORMATS)
        within_cells = False

        def start(name: str, attributes: Attributes) -> None:
            nonlocal within_cells
            if name == "numFmt":
                codes[int(attributes["numFmtId"])] = attributes["formatCode"]
            elif name == "cellXfs":
                within_cells = True
            elif name == "xf" and within_cells:
                self.formats.append(codes.get(int(attributes.get("numFmtId", "0")), "General"))

        def end(name: str) -> None:
            nonlocal within_cells
            within_cells = within_cells and name != "cellXfs"

        parser = Parser(self._walk.limits.memory)
        parser.on_start, parser.on_end = start, end
        with suppress(KeyError):  # a workbook may have no styles
            self._parse(_STYLES, parser)

    def _read_strings(self) -> "Strings":
        strings = Strings(self._walk.limits.memory)
        parser = Parser(self._walk.limits.memory)
        parser.on_start, parser.on_end, parser.on_text = strings.start, strings.end, strings.text
        with suppress(KeyError):  # all strings may stand in their cells
            self._parse(_STRINGS, parser)
        return strings


class Strings:
    """The shared strings, packed: a workbook may have millions. Which were shown is remembered."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._data = bytearray()
        self._ends = array("Q", [0])
        self._shown = bytearray()
        self._taken = False

    def start(self, name: str, _: Attributes) -> None:
        self._taken = name == "t"

    def text(self, text: str) -> None:
        if self._taken:
            self._data += text.encode()

    def end(self, name: str) -> None:
        self._taken = False
        if name == "si":
            self._ends.append(len(self._data))
            self._shown.append(0)
            if len(self._data) + 9 * len(self._ends) > self._memory:
                raise Stop(Why.EXPANDS_TOO_MUCH, f"shared strings of more than {self._memory} bytes")

    def show(self, index: int) -> bytes:
        """The string of this number from 0. Raises IndexError."""
        if index < 0:
            raise IndexError(index)
        self._shown[index] = 1
        return bytes(self._data[self._ends[index] : self._ends[index + 1]])

    def unshown(self) -> Iterator[bytes]:
        """The strings that no cell has shown so far."""
        for index, shown in enumerate(self._shown):
            if not shown:
                yield bytes(self._data[self._ends[index] : self._ends[index + 1]])


class _Unshown:
    """Shared strings that no cell shows: left behind, or the cell's sheet could not be read."""

    NAME = "the shared strings of a workbook"

    def __init__(self, strings: Strings) -> None:
        self._strings = strings

    def recognise(self, head: bytes, name: str) -> bool:  # noqa: ARG002  # its archive says what it is
        """A part is known by its place."""
        return True

    def read(self, stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:  # noqa: ARG002  # the protocol's shape
        """A string a line."""
        data = b"\n".join(self._strings.unshown())
        if data:
            yield TextSegment(data, member.path, False, encoding=utf8(), offset=0, line=1)


class CellSegment:
    """Cells, each ended by a tab, and rows by a newline."""

    __slots__ = ("_begins", "_columns", "_names", "_offset", "_rows", "continues", "data", "member")

    def __init__(
        self,
        data: bytes,
        member: str,
        *,
        offset: int,
        begins: "array[int]",
        rows: "array[int]",
        columns: "array[int]",
        names: dict[int, str],
    ) -> None:
        self.data = data
        self.member = member
        self.continues = offset > 0
        self._offset = offset
        self._begins = begins
        self._rows = rows
        self._columns = columns
        self._names = names

    def place(self, start: int, end: int) -> Place:  # noqa: ARG002  # the protocol's shape
        """The byte offset in the sheet's text, the column and the row of ``data[start]``."""
        index = int(np.searchsorted(np.frombuffer(self._begins, dtype=np.int64), start, side="right")) - 1
        if index < 0:  # a page's header or footer
            return Place(self._offset + start)
        column = self._columns[index]
        letter, name = get_column_letter(column), self._names.get(column)
        return Place(self._offset + start, None, f"{letter} ({name})" if name else letter, self._rows[index])


class Sheet:
    """One sheet."""

    NAME = "a sheet of a workbook"

    def __init__(self, workbook: Workbook) -> None:
        self._workbook = workbook
        self._row = self._column = 0
        self._kind = self._style = ""
        self._collected: list[str] | None = None
        self._value = ""
        self._head: list[list[str]] = []
        self._names: dict[int, str] | None = None
        self._offset = 0
        self._clear()

    def _clear(self) -> None:
        self._texts: list[bytes] = []
        self._size = 0
        self._begins, self._rows, self._columns = array("q"), array("q"), array("q")

    def recognise(self, head: bytes, name: str) -> bool:  # noqa: ARG002  # its workbook says what it is
        """A sheet is known by its place."""
        return True

    def read(self, stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
        """The cells, row by row."""
        self._walk = walk
        parser = Parser(walk.limits.memory)
        parser.on_start, parser.on_end, parser.on_text = self._start, self._end, self._text
        for last in parser.feed(stream):
            if self._size and (last or self._size >= SEGMENT):
                yield self._segment(member)

    def _segment(self, member: Member) -> CellSegment:
        if self._names is None:
            names = header(self._head) or ()
            self._names = {column: name for column, name in enumerate(names, 1) if name}
        data = b"".join(self._texts)
        segment = CellSegment(
            data,
            member.path,
            offset=self._offset,
            begins=self._begins,
            rows=self._rows,
            columns=self._columns,
            names=self._names,
        )
        self._offset += len(data)
        self._clear()
        return segment

    def _start(self, name: str, attributes: Attributes) -> None:
        if name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = 0
        elif name == "c":
            reference = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._column = column_index_from_string(reference[1]) if reference else self._column + 1
            if self._column > _LAST_COLUMN:
                raise Stop(Why.BROKEN, "a cell beyond the last column")
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._value = ""
        elif name in {"v", "t"} or name in _MARGINS:
            self._collected = []

    def _text(self, text: str) -> None:
        if self._collected is not None:
            self._collected.append(text)

    def _end(self, name: str) -> None:
        if name in {"v", "t"} and self._collected is not None:
            self._value += "".join(self._collected)
        elif name in _MARGINS and self._collected is not None:
            self._add("".join(self._collected).encode() + b"\n")
        elif name == "c" and self._value:
            self._cell(self._shown())
        elif name == "row" and self._size:
            self._add(b"\n")
        self._collected = None if name != "is" else self._collected

    def _cell(self, text: bytes) -> None:
        self._begins.append(self._size)
        self._rows.append(self._row)
        self._columns.append(self._column)
        self._add(text + b"\t")
        if self._names is None and self._row <= _HEADER_ROWS and self._column <= 1024:
            self._head.extend([] for _ in range(self._row - len(self._head)))
            row = self._head[self._row - 1]
            row.extend("" for _ in range(self._column - len(row)))
            row[self._column - 1] = text.decode()

    def _add(self, data: bytes) -> None:
        self._texts.append(data)
        self._size += len(data)
        if self._size > self._walk.limits.memory:
            raise Stop(Why.EXPANDS_TOO_MUCH, "cells that repeat long strings")

    def _shown(self) -> bytes:
        """The cell as a person sees it."""
        value = self._value
        if self._kind == "s":
            text = self._workbook.strings.show(int(value)) if self._workbook.strings else b""
            self._walk.expand(len(text))
            return text
        if self._kind != "n":
            return value.encode()
        style = int(self._style or 0)
        code = self._workbook.formats[style] if style < len(self._workbook.formats) else "General"
        return number(value, code, self._workbook.epoch).encode()


def number(value: str, code: str, epoch: datetime = CALENDAR_WINDOWS_1900) -> str:
    """A number as its format shows it, as far as that matters to recognise it.

    >>> number("78051120", r"000\\-00\\-0000"), number("7.805112E7", "General"), number("44197", "yyyy-mm-dd")
    ('078-05-1120', '78051120', '2021-01-01')
    """
    try:
        exact = float(value)
        whole = int(value) if value.lstrip("-").isdigit() else int(exact) if exact.is_integer() else None
    except (ValueError, OverflowError):
        return value
    if is_date_format(code):
        try:
            moment = from_excel(exact, epoch)
        except (ValueError, OverflowError):
            return value
        text = "" if moment is None else str(moment)
        return text.removesuffix(" 00:00:00")
    if whole is None:
        return value
    form = code.split(";")[0].replace("\\", "").replace('"', "")
    places = form.count("0")
    if whole >= 0 and places > 1 and _ZEROS.fullmatch(form):
        digits = iter(str(whole).zfill(places)[-places:])
        extra = str(whole).zfill(places)[:-places]
        return extra + "".join(next(digits) if character == "0" else character for character in form)
    return str(whole)
