"""Text in every encoding, and the way back from a match to its byte."""

import codecs
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_assets.scan.reading import Limits, read
from privacy_assets.scan.reading.encodings import encoding_of, utf8, utf16, utf32, windows_1252
from privacy_assets.scan.reading.segments import SEGMENT
from privacy_assets.scan.text import Place, Unread, Why
from tests.scan.reading.objects import VALUE, Forward, seen

LETTER = f"Müller schrieb am ersten Mai:\nliebe Grüße, {VALUE} — «ой» 🙂\nEnde\n"
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_unicode(encoding: str) -> None:
    content = LETTER.encode(encoding)
    result = seen(content)
    assert result.texts == {"": LETTER.encode()}
    assert not result.unread
    place = result.place
    assert place._replace(length=None) == Place(len(LETTER.partition(VALUE)[0].encode(encoding)), line=2)
    width = 4 if "32" in encoding else 2 if "16" in encoding else 1
    assert (place.length or len(VALUE)) == width * len(VALUE)


def test_utf16_of_a_script_without_ascii() -> None:
    poem = "春眠暁を覚えず、処処啼鳥を聞く。夜来風雨の声、花落つること知る多少。\n" * 5
    assert seen(poem.encode("utf-16-le")).texts == {"": poem.encode()}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_one_byte_a_character(encoding: str) -> None:
    content = f"Jürgen: {VALUE}\n".encode(encoding)
    result = seen(content)
    assert result.texts == {"": f"Jürgen: {VALUE}\n".encode()}
    assert result.place == Place(8, line=1)


def test_windows_quotes_and_undefined_bytes() -> None:
    assert seen(b"\x93gar\xe7on\x94 \x81 " + VALUE.encode()).texts == {
        "": "“garçon” \x81 ".encode() + VALUE.encode()
    }


def test_empty() -> None:
    result = seen(b"")
    assert (result.texts, result.unread, result.members) == ({}, [], 1)


def test_only_a_byte_order_mark() -> None:
    assert not seen(codecs.BOM_UTF8).texts


def test_a_line_may_be_endless() -> None:
    content = b"x" * (3 * SEGMENT + 17) + VALUE.encode()
    result = seen(Forward(content))
    assert result.texts == {"": content}
    assert result.place == Place(3 * SEGMENT + 17, line=1)


def test_malformed_utf8_is_handed_on_as_it_is() -> None:
    content = b"ok \xc3\xa4\n" * 20000 + b"\xff\xfe\xc3" + VALUE.encode()
    result = seen(content)
    assert result.texts == {"": content}
    assert result.place == Place(20000 * 6 + 3, line=20001)


def test_a_hole_of_zeros_is_no_binary_data() -> None:
    content = b"line\n" * 40000 + b"\0" * 5000 + VALUE.encode() + b" more\n" * 1000
    result = seen(content)
    assert not result.unread
    assert result.place.byte_offset == 205000


def test_text_that_turns_binary_is_read_and_told() -> None:
    content = b"#!/bin/sh\n" * 9000 + bytes(range(256)) * 40 + VALUE.encode()
    result = seen(content)
    assert result.places
    assert [(one.why, one.partly) for one in result.unread] == [(Why.BINARY, True)]
    assert "byte 90000" in result.unread[0].detail


def test_binary_is_told_and_its_ascii_is_read() -> None:
    content = b"\x7fELF" + bytes(range(256)) * 10 + b"\0" + VALUE.encode() + b"\0\xff\xff"
    result = seen(content)
    assert result.place == Place(content.index(VALUE.encode()))
    assert result.unread == [
        Unread(
            "",
            Why.BINARY,
            f"an executable (ELF); printable ASCII in the first {len(content)} bytes was searched",
            True,
        )
    ]


def test_utf16_in_binary_data_is_read() -> None:
    content = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(range(256)) * 9
        + f"a {VALUE}".encode("utf-16-le")
        + b"\xff" * 99
    )
    result = seen(content, "a.doc")
    assert result.place == Place(8 + 256 * 9 + 4, length=2 * len(VALUE))
    assert result.whys == {"": Why.BINARY}
    result = seen(Forward(content))
    assert result.places


def test_an_encrypted_office_document() -> None:
    content = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(5000)
        + "EncryptedPackage".encode("utf-16-le")
        + bytes(500)
    )
    assert seen(content, "a.docx").whys == {"": Why.ENCRYPTED}


def test_binary_beyond_the_limit_is_left() -> None:
    content = bytes(range(256)) * 10
    assert seen(content, limits=Limits(binary=256)).text_bytes == 256
    (unread,) = seen(content, limits=Limits(binary=0)).unread
    assert (unread.why, unread.partly) == (Why.BINARY, False)


def test_what_the_source_raises_passes_unchanged() -> None:
    gone = FileNotFoundError("NoSuchKey")
    with pytest.raises(FileNotFoundError) as raised:
        seen(Forward(b"text\n" * 1000, failure=gone))
    assert raised.value is gone


def test_time_is_asked_between_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    reading = read(io.BytesIO(b"text\n" * 10**6), "", Limits(seconds=10))
    assert not isinstance(next(reading), Unread)
    now = 11.0
    (unread,) = list(reading)
    assert isinstance(unread, Unread)
    assert (unread.why, unread.partly) == (Why.TOO_LONG, True)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    _TEXTS, st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]), st.integers(1, 9)
)
def test_wherever_it_is_cut_nothing_is_torn(text: str, codec: str, size: int) -> None:
    encoding = {"utf-8": utf8, "utf-1": utf16, "utf-3": utf32}[codec[:5]]
    chosen = encoding() if codec == "utf-8" else encoding(codec[-2:])  # type: ignore[operator]
    content = text.encode(codec)
    data, carried, offset = b"", b"", 0
    for at in range(0, len(content), size):
        raw = carried + content[at : at + size]
        whole = chosen.whole(raw)
        assert len(raw) - whole < 4
        piece = chosen.decode(raw[:whole])
        for position in range(len(piece.decode()) + 1):
            before = piece.decode()[:position].encode()
            assert content[offset : offset + chosen.length(before)].decode(codec) == before.decode()
        data, carried, offset = data + piece, raw[whole:], offset + whole
    assert not carried
    assert data == text.encode()


@given(
    st.binary(max_size=80),
    st.sampled_from([utf16("le"), utf16("be"), utf32("le"), utf32("be"), windows_1252()]),
)
def test_malformed_input_keeps_its_offsets(content: bytes, encoding: object) -> None:
    chosen = encoding
    assert isinstance(chosen, type(utf8()))
    whole = content[: chosen.whole(content)]
    data = chosen.decode(whole)
    assert chosen.length(data) == len(whole)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_told(content: bytes) -> None:
    result = seen(content)
    assert result.text_bytes or result.unread or not content or encoding_of(content) is not None


def test_memory_does_not_grow_with_the_object() -> None:
    class Endless(Forward):
        left = 300 * 1024 * 1024

        def read(self, size: int = -1) -> bytes:
            data = b"a line of text\n" * (min(size, self.left, 150_000) // 15)
            self.left -= len(data)
            return data

    tracemalloc.start()
    total = sum(len(piece.data) for piece in read(Endless(b""), "") if not isinstance(piece, Unread))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 299 * 1024 * 1024
    assert peak < 10 * 1024 * 1024
