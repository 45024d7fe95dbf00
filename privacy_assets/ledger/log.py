"""The log itself: appending, publishing, reading, proving.

The commit is one transaction on the head, and everything after it can be done again by anybody:

1. The transaction moves the head on from the size that the writer has seen, together with the index rows. Two
   writers can't both do it, so the log never forks; the entries stand in the head itself, so none is lost.
2. Bundles and tiles are put, each only where there is none: what they hold follows from the head, whoever
   writes them.
3. The new head is signed and the checkpoint replaced by it, unless there is a later one.

A process may die between any two of these. The head then is ahead of the checkpoint, and the next one who
opens the log or appends to it publishes it. Nothing is signed before it is committed, so that there are never
two signatures for two histories (https://c2sp.org/tlog-checkpoint). The head keeps the entries since a size
that is published.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from privacy_assets.ledger import checkpoint, events, merkle, note, tiles
from privacy_assets.ledger.checkpoint import Checkpoint
from privacy_assets.ledger.events import Event
from privacy_assets.ledger.proof import Proof
from privacy_assets.ledger.tiles import Edge, Reader

CHECKPOINT = "checkpoint"
MOST_STREAMS = 98
"""Streams of one batch: a transaction of DynamoDB takes 100 items, and two are the log's own."""
MOST_BYTES = 300_000
"""Bytes of one batch: an item of DynamoDB takes 400 KB."""
_PATIENCE = 300.0
_LONGEST_PAUSE = 0.5
_LOOKS = 10
"""How often head and checkpoint are read until they are of one time."""


class LedgerDamaged(Exception):  # noqa: N818  # what it is
    """The log is not what its head or checkpoint says; nothing is appended to it before that is mended."""


class LedgerBusy(Exception):  # noqa: N818  # what it is
    """Others appended all the time. Nothing of the batch is in the log."""


class Store(Protocol):
    """Where a log is kept: objects under their paths, and the head with its index."""

    @property
    def origin(self) -> str:
        """The log's name, which stands in each checkpoint."""
        ...

    def read(self, path: str) -> bytes:
        """An object. Raises FileNotFoundError."""
        ...

    def create(self, path: str, body: bytes) -> bool:
        """Write an object that is never changed; False if there is one."""
        ...

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """An object that may change, and its tag. Raises FileNotFoundError."""
        ...

    def replace(self, path: str, body: bytes, tag: str) -> str | None:
        """Replace the object that has ``tag`` (empty: where none is); the new tag, None if it has another."""
        ...

    def head(self) -> Mapping[str, Any] | None:
        """The fields of ``Head``; None before the first append."""
        ...

    def advance(
        self, size: int, head: Mapping[str, Any], streams: Mapping[str, Sequence[int]], once: str
    ) -> bool:
        """In one transaction: put ``head`` in the place of one of ``size`` (0: of none), rows for
        ``streams``, and one for ``once`` where there is none of that name. False where that can't be: then
        nothing is done.
        """
        ...

    def stream(self, name: str) -> list[int]:
        """The leaves of a stream, in order."""
        ...

    def once(self, key: str) -> list[int] | None:
        """The leaves of the batch that was appended as ``key``."""
        ...


@dataclass(frozen=True)
class Head:
    """What is committed: ``size`` and ``root`` of the log, a bundle of its ``entries`` from ``start`` on."""

    size: int
    root: bytes
    start: int
    entries: bytes


@dataclass(frozen=True)
class Entry:
    """An event and the leaf that it is."""

    index: int
    event: Event
    leaf: bytes


