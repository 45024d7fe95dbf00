"""The tree as tiles, and entries as bundles: https://c2sp.org/tlog-tiles.

A tile holds up to 256 hashes of one level, a bundle the entries under a tile of level 0. Full ones never
change; the last of each level is partial and named by its width.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from privacy_assets.ledger import merkle

WIDTH = 256
ENTRIES = "entries"
LONGEST_ENTRY = 0xFFFF
"""An entry's length is a uint16."""

Read = Callable[[str], bytes]
"""An object of the log by its path. Raises FileNotFoundError."""


class BundleError(ValueError):
    """Bytes that are no bundle of entries, or no tile of hashes."""


def path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Where a tile is; ``level`` is ``entries`` for bundles.

    >>> path(0, 1234067), path("entries", 3, 17)
    ('tile/0/x001/x234/067', 'tile/entries/003.p/17')
    """
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    return f"tile/{level}/{number}" + (f".p/{width}" if width < WIDTH else "")


def layout(size: int) -> Iterator[tuple[int | str, int, int]]:
    """Level, index and width of each bundle and tile of a log of ``size`` entries."""
    for level in (ENTRIES, *range(64)):
        hashes = size >> (8 * level) if isinstance(level, int) else size
        if not hashes:
            return
        for index in range(-(-hashes // WIDTH)):
            yield level, index, min(WIDTH, hashes - index * WIDTH)


def encode(entries: Iterable[bytes]) -> bytes:
    """A bundle. Raises BundleError for an entry that is too long."""
    found = bytearray()
    for entry in entries:
        if len(entry) > LONGEST_ENTRY:
            raise BundleError(f"an entry of {len(entry)} bytes, expected at most {LONGEST_ENTRY}")
        found += struct.pack(">H", len(entry)) + entry
    return bytes(found)


def decode(bundle: bytes) -> list[bytes]:
    """The entries of a bundle. Raises BundleError."""
    entries, at, size = [], 0, len(bundle)
    while at < size:
        end = at + 2 + (bundle[at] << 8) + (bundle[at + 1] if at + 1 < size else 0)
        if at + 2 > size or end > size:
            raise BundleError("ends within an entry")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile. Raises BundleError."""
    if len(tile) % merkle.HASH_SIZE:
        raise BundleError(f"{len(tile)} bytes, expected hashes of {merkle.HASH_SIZE}")
    return [tile[at : at + merkle.HASH_SIZE] for at in range(0, len(tile), merkle.HASH_SIZE)]


