"""Where literals stand: by Hyperscan, all in one pass; without it by one search a literal, with the same
answer."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

try:
    import hyperscan
except ImportError:  # no wheel for this machine: everything works, slower
    hyperscan = None  # type: ignore[assignment]


class Literal(NamedTuple):
    """A text to look for."""

    text: bytes
    ignore_case: bool


class Matcher(Protocol):
    """Finds the literals that it was made for."""

    def find(self, text: bytes) -> Iterable[tuple[int, int]]:
        """The number of each literal found and the byte where it ends; every place of every literal, in any
        order."""


class Searched:
    """One search a literal. Upper and lower case differ in ASCII only, as in Hyperscan."""

    def __init__(self, literals: Sequence[Literal]) -> None:
        self._literals = [
            (text.lower() if ignore_case else text, ignore_case) for text, ignore_case in literals
        ]
        self._any_folded = any(ignore_case for _, ignore_case in literals)

    def find(self, text: bytes) -> Iterable[tuple[int, int]]:
        folded = text.lower() if self._any_folded else text
        for number, (literal, ignore_case) in enumerate(self._literals):
            where = folded if ignore_case else text
            at = where.find(literal)
            while at >= 0:
                yield number, at + len(literal)
                at = where.find(literal, at + 1)


class Scanned:
    """All literals in one pass of Hyperscan. It holds the interpreter's lock: for two cores, use two
    processes."""

    def __init__(self, literals: Sequence[Literal]) -> None:
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=[literal.text for literal in literals],
            ids=list(range(len(literals))),
            elements=len(literals),
            flags=[hyperscan.HS_FLAG_CASELESS if literal.ignore_case else 0 for literal in literals],
            literal=True,
        )

    def find(self, text: bytes) -> Iterable[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        append = found.append
        # Ends alone: to know where a match starts costs Hyperscan most of its speed, and a literal's length
        # is known.
        self._database.scan(text, lambda number, _start, end, _flags, _context: append((number, end)))
        return found


class Nothing:
    """There are no literals: neither engine takes an empty list."""

    def find(self, _: bytes) -> Iterable[tuple[int, int]]:
        return ()


def matcher(literals: Sequence[Literal], *, native: bool | None = None) -> Matcher:
    """The fastest there is; ``native`` False is the slow one, True raises ImportError where Hyperscan is
    missing."""
    if native and hyperscan is None:
        raise ImportError("hyperscan is not installed, expected it for native=True")
    if not literals:
        return Nothing()
    return Searched(literals) if native is False or hyperscan is None else Scanned(literals)
