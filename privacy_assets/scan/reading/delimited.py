"""Tables as text: CSV (RFC 4180), TSV, and their kin with semicolons and bars.

A quoted field may hold line ends, so a row is not a line. Pieces are cut between rows; a row of more than a
piece is cut anywhere. A quote inside an unquoted field is an ordinary character, as in ``5" pipe``; a quoted
field that never closes makes what follows one row, as the RFC has it.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from privacy_assets.scan.reading.encodings import Encoding, encoding_of
from privacy_assets.scan.reading.segments import SEGMENT, TextSegment
from privacy_assets.scan.reading.stream import Stream
from privacy_assets.scan.reading.walk import HEAD, Member, Piece, Walk
from privacy_assets.scan.text import Place

NAME = "a table as text"
_HINTS = {".csv": ",;\t|", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_UNHINTED = "\t,;|"
_ROWS_SEEN = 20
_MARKUP = ("{", "[", "<", "#!", "%")
# A header's cell is a name: it must not be a value, since it is stored with each finding.
_COLUMN = re.compile(r"[^\W\d][\w .\-/()#%&:]{0,63}")
_VALUE_LIKE = re.compile(r"\d{3}|@|\d\D+\d")
_DIGIT_OR_ADDRESS = re.compile(r"[\d@]")
_QUOTE, _NEWLINE, _RETURN = 34, 10, 13

Positions = NDArray[np.int64]


def recognise(head: bytes, name: str) -> bool:
    """By the name's suffix, or by as many delimiters in each of the first lines."""
    encoding = encoding_of(head)
    return encoding is not None and _layout(head, encoding, name) is not None


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:  # noqa: ARG001
    """The text as it is; places have a column and a row."""
    head = stream.peek(HEAD)
    encoding = encoding_of(head)
    layout = _layout(head, encoding, member.name) if encoding else None
    if encoding is None or layout is None:
        raise ValueError("no table")
    stream.fill(len(encoding.mark))
    offset, line, continues, carried = len(encoding.mark), 1, False, b""
    cell = Cell()
    while True:
        fresh = stream.fill(SEGMENT)
        raw = carried + fresh if carried else fresh
        if not raw:
            return
        whole = encoding.whole(raw) if fresh else len(raw)
        data = encoding.decode(raw[:whole])
        ends = layout.ends(data, cell)
        if fresh and len(ends):
            data, after = data[: ends[-1]], Cell(cell.row + len(ends))
            whole = encoding.length(data)
        else:
            after = layout.last(data, cell)
        if data:
            yield TableSegment(
                data,
                member.path,
                continues,
                encoding=encoding,
                offset=offset,
                line=line,
                layout=layout,
                start=cell,
                ends=ends,
            )
            continues = True
        carried, cell = raw[whole:], after
        offset += whole
        line += data.count(b"\n")


@dataclass(frozen=True)
class Cell:
    """Where in a table a piece begins: rows and columns count from 0, the header is a row here."""

    row: int = 0
    column: int = 0
    quoted: bool = False
    begun: bool = False
    """Whether some of the cell stands in the piece before."""


