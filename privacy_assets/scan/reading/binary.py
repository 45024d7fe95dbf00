"""What is no text in any way we know: images, executables, databases.

Keys and addresses do stand in executables and cores, so the runs of printable ASCII in the first bytes are
matched, at their true offsets; it is told as ``BINARY`` and ``partly`` all the same, since compressed text,
UTF-16 and numbers in it go unseen.
"""

from collections.abc import Iterator

from privacy_assets.scan.reading.segments import SEGMENT, OffsetSegment
from privacy_assets.scan.reading.stream import Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.reading.zipped import LONGEST_END, appended
from privacy_assets.scan.text import Unread, Why

NAME = "binary data"
_PRINTABLE = bytes(byte if 32 <= byte < 127 or byte == 9 else 10 for byte in range(256))
_KINDS = (
    (b"\x7fELF", "an executable (ELF)"),
    (b"MZ", "an executable (PE)"),
    (b"\xca\xfe\xba\xbe", "compiled code"),
    (b"\x89PNG", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"II*\0", "an image (TIFF)"),
    (b"MM\0*", "an image (TIFF)"),
    (b"RIFF", "media (RIFF)"),
    (b"OggS", "media (Ogg)"),
    (b"ID3", "media (MP3)"),
    (b"\x1aE\xdf\xa3", "media (Matroska)"),
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a compound file (Office before 2007, Outlook)"),
    (b"Rar!\x1a\x07", "an archive (RAR)"),
    (b"\x1f\x9d", "compressed data (compress)"),
)


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """Everything: it is asked last."""
    return True


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The printable runs, the bytes between them as newlines."""
    head = stream.peek(16)
    if head[4:8] == b"ftyp":
        kind = "media (MPEG-4)"
    else:
        kind = next((kind for magic, kind in _KINDS if head.startswith(magic)), "no format that is known")
    offset, most = 0, walk.limits.binary
    while offset < most and (raw := stream.fill(min(SEGMENT, most - offset))):
        yield OffsetSegment(raw.translate(_PRINTABLE), member.path, offset > 0, offset)
        offset += len(raw)
    if stream.seekable():
        stream.seek(max(0, stream.size() - LONGEST_END))
        yield from appended(stream, stream.fill(LONGEST_END), member, walk)
    searched = f"printable ASCII in the first {offset} bytes was searched" if most else "not searched"
    yield Unread(member.path, Why.BINARY, f"{kind}; {searched}", offset > 0)
