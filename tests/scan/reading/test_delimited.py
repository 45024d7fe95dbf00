"""Tables as text: the row and column of a value, whatever is quoted."""

import csv
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_assets.scan.reading.delimited import Cell, Layout
from privacy_assets.scan.reading.segments import SEGMENT
from privacy_assets.scan.text import Place
from tests.scan.reading.objects import VALUE, Forward, seen

ROWS = [["id", "name", "note", "ssn"], ["1", "Ann", 'two\nlines, "quoted"', "x"], ["2", "Bo", "", VALUE]]


def written(rows: list[list[str]], delimiter: str = ",", **options: object) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, **options).writerows(rows)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "delimiter"), [("a.csv", ","), ("a.CSV", ";"), ("a.tsv", "\t"), ("a.psv", "|"), ("part-0", ",")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_row_and_column(name: str, delimiter: str, encoding: str) -> None:
    text = written(ROWS, delimiter)
    content = text.encode(encoding)
    result = seen(Forward(content), name)
    assert result.texts == {"": text.encode()}
    place = Place(len(text.partition(VALUE)[0].encode(encoding)), line=4, column="ssn", row=2)
    assert result.place._replace(length=None) == place


def test_without_a_header_columns_are_counted() -> None:
    text = written(
        [["Jane Doe", "jane@example.com", "a"], ["Bo Li", VALUE, "b"], ["X Y", "z@example.com", "c"]]
    )
    assert seen(text.encode(), "a.csv").place == Place(text.index(VALUE), line=2, column="column 2", row=2)


def test_words_alone_are_no_header() -> None:
    text = written([["Jane", "Berlin"], ["Bo", "Bonn"], ["Al", VALUE]])
    assert seen(text.encode(), "a.csv").place.column == "column 2"


def test_a_value_in_the_header_is_not_its_name() -> None:
    text = written([["id", VALUE], ["1", "2"]])
    assert seen(text.encode(), "a.csv").place == Place(3, line=1, column="column 2", row=1)


@pytest.mark.parametrize(
    "content", ['{"a": 1, "b": 2, "c": 3}\n', "one, two and three\nfour\nfive, six\n", "a,b\nc,d\ne,f\n"]
)
def test_what_is_no_table(content: str) -> None:
    assert seen((content + VALUE + "\n").encode() * 3).places[0][1].column is None


def test_json_lines_are_no_table() -> None:
    content = ('{"a": 1, "b": "' + VALUE + '", "c": 3}\n') * 3
    assert all(place.column is None for _, place in seen(content.encode()).places)


def test_a_quote_in_an_unquoted_field() -> None:
    content = f'id,size,ssn\n1,5" pipe,x\n2,3",{VALUE}\n3,4" x,y\n'
    assert seen(content.encode(), "a.csv").place == Place(content.index(VALUE), line=3, column="ssn", row=2)


def test_many_pieces() -> None:
    chance = random.Random(3)
    rows = [["id", "note", "ssn"]]
    expected = []
    for number in range(60_000):
        planted = number % 977 == 0
        note = chance.choice(
            ["plain", "with, comma", 'a "quote"', "line\nline", "", "a\n\n\nb"]
        ) * chance.randrange(9)
        rows.append([str(number), note, VALUE if planted else "none"])
        if planted:
            expected.append(number + 1)
    content = written(rows).encode()
    assert len(content) > 3 * SEGMENT // 2
    result = seen(Forward(content), "a.csv")
    assert result.texts == {"": content}
    assert [place.row for _, place in result.places] == expected
    for _, place in result.places:
        assert place.column == "ssn"
        assert content[place.byte_offset :].startswith(VALUE.encode())
        assert place.line == content[: place.byte_offset].count(b"\n") + 1


@pytest.mark.parametrize("quote", ["", '"'])
def test_an_endless_row(quote: str) -> None:
    content = ("id,long,ssn\n1," + quote + "ab, " * (SEGMENT // 2) + quote + "," + VALUE + "\n").encode()
    result = seen(content, "a.csv")
    assert result.texts == {"": content}
    expected = "ssn" if quote else f"column {SEGMENT // 2 + 3}"
    assert (result.place.column, result.place.row) == (expected, 1)


_CELLS = st.text(st.sampled_from('ab,"\n x'), max_size=6)


@given(st.lists(st.lists(_CELLS, min_size=2, max_size=4), min_size=1, max_size=6), st.booleans())
def test_cells_are_those_of_the_csv_module(rows: list[list[str]], everything: bool) -> None:
    text = written(rows, lineterminator="\n", quoting=csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL)
    data = text.encode()
    layout = Layout(",", None)
    assert len(layout.ends(data, Cell())) == len(rows)
    cells = [cell for cell, _ in layout._cells(data, Cell())]
    assert [(cell.row, cell.column) for cell in cells] == [
        *(
            (index, column) if column < len(row) else (index + 1, 0)
            for index, row in enumerate(rows)
            for column in range(1, len(row) + 1)
        ),
        (len(rows), 0),
    ]


@given(st.text(st.sampled_from('ab,"\n'), max_size=40))
def test_the_quick_way_finds_the_same_rows(text: str) -> None:
    data, layout = text.encode(), Layout(",", None)
    slow = [end for cell, end in layout._cells(data, Cell()) if end and cell.column == 0]
    assert list(layout.ends(data, Cell())) == slow


@given(st.text(st.sampled_from('ab,"\n'), max_size=40), st.integers(0, 40))
def test_a_cut_row_goes_on(text: str, at: int) -> None:
    first, second = text.encode()[:at], text.encode()[at:]
    if first.endswith(b'"') or second.startswith(b'"'):
        return  # a doubled quote may be torn, in rows of more than a piece alone
    layout = Layout(",", None)
    whole, torn = layout.last(first + second, Cell()), layout.last(second, layout.last(first, Cell()))
    assert (whole.row, whole.column) == (torn.row, torn.column)