class Layout:
    """How a table is written: its delimiter, and the header's names if it has one."""

    def __init__(self, delimiter: str, names: tuple[str, ...] | None) -> None:
        self.delimiter = delimiter
        self.names = names
        mark = re.escape(delimiter).encode()
        inside = rb'[^"]*+(?:""[^"]*+)*+(?P<close>")?'
        plain = rb"[^" + mark + rb"\n]*+"
        quoted = rb'(?:"[^"]*+(?:""[^"]*+)*+"?+)?+'
        self._row = re.compile(rb"(?:" + quoted + plain + mark + rb")*+" + quoted + plain + rb"(\n|\Z)")
        rest = plain + rb"(?P<end>" + mark + rb"|\n|\Z)"
        self._cell = re.compile(rb'(?:(?P<open>")' + inside + rb")?" + rest)
        self._quoted_rest = re.compile(rb"(?P<open>)" + inside + rest)
        self._plain_rest = re.compile(rb"(?P<open>(?!))?(?P<close>(?!))?" + rest)

    def name(self, column: int) -> str:
        """What the column, from 0, is called."""
        if self.names is not None and column < len(self.names) and self.names[column]:
            return self.names[column]
        return f"column {column + 1}"

    def ends(self, data: bytes, start: Cell) -> Positions:
        """Where rows end in ``data``, after their newlines."""
        if start.column == 0 and not start.begun:
            array = np.frombuffer(data, dtype=np.uint8)
            newlines = np.flatnonzero(array == _NEWLINE)
            if b'"' not in data:
                return newlines + 1
            quotes = np.flatnonzero(array == _QUOTE)
            if self._regular(array, quotes):
                ends: Positions = newlines[np.searchsorted(quotes, newlines) % 2 == 0] + 1
                return ends
            return np.array([row.end() for row in self._row.finditer(data) if row[1]], dtype=np.int64)
        found = [end for cell, end in self._cells(data, start) if end and cell.column == 0]
        return np.array(found, dtype=np.int64)

    def last(self, data: bytes, start: Cell) -> Cell:
        """The cell in which ``data`` ends."""
        return [cell for cell, _ in self._cells(data, start)][-1]

    def _regular(self, array: NDArray[np.uint8], quotes: Positions) -> bool:
        """Whether every quote opens or closes a cell, or is one of a doubled pair."""
        beside = np.zeros(256, dtype=bool)
        beside[[ord(self.delimiter), _NEWLINE, _RETURN, _QUOTE]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        opening, closing = opening[opening > 0], closing[closing < len(array) - 1]
        return bool(beside[array[opening - 1]].all() and beside[array[closing + 1]].all())

    def _cells(self, data: bytes, start: Cell) -> Iterator[tuple[Cell, int]]:
        """After each cell, the next one and where it begins; at last, that in which ``data`` ends, and 0."""
        row, column, position = start.row, start.column, 0
        form = self._cell
        if start.begun:
            form = self._quoted_rest if start.quoted else self._plain_rest
        while match := form.match(data, position):
            if not match["end"]:
                quoted = match["open"] is not None and match["close"] is None
                begun = match.end() > position or (start.begun and position == 0)
                yield Cell(row, column, quoted, begun), 0
                return
            row, column = (row + 1, 0) if match["end"] == b"\n" else (row, column + 1)
            position, form = match.end(), self._cell
            yield Cell(row, column), position


class TableSegment(TextSegment):
    """A piece of a table, as it was written."""

    __slots__ = ("_ends", "_layout", "_start")

    def __init__(
        self,
        data: bytes,
        member: str,
        continues: bool,
        *,
        encoding: Encoding,
        offset: int,
        line: int,
        layout: Layout,
        start: Cell,
        ends: Positions,
    ) -> None:
        super().__init__(data, member, continues, encoding=encoding, offset=offset, line=line)
        self._layout = layout
        self._start = start
        self._ends = ends

    def place(self, start: int, end: int) -> Place:
        """The byte offset, line, column and row of ``data[start]``; the header is no row."""
        before = int(np.searchsorted(self._ends, start, side="right"))
        cell, begin = self._start, 0
        if before:
            cell, begin = Cell(self._start.row + before), int(self._ends[before - 1])
        cell = self._layout.last(self.data[begin:start], cell)
        row = cell.row + (0 if self._layout.names else 1)
        text = super().place(start, end)
        return text._replace(column=self._layout.name(cell.column), row=row or None)


def _layout(head: bytes, encoding: Encoding, name: str) -> Layout | None:
    """How the table that begins with ``head`` is written; None if it is none."""
    text = encoding.decode(head[len(encoding.mark) :][: encoding.whole(head[len(encoding.mark) :])]).decode(
        errors="replace"
    )
    hinted = _HINTS.get(PurePosixPath(name).suffix.lower())
    if not hinted and text.lstrip().startswith(_MARKUP):
        return None
    lines = text.splitlines(keepends=True)
    if len(head) == HEAD and len(lines) > 2:
        lines.pop()  # which may be torn
    best: tuple[float, str, list[list[str]]] | None = None
    for delimiter in hinted or _UNHINTED:
        rows = _first_rows(lines, delimiter)
        widths = [len(row) for row in rows]
        width = max(set(widths), key=widths.count, default=0)
        if width < 2 and not hinted:
            continue
        alike = widths.count(width) / len(widths) if width > 1 else 0.0
        # Without a hint, a comma or two in each of three lines may be chance.
        if not hinted and (alike < 1 or len(rows) < 3 or (width < 3 and delimiter != "\t")):
            continue
        if best is None or alike > best[0]:
            best = alike, delimiter, rows
    if best is None:
        return None
    _, delimiter, rows = best
    return Layout(delimiter, header(rows))


def _first_rows(lines: list[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with suppress(csv.Error):  # a NUL, or a field without end
        rows.extend(row for row in islice(csv.reader(lines, delimiter=delimiter), _ROWS_SEEN) if row)
    return rows


def header(rows: list[list[str]]) -> tuple[str, ...] | None:
    """The names in the first row; None if it may be values.

    They are names if all look like names and are distinct, and if some column holds digits or addresses
    below a name that has none. A table that is words throughout has no header as far as can be told.
    """
    if len(rows) < 2:
        return None
    names = [name.strip() for name in rows[0]]
    given = [name for name in names if name]
    if not given or len(set(given)) < len(given):
        return None
    if any(_COLUMN.fullmatch(name) is None or _VALUE_LIKE.search(name) for name in given):
        return None
    for index, name in enumerate(names):
        values = [row[index] for row in rows[1:] if index < len(row) and row[index]]
        telling = sum(bool(_DIGIT_OR_ADDRESS.search(value)) for value in values)
        if values and telling * 2 > len(values) and not _DIGIT_OR_ADDRESS.search(name):
            return tuple(names)
    return None
