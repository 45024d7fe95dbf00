"""The forms of files in one shape: what a table of files needs to do with one, whatever it is."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from privacy_assets.dsar.files import lines, parquet
from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.needles import Needles
from privacy_assets.dsar.stores.protocol import Tally
from privacy_assets.dsar.stores.rules import Rules


class Form(Protocol):
    """How records are read from a file and how the file is written without some of them."""

    def records(self, source: BinaryIO, selection: Selection) -> Iterator[dict[str, Any]]:
        """The subject's records."""
        ...

    def rewrite(
        self, source: BinaryIO, target: BinaryIO, selection: Selection, rules: Rules, tally: Tally
    ) -> bool:
        """Write the file without what is to be erased, and count it; False when nothing is."""
        ...

    def mentions(self, source: BinaryIO, needles: Needles, left: Selection | None) -> bool:
        """Whether an identifier stands anywhere in it, but in the records of ``left``."""
        ...


class Parquet:
    """Parquet."""

    def records(self, source: BinaryIO, selection: Selection) -> Iterator[dict[str, Any]]:
        return parquet.records(source, selection)

    def rewrite(
        self, source: BinaryIO, target: BinaryIO, selection: Selection, rules: Rules, tally: Tally
    ) -> bool:
        return parquet.rewrite(source, target, selection, rules, tally)

    def mentions(self, source: BinaryIO, needles: Needles, left: Selection | None) -> bool:
        if left is None:
            source.seek(0)
            if needles.in_stream(source)[0]:  # statistics and pages without a codec
                return True
        return parquet.mentions(source, needles, left)


@dataclass(frozen=True)
class Lines:
    """JSON lines and CSV."""

    format: lines.Format

    def records(self, source: BinaryIO, selection: Selection) -> Iterator[dict[str, Any]]:
        return lines.records(source, self.format, selection)

    def rewrite(
        self, source: BinaryIO, target: BinaryIO, selection: Selection, rules: Rules, tally: Tally
    ) -> bool:
        return lines.rewrite(source, target, self.format, selection, rules, tally)

    def mentions(self, source: BinaryIO, needles: Needles, left: Selection | None) -> bool:
        if left is not None:
            return any(needles.within(piece) for piece in lines.others(source, self.format, left))
        with lines.opened(source) as stream:
            return needles.in_stream(stream)[0]


def size_of(source: BinaryIO) -> int:
    """How many bytes a file has."""
    return source.seek(0, io.SEEK_END)
