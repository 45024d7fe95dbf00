"""Who signs the ledger's checkpoints: a key of KMS (``ECC_NIST_P256``), or one in a PEM file.

Both sign with ECDSA over SHA-256 and answer the signature DER-encoded, so a log looks the same either way.
"""

import functools
import os
from pathlib import Path

from resources import clients


class KmsSigner:
    """A key that never leaves KMS. Raises botocore's errors."""

    def __init__(self, key_id: str) -> None:
        self._key_id = key_id
        self.public_key = bytes(clients.client("kms").get_public_key(KeyId=key_id)["PublicKey"])

    def sign(self, message: bytes) -> bytes:
        """The signature over ``message``, of at most 4,096 bytes."""
        answer = clients.client("kms").sign(
            KeyId=self._key_id, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
        )
        return bytes(answer["Signature"])


class PemSigner:
    """A P-256 key in a PEM file without a password. Raises OSError and ValueError."""

    def __init__(self, path: Path) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
            raise ValueError(f"{path}: expected a private key on the curve P-256")  # noqa: TRY004  # of a file
        self._key = key
        self.public_key = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        """The signature over ``message``."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


def signer(key: str) -> KmsSigner | PemSigner:
    """The signer of ``key``: the path of a ``.pem`` file, else a key of KMS; kept for the process."""
    return _signer(key, os.environ.get("AWS_ENDPOINT_URL", ""))


@functools.lru_cache(maxsize=64)
def _signer(key: str, _: str) -> KmsSigner | PemSigner:
    return PemSigner(Path(key)) if key.endswith(".pem") else KmsSigner(key)
