"""Characters that are spelled out are found, at the place where they are written."""

import html
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from privacy_assets.scan.reading import escapes
from privacy_assets.scan.reading.segments import SEGMENT
from privacy_assets.scan.text import Place
from tests.scan.reading.objects import VALUE, Forward, seen

ADDRESS = "jane@example.com"


@pytest.mark.parametrize(
    ("written", "value", "place", "form"),
    [
        ('{"a": "x\\n078-05-1120"}', VALUE, Place(10, line=1), VALUE),
        ('{"a": "\\\\ x\\t078-05-1120"}', VALUE, Place(12, line=1), VALUE),
        ('{"a":\n "jane\\u0040example.com"}', ADDRESS, Place(8, line=2), "jane\\u0040example.com"),
        ('{"a": "\\/", "b": "\\u0041b\\/cd\\/ef"}', "Ab/cd/ef", Place(18, line=1), "\\u0041b\\/cd\\/ef"),
        ('2026 INFO {"msg": "{\\"a\\": \\"x\\\\n078-05-1120\\"}"}', VALUE, Place(34, line=1), VALUE),
        ("GET /?user=jane%40example.com", ADDRESS, Place(11, line=1), "jane%40example.com"),
        ("GET /?x=ssn%3D078-05-1120%26y", VALUE, Place(14, line=1), VALUE),
        ("GET /?x=%2278%2D05%2D1120%22%20078%2d05%2D1120", VALUE, Place(31, line=1), "078%2d05%2D1120"),
        ('print("a\\t078-05-1120\\n%")', VALUE, Place(10, line=1), VALUE),
        ("no 078\u201105\u20131120", VALUE, Place(3, line=1), "078\u201105\u20131120"),
        ("<a href='mailto:jane&#64;example.com'>", ADDRESS, Place(16, line=1), "jane&#64;example.com"),
        (
            "<p>&auml;\njane&#x40;example&period;com",
            ADDRESS,
            Place(10, line=2),
            "jane&#x40;example&period;com",
        ),
        ("<p>&nbsp;078&#45;05&#45;1120&#10;</p>", VALUE, Place(9, line=1), "078&#45;05&#45;1120"),
        ("<p>078&#8209;05&ndash;1120</p>", VALUE, Place(3, line=1), "078&#8209;05&ndash;1120"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_found_where_it_is_written(written: str, value: str, place: Place, form: str, encoding: str) -> None:
    content = written.encode(encoding)
    width = len(content) // len(written)
    result = seen(content, value=value)
    offset = written.find(value) if value in written else place.byte_offset
    assert result.place._replace(length=None) == place._replace(byte_offset=offset * width)
    length = result.place.length or len(value)
    assert content[offset * width : offset * width + length].decode(encoding) == form


def test_a_directory_is_no_line_end() -> None:
    written = json.dumps({"path": "C:\\new\\temp\\" + VALUE})
    assert b"\\\\new\\\\temp" in seen(written.encode()).texts[""]


def test_text_of_no_kind_is_left_alone() -> None:
    content = b"C:\\new\\u0041 &amp; 100% a%20b %2F123\n"
    assert seen(content).texts == {"": content}


@pytest.mark.parametrize("shift", range(12))
def test_an_escape_is_not_torn(shift: int) -> None:
    before = '["' + "x" * (SEGMENT - 10 + shift)
    result = seen(Forward((before + 'jane\\u0040example.com"]').encode()), value="@example.com")
    assert result.place == Place(len(before) + 4, line=1, length=len("\\u0040example.com"))


@given(st.text(st.sampled_from('ab\\/"\n\t\u00e9@<\x01\U0001f642')), st.booleans())
def test_json_strings_have_no_escape_left_that_hides(text: str, ascii_only: bool) -> None:
    written = json.dumps([text], ensure_ascii=ascii_only).encode()
    plain, moves = escapes.json(written)
    assert b"\\/" not in plain.replace(b"\\\\", b"")
    for position in range(len(plain)):
        origin = moves.origin(position) if moves else position
        unchanged = plain[position : position + 1] == written[origin : origin + 1]
        assert unchanged or b"\\" in written[max(0, origin - 6) : origin + 1]


@given(st.text(st.sampled_from("ab<>&;'#\u00e4 ")))
def test_markup_is_unescaped(text: str) -> None:
    assert escapes.markup(html.escape(text).encode())[0].decode() == text or "&" in text


@given(st.text(st.sampled_from("a\\u004n&#x;%2D(1\u2011\xa0"), max_size=30), st.integers(0, 30))
@example("%3D123", 3)
@example("%3D(123", 4)
@example("123%3D", 4)
@example("%20%281", 4)
def test_cutting_changes_nothing(text: str, at: int) -> None:
    data = text.encode()
    at = len(text[:at].encode())
    cut = escapes.untorn(data[:at])
    for undone in (escapes.json, escapes.strings, escapes.markup):
        assert undone(data)[0].startswith(undone(data[:cut])[0]) or cut == at
