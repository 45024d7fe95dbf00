"""Merkle tree hashing and proofs: RFC 6962 §2.1, and RFC 9162 §2.1.3 and §2.1.4 for how they are verified.

Hashes are the 32 bytes of SHA-256. Whoever makes a proof gives a function that answers the hash of any
subtree, so that nothing here knows where hashes are kept.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Subtree = Callable[[int, int], bytes]
"""The Merkle Tree Hash of the entries ``[start, end)``."""

_LEAF, _NODE = b"\x00", b"\x01"
_sha256 = hashlib.sha256


class ProofError(ValueError):
    """A proof that does not prove what it was given for."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry (RFC 6962 §2.1)."""
    return _sha256(_LEAF + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hashes of many entries."""
    return [_sha256(_LEAF + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children (RFC 6962 §2.1)."""
    return _sha256(_NODE + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The Merkle Tree Hash over ``hashes``, level by level: an odd last node moves up as it is, which makes
    the tree that RFC 6962 splits from the top.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        last = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [_sha256(_NODE + left + right).digest() for left, right in pairs] + last
    return level[0]


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The path from entry ``index`` to the root of ``size`` entries (RFC 6962 §2.1.1), the sibling first.

    Raises IndexError.
    """
    if not 0 <= index < size:
        raise IndexError(f"entry {index}: not in a tree of {size}")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """That the first ``old`` of ``new`` entries are as they were (RFC 6962 §2.1.2). Raises IndexError."""
    if not 0 <= old <= new:
        raise IndexError(f"a tree of {old}: expected at most {new}")
    if old in (0, new):
        return []
    path, start, end = [], 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    if start:
        path.append(subtree(start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """That ``leaf``, an entry's hash, is entry ``index`` under the root (RFC 9162 §2.1.3.2).

    Raises ProofError.
    """
    _check_sizes([leaf, expected, *proof])
    if not 0 <= index < size:
        raise ProofError(f"entry {index}: not in a tree of {size}")
    node, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if node & 1 or node == last:
            found = node_hash(each, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, each)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if found != expected:
        raise ProofError("the proof leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """That the tree of ``new`` entries begins with the tree of ``old`` (RFC 9162 §2.1.4.2).

    Raises ProofError, and always for a tree without entries: any tree begins with it.
    """
    _check_sizes(proof)
    if old < 1:
        raise ProofError("of a tree without entries nothing is proved")
    if old > new:
        raise ProofError(f"{old} entries and then {new}: a log never shrinks")
    if old == new:
        if proof:
            raise ProofError("the proof is too long")
        if old_root != new_root:
            raise ProofError("two roots of one size")
        return
    if not proof:
        raise ProofError("the proof is too short")
    path = list(proof)
    if old & (old - 1) == 0:  # a whole subtree of the new tree: its root is the proof's first node
        path.insert(0, old_root)
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for each in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if node & 1 or node == last:
            before, after = node_hash(each, before), node_hash(each, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, each)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if before != old_root:
        raise ProofError("the proof leads to another old root")
    if after != new_root:
        raise ProofError("the proof leads to another new root")


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_sizes(hashes: Iterable[bytes]) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise ProofError(f"a hash that is not {HASH_SIZE} bytes long")
