"""What is no text in any way we know: images, executables, databases.

Keys and addresses do stand in executables, cores and old Office files, so the runs of printable ASCII in the
first bytes are matched at their true offsets, and the same runs in UTF-16. It is told as ``BINARY`` and
``partly`` all the same, since compressed text, other alphabets and numbers in it go unseen.
"""

import re
from collections.abc import Iterator

from privacy_assets.scan.reading.segments import SEGMENT, OffsetSegment, WideSegment
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.reading.zipped import LONGEST_END, appended
from privacy_assets.scan.text import Unread, Why

NAME = "binary data"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_WIDE_RUN = re.compile(rb"(?:[\t -~]\0){6,}")
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
    (b"Rar!\x1a\x07", "an archive (RAR)"),
    (b"\x1f\x9d", "compressed data (compress)"),
)


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """Everything: it is asked last."""
    return True


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The printable runs, the bytes between them as newlines; then those in UTF-16, a run a line."""
    head = stream.peek(16)
    if head.startswith(_COMPOUND):
        with walk.seekable(stream) as file:
            if _holds_encrypted_package(file, walk.limits.memory):
                raise Stop(Why.ENCRYPTED, "the office document needs a password")
            file.seek(0)
            yield from _runs(file, member, walk, "a compound file (Office before 2007, Outlook)")
        return
    if head[4:8] == b"ftyp":
        kind = "media (MPEG-4)"
    else:
        kind = next((kind for magic, kind in _KINDS if head.startswith(magic)), "no format that is known")
    yield from _runs(stream, member, walk, kind)


def _runs(stream: Stream, member: Member, walk: Walk, kind: str) -> Iterator[Piece]:
    offset, most, continues = 0, walk.limits.binary, False
    while offset < most and (raw := stream.fill(min(SEGMENT, most - offset))):
        yield OffsetSegment(raw.translate(_PRINTABLE), member.path, continues, offset)
        wide = list(_WIDE_RUN.finditer(raw))
        if wide:
            yield WideSegment(raw, [run.span() for run in wide], member.path, offset)
        offset += len(raw)
        continues = not wide
    if stream.seekable():
        stream.seek(max(0, stream.size() - LONGEST_END))
        yield from appended(stream, stream.fill(LONGEST_END), member, walk)
    searched = f"printable ASCII in the first {offset} bytes was searched" if most else "not searched"
    yield Unread(member.path, Why.BINARY, f"{kind}; {searched}", offset > 0)


def _holds_encrypted_package(file: Stream, most: int) -> bool:
    """Whether a compound file is an encrypted office document: by a stream's name ([MS-OFFCRYPTO] §2.3.1)."""
    before = b""
    for chunk in file.chunks(SEGMENT):
        if _PACKAGE in before + chunk:
            return True
        before = chunk[-len(_PACKAGE) :]
        most -= len(chunk)
        if most < 0:
            return False
    return False
