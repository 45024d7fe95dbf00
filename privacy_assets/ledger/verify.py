"""Verification of a whole log: what an auditor runs, on a copied folder, without us.

Everything is computed from the entries. A checkpoint's signature says who vouches for a root; the root says
what the entries were; checkpoints that were kept say that they were so before. What differs is a line each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic_core import from_json

from privacy_assets.ledger import checkpoint, merkle, note, tiles
from privacy_assets.ledger.checkpoint import Checkpoint
from privacy_assets.ledger.log import CHECKPOINT, Head
from privacy_assets.ledger.tiles import ENTRIES, WIDTH, Tree

_MOST_LINES = 100

GetHead = Callable[[], Head | None]
"""What is committed now: a log that is verified goes on meanwhile."""


class Source(Protocol):
    """A published log, wherever it is."""

    def read(self, path: str) -> bytes:
        """An object. Raises FileNotFoundError."""
        ...

    def many(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Objects in the order of ``paths``, None for one that is missing."""
        ...

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """Names and notes of checkpoints that were put aside."""
        ...


@dataclass
class Report:
    """What was found: ``damage`` is a line for each thing that is wrong, ``said`` what was looked at."""

    checkpoint: Checkpoint | None = None
    damage: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage

    def wrong(self, line: str) -> None:
        """Note damage; of a great many the first hundred are told."""
        if len(self.damage) < _MOST_LINES:
            self.damage.append(line)
        elif len(self.damage) == _MOST_LINES:
            self.damage.append("and more")


