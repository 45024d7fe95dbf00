"""Tar archives, read in order: ustar, pax, GNU, and the old ones that have a checksum and no magic number.

The standard library's reader ends silently at a damaged header; here that is told.
"""

import tarfile
from collections.abc import Iterator
from typing import IO, Self, cast

from privacy_assets.scan.reading.stream import CHUNK, Raw, Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Why

NAME = "a tar archive"
_BLOCK = 512
_LONGEST_NAME = 1024 * 1024
_METADATA = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the first header's checksum, which chance fulfils once in 2^18."""
    try:
        return bool(tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape").name)
    except (tarfile.HeaderError, ValueError):
        return False


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The files, each as what it is; directories, links and devices hold nothing."""
    source = cast("IO[bytes]", stream)
    with tarfile.open(fileobj=source, mode="r|", tarinfo=_Header, errors="replace") as archive:
        assert archive.fileobj is not None
        while (header := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it keeps all headers, which nobody needs
            if header.issparse() and (file := archive.extractfile(header)) is not None:
                yield from walk.read(_Sparse(file, walk), member.inside(header.name))
            elif header.isreg():
                yield from walk.read(_File(archive.fileobj, header.size), member.inside(header.name))
        while data := archive.fileobj.read(CHUNK):
            if data.strip(b"\0"):
                raise Stop(Why.BROKEN, "something else follows the end of the tar archive")


class _Header(tarfile.TarInfo):
    """A header that is whole, or a Stop."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the regular end; its class is undocumented
                raise
            raise Stop(Why.BROKEN, "a header of the tar archive is damaged or missing") from error

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        if self.type in _METADATA and self.size > _LONGEST_NAME:
            raise Stop(Why.EXPANDS_TOO_MUCH, f"a name or header of more than {_LONGEST_NAME} bytes")
        return cast("Self", super()._proc_member(archive))  # type: ignore[misc]


class _File:
    """One file, which is next in the archive."""

    def __init__(self, archive: Raw, size: int) -> None:
        self._archive = archive
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes. Raises Stop(BROKEN) where the archive breaks off."""
        data = self._archive.read(min(size, self._left))
        self._left -= len(data)
        if not data and self._left and size:
            raise Stop(Why.BROKEN, "the tar archive breaks off in this file")
        return data


class _Sparse:
    """A file with holes, which take no space in the archive: as anything that expands, they are counted."""

    def __init__(self, file: IO[bytes], walk: Walk) -> None:
        self._file = file
        self._walk = walk

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes. Raises Stop(BROKEN) where the archive breaks off."""
        try:
            data = self._file.read(size)
        except tarfile.TarError as error:
            raise Stop(Why.BROKEN, "the tar archive breaks off in this file") from error
        self._walk.expand(len(data))
        return data
