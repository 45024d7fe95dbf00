"""Signed notes and the keys that verify them: https://c2sp.org/signed-note.

Our own logs sign with ECDSA P-256 over SHA-256 (type 2), which KMS can. Ed25519 (type 1) and the tree heads
of Certificate Transparency (type 5, https://c2sp.org/static-ct-api) are verified too, as other logs use them.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519, ECDSA, TREE_HEAD = 1, 2, 5
_DASH = "— "
_MOST_SIGNATURES = 100
_LONGEST = 1 << 20


class NoteError(ValueError):
    """A note or key that is malformed, or a note that no known key has signed. The message is one line."""


class Signer(Protocol):
    """A private key that never leaves its place."""

    @property
    def public_key(self) -> bytes:
        """The public key, DER-encoded SubjectPublicKeyInfo."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The ECDSA signature over ``message`` with SHA-256, DER-encoded as KMS gives it."""
        ...


@dataclass(frozen=True)
class Key:
    """A verifier key: ``vkey`` is how it is written down and handed to an auditor."""

    name: str
    id: int
    type: int
    material: bytes

    @property
    def vkey(self) -> str:
        """``name+id+key``."""
        encoded = base64.b64encode(bytes([self.type]) + self.material).decode()
        return f"{self.name}+{self.id:08x}+{encoded}"


@dataclass(frozen=True)
class Signature:
    """One signature line."""

    name: str
    id: int
    signature: bytes


@dataclass(frozen=True)
class Note:
    """A note that has been parsed and not yet verified. ``text`` ends with a newline."""

    text: str
    signatures: tuple[Signature, ...]


def ecdsa_key(name: str, public_key: bytes) -> Key:
    """The verifier key of a public P-256 key (DER, SubjectPublicKeyInfo). Raises NoteError."""
    _check_name(name)
    found = _load(public_key)
    if not isinstance(found, ec.EllipticCurvePublicKey):
        raise NoteError(f"key of {name}: expected an elliptic curve's")
    return Key(name, _key_id(name, ECDSA, public_key), ECDSA, public_key)


def parse_key(vkey: str) -> Key:
    """A verifier key as it is written down. Raises NoteError."""
    name, plus, rest = vkey.strip().partition("+")
    number, second_plus, encoded = rest.partition("+")
    expected = "expected <name>+<8 hex digits>+<base64>"
    if not (plus and second_plus and len(number) == 8):
        raise NoteError(f"vkey {vkey[:80]!r}: {expected}")
    _check_name(name)
    try:
        key_id, material = int(number, 16), _decoded(encoded)
    except ValueError:
        raise NoteError(f"vkey {vkey[:80]!r}: {expected}") from None
    kind, public = material[:1], material[1:]
    if not public or kind[0] not in _VERIFY:
        raise NoteError(f"vkey of {name}: a type of key that is not known, expected one of {list(_VERIFY)}")
    if number != f"{key_id:08x}" or key_id != _key_id(name, kind[0], public):
        raise NoteError(f"vkey of {name}: its id is not its key's")
    return Key(name, key_id, kind[0], public)


def parse(note: bytes) -> Note:
    """Text and signatures of a note. Raises NoteError."""
    if len(note) > _LONGEST:
        raise NoteError("a note of more than a megabyte")
    try:
        said = note.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteError("not UTF-8") from None
    if any(ord(char) < 0x20 and char != "\n" for char in said):
        raise NoteError("a control character")
    end = said.rfind("\n\n")
    if end < 0 or not said.endswith("\n"):
        raise NoteError("no signatures, expected them after an empty line")
    lines = said[end + 2 : -1].split("\n")
    if len(lines) > _MOST_SIGNATURES:
        raise NoteError(f"more than {_MOST_SIGNATURES} signatures")
    return Note(said[: end + 1], tuple(_signature(line) for line in lines))


def verify(note: bytes, keys: Sequence[Key]) -> Note:
    """The note, once one of ``keys`` has signed it. Raises NoteError, too where the signature of a known key
    is wrong though another's is right.
    """
    found = parse(note)
    known = {(key.name, key.id): key for key in keys}
    good = 0
    for each in found.signatures:
        key = known.get((each.name, each.id))
        if key is None:
            continue
        try:
            _VERIFY[key.type](key, each.signature, found.text)
        except (InvalidSignature, ValueError, struct.error):
            raise NoteError(f"the signature of {key.name} is wrong") from None
        good += 1
    if not good:
        raise NoteError("no signature of a known key")
    return found


def sign(text: str, name: str, signer: Signer) -> bytes:
    """``text`` as a signed note. Raises NoteError for a text that can't be one."""
    if not text.endswith("\n"):
        raise NoteError("a text that does not end with a newline")
    key = ecdsa_key(name, signer.public_key)
    signature = struct.pack(">I", key.id) + signer.sign(text.encode())
    note = f"{text}\n{_DASH}{name} {base64.b64encode(signature).decode()}\n".encode()
    verify(note, [key])  # what leaves this function is right, whatever the signer did
    return note


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise NoteError("a signature's line is malformed, expected '— <name> <base64>'")
    _check_name(name)
    try:
        found = _decoded(encoded)
    except ValueError:
        raise NoteError(f"the signature of {name} is not base64") from None
    if len(found) < 5:
        raise NoteError(f"the signature of {name} is too short")
    return Signature(name, struct.unpack(">I", found[:4])[0], found[4:])


def _check_name(name: str) -> None:
    if not name or "+" in name or any(char.isspace() for char in name):
        raise NoteError(f"name {name[:80]!r}: expected one without spaces and '+'")


def _decoded(encoded: str) -> bytes:
    """Raises ValueError, too for bits that base64 does not use: else two texts are one signature."""
    try:
        found = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if base64.b64encode(found).decode() != encoded:
        raise ValueError("not canonical")
    return found


def _key_id(name: str, kind: int, material: bytes) -> int:
    if kind == ECDSA:
        said = material
    elif kind == TREE_HEAD:
        said = name.encode() + b"\n" + bytes([kind]) + hashlib.sha256(material).digest()
    else:
        said = name.encode() + b"\n" + bytes([kind]) + material
    return int.from_bytes(hashlib.sha256(said).digest()[:4])


def _load(public_key: bytes) -> Any:
    try:
        return serialization.load_der_public_key(public_key)
    except ValueError:
        raise NoteError("a public key that is malformed") from None


def _verify_ed25519(key: Key, signature: bytes, text: str) -> None:
    Ed25519PublicKey.from_public_bytes(key.material).verify(signature, text.encode())


def _verify_ecdsa(key: Key, signature: bytes, text: str) -> None:
    _load(key.material).verify(signature, text.encode(), ec.ECDSA(hashes.SHA256()))


def _verify_tree_head(key: Key, signature: bytes, text: str) -> None:
    """RFC 6962 §3.5: the signature is over a structure made of the checkpoint's size and root."""
    timestamp, algorithms, length = struct.unpack(">QHH", signature[:12])
    origin, size, root, *more = text.split("\n")
    if (
        origin != key.name or algorithms != 0x0403 or length != len(signature) - 12 or more != [""]
    ):  # SHA-256 with ECDSA
        raise InvalidSignature
    head = struct.pack(">BBQQ", 0, 1, timestamp, int(size)) + _decoded(root)
    _load(key.material).verify(signature[12:], head, ec.ECDSA(hashes.SHA256()))


_VERIFY: dict[int, Callable[[Key, bytes, str], None]] = {
    ED25519: _verify_ed25519,
    ECDSA: _verify_ecdsa,
    TREE_HEAD: _verify_tree_head,
}
