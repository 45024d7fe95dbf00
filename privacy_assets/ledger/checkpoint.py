"""Checkpoints: a log's size and root hash as a signed note (https://c2sp.org/tlog-checkpoint)."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from privacy_assets.ledger import note
from privacy_assets.ledger.merkle import HASH_SIZE

_NUMBER = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log. ``signed`` is the note that it was read from or written as."""

    origin: str
    size: int
    root: bytes
    signed: bytes = b""


def sign(origin: str, size: int, root: bytes, signer: note.Signer) -> Checkpoint:
    """A signed checkpoint; the key's name is the log's origin."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    return Checkpoint(origin, size, root, note.sign(text, origin, signer))


def verify(signed: bytes, keys: Sequence[note.Key]) -> Checkpoint:
    """The checkpoint, once one of ``keys`` that has the log's name has signed it. Raises NoteError."""
    found = parse(signed)
    own = [key for key in keys if key.name == found.origin]
    if not own:
        raise note.NoteError(f"a checkpoint of {found.origin[:80]!r}, for which there is no key")
    note.verify(signed, own)
    return found


def parse(signed: bytes) -> Checkpoint:
    """What a checkpoint says, its signatures not yet looked at. Raises NoteError."""
    lines = note.parse(signed).text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise note.NoteError("no checkpoint, expected lines of origin, size and root hash")
    origin, size, encoded = lines[:3]
    try:
        root = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        root = b""
    if not _NUMBER.fullmatch(size) or len(size) > 19 or len(root) != HASH_SIZE:
        raise note.NoteError("no checkpoint, expected a size and a root hash of 32 bytes in base64")
    return Checkpoint(origin, int(size), root, signed)