class Log:
    """One transparency log. May be used by several threads; any number of processes may append at once."""

    def __init__(self, store: Store, signer: note.Signer) -> None:
        self._store, self._signer = store, signer
        self._lock = threading.RLock()
        self._loaded = False
        self._edge = Edge()
        # Committed and, as far as we know, not published: entries from this size on, and what they fill.
        self._published = 0
        self._since: list[bytes] = []
        self._full: dict[str, bytes] = {}
        self._tag = ""

    @property
    def key(self) -> note.Key:
        """The key that an auditor verifies the log with."""
        return note.ecdsa_key(self._store.origin, self._signer.public_key)

    # --- writing

    def append(self, batch: Sequence[Event], once: str = "") -> list[int]:
        """Log a batch, all or nothing; the leaf of each event. When it returns they are published and signed.

        ``once`` names the batch: what was appended under a name before is found and not logged again. If this
        raises anything but EventError, LedgerBusy or LedgerDamaged, the batch may have been committed: to
        call it again under the same name is always right.

        Raises EventError for a batch that is too large: 98 streams, 300,000 bytes.
        """
        leaves = [event.encode() for event in batch]
        _check_size(batch, leaves)
        if not leaves:
            return []
        with self._lock:
            until, attempt = time.monotonic() + _PATIENCE, 0
            while True:
                if attempt or not self._loaded:
                    self._catch_up()
                    if once and (before := self._store.once(once)) is not None:
                        self._publish()
                        return before
                if (found := self._commit(batch, leaves, once)) is not None:
                    self._publish()
                    return found
                if time.monotonic() > until:
                    raise LedgerBusy(
                        f"others appended for {_PATIENCE:.0f} s; nothing of this batch is logged"
                    )
                attempt += 1
                pause = min(_LONGEST_PAUSE, 0.005 * 2 ** min(attempt, 10))
                time.sleep(random.uniform(0, pause))  # noqa: S311  # no secret

    def open(self) -> Checkpoint | None:
        """Publish what was committed by somebody who died; the checkpoint, None for a log without entries.

        Raises LedgerBusy and LedgerDamaged.
        """
        with self._lock:
            self._catch_up()
            self._publish()
            return self.checkpoint()

    def _commit(self, batch: Sequence[Event], leaves: Sequence[bytes], once: str) -> list[int] | None:
        """Commit the batch on top of the edge; its leaves, None if the head moved or ``once`` is known."""
        if _bytes(self._since) + _bytes(leaves) > MOST_BYTES:
            self._publish()
        after = self._edge.copy()
        full = after.add(leaves)
        found = list(range(self._edge.size, after.size))
        streams: dict[str, list[int]] = {}
        for index, event in zip(found, batch, strict=True):
            if event.stream:
                streams.setdefault(event.stream, []).append(index)
        head = Head(after.size, after.root(), self._published, tiles.encode([*self._since, *leaves]))
        if not self._store.advance(self._edge.size, asdict(head), streams, once):
            return None
        self._edge = after
        self._since += leaves
        self._full |= full
        return found

    def _catch_up(self) -> None:
        """Bring the edge to the head. Raises LedgerBusy and LedgerDamaged."""
        head = self.head()
        if head is None and (self._edge.size or self.checkpoint() is not None):
            head = self.head()  # the first append may have come between the two looks
            if head is None:
                raise LedgerDamaged("the table has no head, but there is a checkpoint")
        if head is None:
            self._loaded = True
            return
        if not (self._loaded and head.start <= self._edge.size <= head.size):
            head = self._load(head)
        new = tiles.decode(head.entries)[self._edge.size - head.start :]
        self._full |= self._edge.add(new)
        self._since += new
        if self._edge.size != head.size or self._edge.root() != head.root:
            self._loaded = False
            raise LedgerDamaged(f"the {head.size:,} entries do not make the root that the table has")
        self._loaded = True

    def _load(self, head: Head) -> Head:
        """Take the published log's edge; the head to go on to. Raises LedgerBusy and LedgerDamaged."""
        found, head = self._look(head)
        published = found.size if found else 0
        try:
            edge = Edge.load(published, self._store.read)
        except (FileNotFoundError, tiles.BundleError) as error:
            raise LedgerDamaged(f"the published log of {published:,} entries: {error}") from None
        if found and edge.root() != found.root:
            raise LedgerDamaged(f"the tiles of {published:,} entries do not make the checkpoint's root")
        self._edge, self._published, self._since, self._full = edge, published, [], {}
        return head

    def _look(self, head: Head) -> tuple[Checkpoint | None, Head]:
        """The checkpoint, and ``head`` or a later one that goes on from it. Raises LedgerBusy, LedgerDamaged.

        A head begins where the log was published before it was committed. So a checkpoint that is read after
        it is never smaller than its start, and one that is read before it never larger than its size.
        """
        for _ in range(_LOOKS):
            found: Checkpoint | None = None
            self._tag, published, before = "", 0, head
            try:
                signed, self._tag = self._store.read_tagged(CHECKPOINT)
            except FileNotFoundError:
                pass
            else:
                found = self._verified(signed)
                published = found.size
            if published > head.size:  # it has moved since we looked, or else the table is an old one
                head = self.head() or head
            if head.start <= published <= head.size:
                return found, head
            if published > head.size or head is before:
                raise LedgerDamaged(
                    f"the table has entries {head.start:,} to {head.size:,}, the checkpoint {published:,}: "
                    "one of them is not of this log, or was restored from an earlier time"
                )
        raise LedgerBusy(f"others appended between each of {_LOOKS} looks; nothing of this batch is logged")

    def _publish(self) -> None:
        """Put what the head needs, then the checkpoint, unless a later one is there."""
        size = self._edge.size
        if self._published == size:
            return
        for path, body in [*self._full.items(), *self._edge.partial().items()]:
            if not self._store.create(path, body) and self._store.read(path) != body:
                raise LedgerDamaged(f"{path}: is there, and holds something else than was committed")
        signed = checkpoint.sign(self._store.origin, size, self._edge.root(), self._signer).signed
        while (tag := self._store.replace(CHECKPOINT, signed, self._tag)) is None:
            there, self._tag = self._store.read_tagged(CHECKPOINT)
            if self._verified(there).size >= size:
                tag = self._tag
                break
        self._tag, self._published, self._since, self._full = tag, size, [], {}

    # --- reading

    def head(self) -> Head | None:
        """What is committed, published or not; None for a log without entries."""
        found = self._store.head()
        return None if found is None else Head(**found)

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint as it is published; None for a log without entries."""
        try:
            return self._verified(self._store.read(CHECKPOINT))
        except FileNotFoundError:
            return None

    def entries(self, stream: str) -> list[Entry]:
        """The events of a stream, in the order in which they were logged."""
        found = self.read(self._store.stream(stream))
        if wrong := [each.index for each in found if each.event.stream != stream]:
            raise LedgerDamaged(f"the index has leaf {wrong[0]} in a stream that is not its own")
        return found

    def read(self, indices: Sequence[int]) -> list[Entry]:
        """The events of some leaves. Raises IndexError."""
        if not indices:
            return []
        reader = self._reader(max(indices))[1]
        with _undamaged():
            leaves = [(index, reader.entry(index)) for index in indices]
            return [Entry(index, events.decode(leaf), leaf) for index, leaf in leaves]

    def proof(self, index: int) -> Proof:
        """The receipt of one leaf. Raises IndexError."""
        return self.proofs([index])[0]

    def proofs(self, indices: Sequence[int]) -> list[Proof]:
        """The receipts of some leaves, all under one checkpoint. Raises IndexError."""
        if not indices:
            return []
        head, reader = self._reader(max(indices))
        with _undamaged():
            return [
                Proof(
                    index,
                    tuple(merkle.inclusion_proof(index, head.size, reader.subtree)),
                    head.signed,
                    reader.entry(index),
                )
                for index in indices
            ]

    def _reader(self, index: int) -> tuple[Checkpoint, Reader]:
        """The published log, once it has leaf ``index``. Raises IndexError."""
        head = self.checkpoint()
        if head is None or index >= head.size:
            head = self.open()
        if head is None or index >= head.size:
            raise IndexError(f"leaf {index}: not in a log of {head.size if head else 0}")
        return head, Reader(head.size, self._store.read)

    def _verified(self, signed: bytes) -> Checkpoint:
        try:
            return checkpoint.verify(signed, [self.key])
        except note.NoteError as error:
            raise LedgerDamaged(f"the checkpoint: {error}") from None


@contextmanager
def _undamaged() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, tiles.BundleError, events.EventError) as error:
        raise LedgerDamaged(f"the published log: {error}") from None


def _check_size(batch: Sequence[Event], leaves: Sequence[bytes]) -> None:
    streams = len({event.stream for event in batch if event.stream})
    if streams > MOST_STREAMS or _bytes(leaves) > MOST_BYTES:
        raise events.EventError(
            f"{streams} streams and {_bytes(leaves):,} bytes in one batch, expected at most {MOST_STREAMS} "
            f"and {MOST_BYTES:,}: append it in parts"
        )


def _bytes(leaves: Sequence[bytes]) -> int:
    """The size of a bundle of them."""
    return sum(map(len, leaves)) + 2 * len(leaves)