def verify(
    source: Source,
    keys: Sequence[note.Key],
    *,
    since: Checkpoint | None = None,
    index: Iterable[tuple[str, int]] | None = None,
    head: GetHead | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """Verify signatures, every entry and tile, the root, and consistency with each checkpoint that was kept.

    ``since`` is a checkpoint that the auditor kept, verified; ``index`` the rows of the index, stream and
    leaf; ``head`` what the table has committed. ``progress`` is told entries done and in all.

    Others may append meanwhile. What must not be later than the checkpoint is read before it, checkpoints
    that were kept and the head; what must not be earlier, after it.
    """
    report = Report()
    kept, committed = list(source.kept()), head() if head else None
    try:
        report.checkpoint = checkpoint.verify(source.read(CHECKPOINT), keys)
    except FileNotFoundError:
        _without_checkpoint(report, since, index, committed, head)
        return report
    except note.NoteError as error:
        report.wrong(f"checkpoint: {error}")
        return report
    size = report.checkpoint.size
    hashes, streams = _entries(source, size, report, progress, want_streams=index is not None)
    if len(hashes) < size:
        return report  # without all entries nothing more can be computed
    tree = Tree(hashes)
    _tiles(source, tree, size, report)
    if tree.root(size) != report.checkpoint.root:
        report.wrong(f"checkpoint: its root is not that of the {size:,} entries")
    else:
        report.said.append(f"{size:,} entries make the root that {report.checkpoint.origin} has signed")
    if since is not None:
        _consistent("the checkpoint that was kept", since, tree, report)
    _kept(kept, keys, tree, report)
    whole = _head(committed, head, tree, streams, report)
    if index is not None:
        _index(index, streams, whole, head, report)
    return report


def _without_checkpoint(
    report: Report,
    since: Checkpoint | None,
    index: Iterable[tuple[str, int]] | None,
    committed: Head | None,
    head: GetHead | None,
) -> None:
    """A log without a checkpoint is damaged, unless it had none yet when its head was ``committed``."""
    if committed is not None and committed.start == 0 and since is None:
        report.said.append(f"{committed.size:,} entries are committed; the next append publishes them")
        return
    if head and committed is None and since is None:
        is_empty = next(iter(index or ()), None) is None
        if is_empty or head() is not None:  # the first append may have come between the two looks
            report.said.append("nothing has been logged yet")
            return
    report.wrong("checkpoint: missing")


def _entries(
    source: Source,
    size: int,
    report: Report,
    progress: Callable[[int, int], None],
    *,
    want_streams: bool,
) -> tuple[list[bytes], dict[str, list[int]]]:
    """The hash of every entry, and the leaves of each stream; fewer hashes where entries are missing."""
    hashes: list[bytes] = []
    streams: dict[str, list[int]] = {}
    places = [each for each in tiles.layout(size) if each[0] == ENTRIES]
    bundles = source.many([tiles.path(*place) for place in places])
    lowest = source.many([tiles.path(0, number, width) for _, number, width in places])
    missing = False
    for (_, number, width), bundle, tile in zip(places, bundles, lowest, strict=True):
        path = tiles.path(ENTRIES, number, width)
        first = number * WIDTH
        entries = _bundle(path, bundle, width, report)
        if entries is None:
            missing = True
            continue
        found = merkle.leaf_hashes(entries)
        _leaves(first, found, tile, tiles.path(0, number, width), report)
        hashes += found
        if want_streams:
            _streams(first, entries, streams, report)
        progress(first + width, size)
    return ([] if missing else hashes), streams


def _bundle(path: str, bundle: bytes | None, width: int, report: Report) -> list[bytes] | None:
    if bundle is None:
        report.wrong(f"{path}: missing")
        return None
    try:
        entries = tiles.decode(bundle)
    except tiles.BundleError as error:
        report.wrong(f"{path}: {error}")
        return None
    if len(entries) != width:
        report.wrong(f"{path}: {len(entries)} entries, expected {width}")
        return None
    return entries


def _leaves(first: int, found: list[bytes], tile: bytes | None, path: str, report: Report) -> None:
    """Hold the entries against the tile of their hashes, which tells which of them is another."""
    if tile is None:
        report.wrong(f"{path}: missing")
    elif tile != b"".join(found):
        there = [tile[at : at + merkle.HASH_SIZE] for at in range(0, len(tile), merkle.HASH_SIZE)]
        if len(there) != len(found):
            report.wrong(f"{path}: {len(tile)} bytes, expected {len(found) * merkle.HASH_SIZE}")
        for at, (one, other) in enumerate(zip(found, there, strict=False)):
            if one != other:
                report.wrong(f"entry {first + at}: its hash is not the one in {path}")


def _streams(first: int, entries: list[bytes], streams: dict[str, list[int]], report: Report) -> None:
    for number, entry in enumerate(entries, first):
        try:
            stream = from_json(entry).get("stream", "")
        except (ValueError, AttributeError):
            report.wrong(f"entry {number}: not an event")
            continue
        if stream and isinstance(stream, str):
            streams.setdefault(stream, []).append(number)


def _tiles(source: Source, tree: Tree, size: int, report: Report) -> None:
    """The tiles above the lowest: those have been held against the entries."""
    places = [(int(level), at, width) for level, at, width in tiles.layout(size) if level not in (ENTRIES, 0)]
    paths = [tiles.path(*place) for place in places]
    for place, path, tile in zip(places, paths, source.many(paths), strict=True):
        if tile is None:
            report.wrong(f"{path}: missing")
        elif tile != tree.tile(*place):
            report.wrong(f"{path}: not the hashes of the entries below it")


def _consistent(what: str, old: Checkpoint, tree: Tree, report: Report) -> None:
    size = len(tree.levels[0])
    if old.size > size:
        report.wrong(f"{what} has {old.size:,} entries, the log {size:,}: entries were taken off its end")
    elif tree.root(old.size) != old.root:
        report.wrong(f"{what}: its first {old.size:,} entries were others than the log has now")
    else:
        report.said.append(f"the first {old.size:,} entries are those of {what}")


def _kept(kept: Iterable[tuple[str, bytes]], keys: Sequence[note.Key], tree: Tree, report: Report) -> None:
    for name, signed in kept:
        try:
            old = checkpoint.verify(signed, keys)
        except note.NoteError as error:
            report.wrong(f"{name}: {error}")
        else:
            _consistent(name, old, tree, report)


def _head(
    head: Head | None, latest: GetHead | None, tree: Tree, streams: dict[str, list[int]], report: Report
) -> int:
    """Hold the table's head of before the checkpoint against the log; the entries that are committed. Those
    beyond the checkpoint, of a writer that died or is at work, join the streams.
    """
    size = len(tree.levels[0])
    if latest is None:
        return size
    if head is None or head.size < size:  # it has moved since, or else the table is an old one
        now = latest()
        if now is None or now.size < size:
            report.wrong(f"table: its head has {now.size if now else 0:,} entries, the checkpoint {size:,}")
        elif head is not None and tree.root(head.size) != head.root:
            report.wrong("table: its head's root is not that of the entries")
        return size
    if head.start > size:
        report.wrong(f"table: its head goes on from {head.start:,} entries, the checkpoint has {size:,}")
        return size
    try:
        rest = tiles.decode(head.entries)[size - head.start :]
    except tiles.BundleError as error:
        report.wrong(f"table: the head's entries: {error}")
        return size
    hashes = tree.levels[0] + merkle.leaf_hashes(rest)
    if len(hashes) != head.size or Tree(hashes).root(head.size) != head.root:
        report.wrong("table: its head's root is not that of the entries")
    if rest:
        report.said.append(f"{len(rest):,} entries more are committed; the next append publishes them")
        _streams(size, rest, streams, report)
    return head.size


def _index(
    index: Iterable[tuple[str, int]],
    streams: Mapping[str, list[int]],
    size: int,
    head: GetHead | None,
    report: Report,
) -> None:
    of_leaf = {leaf: stream for stream, leaves in streams.items() for leaf in leaves}
    rows, latest = 0, size
    for stream, leaf in index:
        if leaf >= size:  # appended since we began, or an end that was taken off
            if leaf >= latest:
                latest = _size(head)
            if leaf >= latest:
                report.wrong(f"index: leaf {leaf} of a stream, but the log has {max(size, latest):,} entries")
        elif of_leaf.get(leaf) == stream:
            rows += 1
            del of_leaf[leaf]
        else:
            report.wrong(f"index: leaf {leaf} is in a stream that is not its own, or twice")
    for leaf in sorted(of_leaf)[: _MOST_LINES + 1]:
        report.wrong(f"index: leaf {leaf} is not in its stream")
    if not of_leaf:
        report.said.append(f"{rows:,} rows of the index agree with the log")


def _size(head: GetHead | None) -> int:
    found = head() if head else None
    return found.size if found else 0
