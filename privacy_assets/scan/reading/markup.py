"""XML read as a stream, for what is XML under its skin: the parts of office documents.

Entities are refused where they are declared, so that none expands; a token that has no end is given up at the
memory limit. Nothing outside the part is ever fetched.
"""

from collections.abc import Callable, Iterator
from xml.parsers import expat

from privacy_assets.scan.reading.stream import CHUNK, Stop, Stream
from privacy_assets.scan.text import Why

Attributes = dict[str, str]


class Parser:
    """One XML document, whose elements are told by their local names."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._pending = 0
        self._expat = expat.ParserCreate(namespace_separator="}")
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text
        self._expat.EntityDeclHandler = self._entity
        self.on_start: Callable[[str, Attributes], None] = _ignore
        self.on_end: Callable[[str], None] = _ignore
        self.on_text: Callable[[str], None] = _ignore

    def feed(self, stream: Stream) -> Iterator[bool]:
        """Reads ``stream``; after each piece, says whether it was the last.

        Raises Stop and whatever the handlers raise, after it gave way for the last time: what was read before
        is to be kept.
        """
        try:
            for chunk in stream.chunks(CHUNK // 4):
                self._parse(chunk, False)
                yield False
            self._parse(b"", True)
        except Exception:
            yield True
            raise
        yield True

    def _parse(self, chunk: bytes, final: bool) -> None:
        try:
            self._expat.Parse(chunk, final)
        except expat.ExpatError as error:
            raise Stop(Why.BROKEN, f"XML is damaged: {expat.ErrorString(error.code)}") from error
        self._pending += len(chunk)
        if self._pending > self._memory:
            raise Stop(Why.EXPANDS_TOO_MUCH, f"XML with a token of more than {self._memory} bytes")

    def _start(self, name: str, attributes: Attributes) -> None:
        self._pending = 0
        self.on_start(_local(name), {_local(key): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._pending = 0
        self.on_end(_local(name))

    def _text(self, text: str) -> None:
        self._pending = 0
        self.on_text(text)

    def _entity(self, *_: object) -> None:
        raise Stop(Why.EXPANDS_TOO_MUCH, "XML that declares entities, which may expand without end")


def _ignore(*_: object) -> None:
    """What nobody asked for."""


def _local(name: str) -> str:
    return name.rpartition("}")[2]
