import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_assets.ledger import merkle, tiles
from tests.ledger import vectors


def cases(kind: str) -> list[Any]:
    folder = vectors.FOLDER / "merkle-testdata" / "testdata" / kind
    return [
        pytest.param(json.loads(path.read_text()), id=f"{path.parent.name}/{path.stem}")
        for path in sorted(folder.rglob("*.json"))
    ]


def decoded(value: str | None) -> bytes:
    return base64.b64decode(value or "")


@vectors.needed
def test_roots_of_the_reference() -> None:
    found = json.loads((vectors.FOLDER / "merkle-testdata" / "rfc6962_reference.json").read_text())
    entries = [bytes.fromhex(each) for each in found["leaf_inputs_hex"]]
    for size, root in enumerate(found["root_hex_by_size"]):
        assert merkle.root(merkle.leaf_hashes(entries[:size])).hex() == root


@vectors.needed
def test_there_are_vectors() -> None:
    assert len(cases("inclusion")) > 90
    assert len(cases("consistency")) > 90


@pytest.mark.parametrize("case", cases("inclusion"))
def test_inclusion_vectors(case: dict[str, Any]) -> None:
    def check() -> None:
        merkle.verify_inclusion(
            decoded(case["leafHash"]),
            case["leafIdx"],
            case["treeSize"],
            [decoded(each) for each in case["proof"] or ()],
            decoded(case["root"]),
        )

    if case["wantErr"]:
        with pytest.raises(merkle.ProofError):
            check()
    else:
        check()


@pytest.mark.parametrize("case", cases("consistency"))
def test_consistency_vectors(case: dict[str, Any]) -> None:
    def check() -> None:
        merkle.verify_consistency(
            case["size1"],
            case["size2"],
            decoded(case["root1"]),
            decoded(case["root2"]),
            [decoded(each) for each in case["proof"] or ()],
        )

    if case["wantErr"]:
        with pytest.raises(merkle.ProofError):
            check()
    else:
        check()


def slow_root(entries: list[bytes]) -> bytes:
    """RFC 6962 §2.1 word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    both = slow_root(entries[:split]) + slow_root(entries[split:])
    return hashlib.sha256(b"\x01" + both).digest()


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_roots_are_those_of_the_rfc(entries: list[bytes]) -> None:
    assert merkle.root(merkle.leaf_hashes(entries)) == slow_root(entries)


SIZES = [1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 70_001]


@pytest.fixture(scope="module")
def big() -> tuple[list[bytes], dict[str, bytes], tiles.Tree]:
    entries = [b"%d" % number for number in range(max(SIZES))]
    edge, kept = tiles.Edge(), {}
    for size in SIZES:
        kept |= edge.add(entries[edge.size : size])
        kept |= edge.partial()
    return entries, kept, tiles.Tree(merkle.leaf_hashes(entries))


@pytest.mark.parametrize("size", SIZES)
def test_edge_tree_and_reader_agree(big: Any, size: int) -> None:
    entries, kept, tree = big
    root = merkle.root(merkle.leaf_hashes(entries[:size]))
    edge = tiles.Edge.load(size, kept.__getitem__)
    assert edge.root() == tree.root(size) == root
    reader = tiles.Reader(size, kept.__getitem__)
    for index in {0, size // 3, size // 2, size - 1}:
        proof = merkle.inclusion_proof(index, size, reader.subtree)
        leaf = merkle.leaf_hash(reader.entry(index))
        merkle.verify_inclusion(leaf, index, size, proof, root)
        with pytest.raises(merkle.ProofError):
            merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, proof, root)
        if size > 1:
            with pytest.raises(merkle.ProofError):
                merkle.verify_inclusion(leaf, (index + 1) % size, size, proof, root)
    for old in {1, size // 3, size // 2, size - 1, size} - {0}:
        proof = merkle.consistency_proof(old, size, reader.subtree)
        merkle.verify_consistency(old, size, tree.root(old), root, proof)
        with pytest.raises(merkle.ProofError):
            merkle.verify_consistency(old, size, merkle.leaf_hash(b"other"), root, proof)


@pytest.mark.parametrize("size", SIZES)
def test_a_log_has_the_objects_of_its_layout(big: Any, size: int) -> None:
    _, kept, tree = big
    for level, index, width in tiles.layout(size):
        body = kept[tiles.path(level, index, width)]
        if level == tiles.ENTRIES:
            assert len(tiles.decode(body)) == width
        else:
            assert body == tree.tile(int(level), index, width)
            assert len(body) == width * 32


def test_the_layout_of_the_specification() -> None:
    found = [each for each in tiles.layout(70_000) if each[0] != tiles.ENTRIES]
    full = [each for each in found if each[2] == 256]
    assert [each for each in found if each[2] < 256] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert len(full) == 274
    assert list(tiles.layout(256)) == [("entries", 0, 256), (0, 0, 256), (1, 0, 1)]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_are_read_as_they_were_written(entries: list[bytes]) -> None:
    assert tiles.decode(tiles.encode(entries)) == entries


@pytest.mark.parametrize("bundle", [b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x00\x01"])
def test_a_torn_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(tiles.BundleError):
        tiles.decode(bundle)


def test_an_entry_that_is_too_long_is_refused() -> None:
    with pytest.raises(tiles.BundleError):
        tiles.encode([bytes(65_536)])
