import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from privacy_assets.ledger import checkpoint, merkle, note, proof
from resources.ledger_signing import PemSigner
from tests.ledger import vectors

NAME = "example.com/log"


def cases() -> list[Any]:
    path = vectors.FOLDER / "notes" / "note_vectors.json"
    found = json.loads(path.read_text()) if path.is_file() else []
    return [pytest.param(each, id=each["name"]) for each in found]


def pem(folder: Path, name: str = "key.pem") -> PemSigner:
    path = folder / name
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return PemSigner(path)


@pytest.fixture
def signer(tmp_path: Path) -> PemSigner:
    return pem(tmp_path)


@vectors.needed
def test_there_are_vectors() -> None:
    assert len(cases()) == 8


@pytest.mark.parametrize("case", cases())
def test_note_vectors(case: dict[str, Any]) -> None:
    keys = [note.parse_key(each) for each in case["vkeys"]]
    assert [key.vkey for key in keys] == case["vkeys"]
    signed = case["note"].encode()
    if not case["valid"]:
        with pytest.raises(note.NoteError):
            note.verify(signed, keys)
        return
    assert signed.decode().startswith(note.verify(signed, keys).text)
    for at in range(len(note.verify(signed, keys).text) - 1):  # no letter of the text can be another
        if signed[at : at + 1].isascii() and signed[at : at + 1] not in (b"\n", b"x"):
            with pytest.raises(note.NoteError):
                note.verify(signed[:at] + b"x" + signed[at + 1 :], keys)


def test_a_checkpoint_is_signed_and_verified(signer: PemSigner) -> None:
    key = note.ecdsa_key(NAME, signer.public_key)
    made = checkpoint.sign(NAME, 7, bytes(32), signer)
    assert checkpoint.verify(made.signed, [note.parse_key(key.vkey)]) == made
    assert made.signed.decode().split("\n")[:2] == [NAME, "7"]


def test_a_key_of_another_log_does_not_verify(signer: PemSigner, tmp_path: Path) -> None:
    made = checkpoint.sign(NAME, 7, bytes(32), signer)
    other = pem(tmp_path, "other.pem")
    with pytest.raises(note.NoteError, match="no signature of a known key"):
        checkpoint.verify(made.signed, [note.ecdsa_key(NAME, other.public_key)])
    with pytest.raises(note.NoteError, match="no key"):
        checkpoint.verify(made.signed, [note.ecdsa_key("example.com/other", signer.public_key)])


@pytest.mark.parametrize(
    "lines", [["o"], ["o", "1"], ["o", "01", "A" * 43 + "="], ["o", "-1", "A" * 43 + "="], ["o", "1", "AAAA"]]
)
def test_what_is_no_checkpoint_is_refused(lines: list[str]) -> None:
    with pytest.raises(note.NoteError, match="no checkpoint"):
        checkpoint.parse("\n".join([*lines, "", "— o AAAAAAA=", ""]).encode())


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a",
        "a+b",
        "a+00000000+",
        "a+00000000+AAAA",
        "a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_what_is_no_key_is_refused(vkey: str) -> None:
    with pytest.raises(note.NoteError):
        note.parse_key(vkey)


def test_a_receipt_holds_all_that_verifies_it(signer: PemSigner) -> None:
    entries = [b"one", b"two", b"three"]
    hashes = merkle.leaf_hashes(entries)
    made = checkpoint.sign(NAME, 3, merkle.root(hashes), signer)
    path = merkle.inclusion_proof(1, 3, lambda start, end: merkle.root(hashes[start:end]))
    receipt = proof.Proof(1, tuple(path), made.signed, entries[1])
    text = receipt.encode()
    keys = [note.ecdsa_key(NAME, signer.public_key)]
    assert proof.parse(text) == receipt
    assert proof.verify(proof.parse(text), keys) == made
    assert text.startswith(b"c2sp.org/tlog-proof@v1\nextra dHdv\nindex 1\n")
    for wrong in (
        text.replace(b"index 1", b"index 2"),
        text.replace(b"extra dHdv", b"extra dGhyZWU="),
        text.replace(b"\n3\n", b"\n4\n"),
        text.replace(b"proof@v1", b"proof@v2"),
        text[: text.index(b"\n\n")],
        b"",
    ):
        with pytest.raises((merkle.ProofError, note.NoteError)):
            proof.verify(proof.parse(wrong), keys)


def test_a_receipt_without_extra_data_is_read() -> None:
    found = proof.parse(b"c2sp.org/tlog-proof@v1\nindex 0\n\nnote")
    assert found == proof.Proof(0, (), b"note", b"")
