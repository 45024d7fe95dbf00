"""Receipts: an entry's index, its path to the root and the checkpoint in one text (https://c2sp.org/tlog-proof).

The extra data is the entry itself, so that a receipt and the log's key are all that it takes to verify one.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from privacy_assets.ledger import checkpoint, merkle, note

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_LONGEST_PATH = 64


@dataclass(frozen=True)
class Proof:
    """A receipt, as ``.tlog-proof`` files hold it. ``entry`` is what the log has at ``index``."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    entry: bytes

    def encode(self) -> bytes:
        """The text of the file."""
        lines = [
            HEADER,
            f"extra {base64.b64encode(self.entry).decode()}",
            f"index {self.index}",
            *(base64.b64encode(each).decode() for each in self.path),
            "",
            "",
        ]
        return "\n".join(lines).encode() + self.checkpoint


def parse(text: bytes) -> Proof:
    """A receipt that has not been verified. Raises ProofError."""
    head, _, signed = text.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    if lines[0] != HEADER or len(lines) < 2:
        raise merkle.ProofError(f"no proof, expected a first line {HEADER}")
    entry = b""
    if lines[1].startswith("extra "):
        entry = _decoded(lines.pop(1).removeprefix("extra "))
    index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if index is None:
        raise merkle.ProofError("no proof, expected a line 'index <number>'")
    if len(lines) - 2 > _LONGEST_PATH:
        raise merkle.ProofError("a path of more than 64 hashes")
    return Proof(int(index[1]), tuple(_decoded(line) for line in lines[2:]), signed, entry)


def verify(proof: Proof, keys: Sequence[note.Key]) -> checkpoint.Checkpoint:
    """The checkpoint under which ``proof.entry`` is logged at ``proof.index``.

    Raises NoteError for the checkpoint, ProofError for the path.
    """
    head = checkpoint.verify(proof.checkpoint, keys)
    merkle.verify_inclusion(merkle.leaf_hash(proof.entry), proof.index, head.size, proof.path, head.root)
    return head


def _decoded(line: str) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise merkle.ProofError("a line that is not base64") from None