class Edge:
    """The right edge of a log: all that is needed to add entries to it.

    It is the last partial bundle and the partial tile of each level, at most 255 entries and 255 hashes a
    level.
    """

    def __init__(self) -> None:
        self.size = 0
        self._entries: list[bytes] = []
        self._levels: list[list[bytes]] = []

    @classmethod
    def load(cls, size: int, read: Read) -> "Edge":
        """The edge of a log of ``size`` entries. Raises FileNotFoundError and BundleError."""
        edge = cls()
        edge.size = size
        width = size % WIDTH
        if width:
            edge._entries = decode(read(path(ENTRIES, size // WIDTH, width)))
        level = 0
        while size >> (8 * level):
            hashes = size >> (8 * level)
            width = hashes % WIDTH
            edge._levels.append(split(read(path(level, hashes // WIDTH, width))) if width else [])
            if len(edge._levels[-1]) != width:
                raise BundleError(f"level {level}: {len(edge._levels[-1])} hashes, expected {width}")
            level += 1
        if merkle.leaf_hashes(edge._entries) != (edge._levels[0] if edge._levels else []):
            raise BundleError("the last entries are not those of their tile")
        return edge

    def copy(self) -> "Edge":
        """One that can be added to while this stays."""
        edge = Edge()
        edge.size, edge._entries = self.size, list(self._entries)
        edge._levels = [list(level) for level in self._levels]
        return edge

    def add(self, entries: Sequence[bytes]) -> dict[str, bytes]:
        """Add entries; the bundles and tiles that are full by it, by path."""
        full: dict[str, bytes] = {}
        at = 0
        while at < len(entries):
            part = entries[at : at + WIDTH - len(self._entries)]
            at += len(part)
            self.size += len(part)
            self._entries += part
            self._push(0, merkle.leaf_hashes(part), full)
            if len(self._entries) == WIDTH:
                full[path(ENTRIES, self.size // WIDTH - 1)] = encode(self._entries)
                self._entries = []
        return full

    def _push(self, level: int, hashes: list[bytes], full: dict[str, bytes]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        tile = self._levels[level]
        tile += hashes
        if len(tile) == WIDTH:
            full[path(level, (self.size >> (8 * (level + 1))) - 1)] = b"".join(tile)
            self._levels[level] = []
            self._push(level + 1, [merkle.root(tile)], full)

    def partial(self) -> dict[str, bytes]:
        """The partial bundle and tiles, by path."""
        found: dict[str, bytes] = {}
        if self._entries:
            found[path(ENTRIES, self.size // WIDTH, len(self._entries))] = encode(self._entries)
        for level, tile in enumerate(self._levels):
            if tile:
                found[path(level, self.size >> (8 * (level + 1)), len(tile))] = b"".join(tile)
        return found

    def root(self) -> bytes:
        """The root hash of the whole log."""
        return _fold(self._levels)


class Tree:
    """All hashes of a log in memory, level by level in steps of 256: roots and proofs of any size of it."""

    def __init__(self, hashes: list[bytes]) -> None:
        self.levels = [hashes]
        while len(self.levels[-1]) >= WIDTH:
            below = self.levels[-1]
            whole = len(below) // WIDTH * WIDTH
            self.levels.append([merkle.root(below[at : at + WIDTH]) for at in range(0, whole, WIDTH)])

    def root(self, size: int) -> bytes:
        """The root of the first ``size`` entries."""
        edge = []
        for level, hashes in enumerate(self.levels):
            end = size >> (8 * level)
            edge.append(hashes[end // WIDTH * WIDTH : end])
        return _fold(edge)

    def tile(self, level: int, index: int, width: int = WIDTH) -> bytes:
        """The bytes of a tile."""
        start = index * WIDTH
        return b"".join(self.levels[level][start : start + width])


class Reader:
    """Entries and hashes of a published log of ``size`` entries, from its bundles and tiles.

    Raises FileNotFoundError and BundleError for what is missing or damaged.
    """

    def __init__(self, size: int, read: Read) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[str, list[bytes]] = {}
        self._nodes: dict[tuple[int, int], bytes] = {}

    def entry(self, index: int) -> bytes:
        """One entry as it was appended. Raises IndexError."""
        if not 0 <= index < self.size:
            raise IndexError(f"entry {index}: not in a log of {self.size}")
        number = index // WIDTH
        bundle = self._held(ENTRIES, number, min(WIDTH, self.size - number * WIDTH), decode)
        return bundle[index % WIDTH]

    def subtree(self, start: int, end: int) -> bytes:
        """The hash over the entries ``[start, end)``, where RFC 6962 has a node over them."""
        count = end - start
        if count & (count - 1):  # the ragged right edge: whole subtrees, each half of the one before at most
            middle = start + (1 << (count.bit_length() - 1))
            return merkle.node_hash(self.subtree(start, middle), self.subtree(middle, end))
        if (start, end) in self._nodes:
            return self._nodes[start, end]
        level = (count.bit_length() - 1) // 8
        first, last = start >> (8 * level), end >> (8 * level)
        number = first // WIDTH
        width = min(WIDTH, (self.size >> (8 * level)) - number * WIDTH)
        tile = self._held(level, number, width, split)
        found = merkle.root(tile[first - number * WIDTH : last - number * WIDTH])
        if level:  # few of them, and in nearly every path
            self._nodes[start, end] = found
        return found

    def _held(
        self, level: int | str, index: int, width: int, parse: Callable[[bytes], list[bytes]]
    ) -> list[bytes]:
        where = path(level, index, width)
        if where not in self._tiles:
            found = parse(self._read(where))
            if len(found) != width:
                raise BundleError(f"{where}: {len(found)} in it, expected {width}")
            self._tiles[where] = found
        return self._tiles[where]


def _fold(edge: Sequence[Sequence[bytes]]) -> bytes:
    """The root from the partial tile of each level: what is below a level is its ragged last node."""
    below: list[bytes] = []
    for tile in edge:
        nodes = [*tile, *below]
        below = [merkle.root(nodes)] if nodes else []
    return below[0] if below else merkle.EMPTY_ROOT
