"""PDF (ISO 32000): the text of pages, notes on them, form fields, properties, attached files.

Each page is a member, ``page 3``. A page that shows images or drawings alone has no text to read, which is
told. pypdf bounds what a stream may expand to; the time is asked at each operator of a page, so that reading
one page's structure and decompressing it is all that can't be interrupted. A PDF that needs no password to be
read is read; one that does is ``ENCRYPTED``.
"""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pypdf
from pypdf.errors import LimitReachedError
from pypdf.generic import DictionaryObject

from privacy_assets.scan.reading.encodings import encoding_of
from privacy_assets.scan.reading.segments import text_segments
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.reading.zipped import LONGEST_END, appended
from privacy_assets.scan.text import Unread, Why

NAME = "a PDF"
_MAGIC = b"%PDF-"
_PAGES_TOLD = 10

# Its warnings quote what is wrong in a file, which may be anybody's data.
logging.getLogger("pypdf").propagate = False
logging.getLogger("pypdf").addHandler(logging.NullHandler())


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By its header, which may stand somewhat later (ISO 32000-1 Annex H, note 13)."""
    return head.startswith(_MAGIC) or (_MAGIC in head[:1024] and encoding_of(head) is None)


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The pages in their order, then what belongs to the whole."""
    with walk.seekable(stream) as file:
        document = pypdf.PdfReader(io.BufferedReader(file), strict=False)
        if document.is_encrypted and not _opens(document):
            raise Stop(Why.ENCRYPTED, "the PDF needs a password")
        without_text: list[int] = []
        for number, page in enumerate(document.pages, 1):
            walk.clock.check()
            place = member.inside(f"page {number}")
            try:
                text = _page(page, walk)
            except Stop:
                raise
            except Exception as error:  # noqa: BLE001  # the next page may be whole
                file.raise_failure()
                yield _lost(place, error)
                continue
            if not text.strip() and _shows_something(page):
                without_text.append(number)
            yield from text_segments(text, place.path)
        yield from _whole(document, member, walk)
        if without_text:
            yield Unread(member.path, Why.UNSUPPORTED, _told(without_text), True)
        if not len(document.pages):
            yield Unread(member.path, Why.BROKEN, "the PDF has no pages that can be found", True)
        file.seek(max(0, file.size() - LONGEST_END))
        yield from appended(file, file.fill(LONGEST_END), member, walk)


def _opens(document: pypdf.PdfReader) -> bool:
    """Whether the empty password opens it, as it does where only printing or copying is denied."""
    try:
        return bool(document.decrypt(""))
    except Exception as error:
        raise Stop(Why.ENCRYPTED, "the PDF is encrypted in a way that can't be read") from error


def _page(page: pypdf.PageObject, walk: Walk) -> str:
    """The text of a page, then that of the notes and fields on it."""
    parts = [page.extract_text(visitor_operand_before=lambda *_: walk.clock.check())]
    for reference in page.get("/Annots") or ():
        note = reference.get_object()
        if isinstance(note, DictionaryObject):
            action = note.get("/A")
            action = action.get_object() if action is not None else None
            parts += _strings(note, ("/Contents", "/V", "/DV", "/T", "/TU", "/Subj", "/RC"))
            parts += _strings(action, ("/URI", "/JS")) if isinstance(action, DictionaryObject) else []
    text = "\n".join(part for part in parts if part)
    walk.expand(len(text))
    return text


def _whole(document: pypdf.PdfReader, member: Member, walk: Walk) -> Iterator[Piece]:
    """Properties, metadata, attached files."""
    try:
        properties = document.metadata
        lines = _strings(properties, tuple(properties)) if properties else []
        metadata = document.root_object.get("/Metadata")
        packet = metadata.get_object().get_data() if metadata is not None else b""
    except Exception as error:  # noqa: BLE001  # the attached files may be whole
        walk.raise_failure()
        yield _lost(member.inside("properties"), error)
    else:
        yield from text_segments("\n".join(lines), member.inside("properties").path)
        if packet:
            yield from walk.read(io.BytesIO(packet), member.inside("metadata.xml"))
    for attached in document.attachment_list:
        yield from walk.read(_Attached(attached), member.inside(attached.name))


class _Attached:
    """An attached file, decompressed when it is asked for."""

    def __init__(self, attached: Any) -> None:
        self._attached = attached
        self._content: io.BytesIO | None = None

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes. Raises Stop if the file can't be had."""
        if self._content is None:
            try:
                self._content = io.BytesIO(self._attached.content)
            except Exception as error:
                raise Stop(_why(error), f"the attached file can't be read: {type(error).__name__}") from error
        return self._content.read(size)


def _strings(dictionary: DictionaryObject, keys: tuple[str, ...]) -> list[str]:
    values = (dictionary.get(key) for key in keys)
    found = (value.get_object() for value in values if value is not None)
    return [str(value) for value in found if isinstance(value, str)]


def _shows_something(page: pypdf.PageObject) -> bool:
    """Whether a page without text is other than blank."""
    try:
        contents = page.get_contents()
        return contents is not None and bool(contents.get_data().strip())
    except Exception:  # noqa: BLE001  # what can't be understood may show anything
        return True


def _why(error: Exception) -> Why:
    return Why.EXPANDS_TOO_MUCH if isinstance(error, LimitReachedError | MemoryError) else Why.BROKEN


def _lost(place: Member, error: Exception) -> Unread:
    return Unread(place.path, _why(error), f"can't be read: {type(error).__name__}")


def _told(pages: list[int]) -> str:
    shown = ", ".join(map(str, pages[:_PAGES_TOLD]))
    more = f" and {len(pages) - _PAGES_TOLD} more" if len(pages) > _PAGES_TOLD else ""
    return f"pages that show something other than text, which is not read: {shown}{more}"
