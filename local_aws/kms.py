"""Keys that outlive a restart.

Moto makes elliptic curve keys from OpenSSL's chance, which a replayed journal can't have again, and for every
symmetric key an RSA one that nobody uses.
"""

import os
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from moto.kms import models, utils
from moto.kms.exceptions import ValidationException
from moto.kms.utils import AbstractPrivateKey, ECDSAPrivateKey, KeySpec

from local_aws import replay
from local_aws.context import Context

_moto_generate_private_key = utils.generate_private_key
_SPARE = 8  # bytes beyond the order's, so that the remainder is even


def install(_: Context) -> None:
    """Put this engine into moto's place."""
    models.generate_private_key = _generate_private_key  # type: ignore[attr-defined]  # no other way in


def _generate_private_key(key_spec: str) -> AbstractPrivateKey:
    if key_spec in KeySpec.ecc_key_specs():
        key = ECDSAPrivateKey(key_spec)
        curve = key.private_key.curve
        chance = int.from_bytes(os.urandom(curve.key_size // 8 + 1 + _SPARE))
        key.private_key = ec.derive_private_key(chance % (curve.group_order - 1) + 1, curve)
        return key
    if key_spec in KeySpec.rsa_key_specs():
        if replay.active():
            raise ValidationException(
                f"KeySpec {key_spec}: local AWS that keeps its state has no RSA keys, expected ECC_NIST_P256 "
                "or another elliptic curve"
            )
        return _moto_generate_private_key(key_spec)
    return _NoPrivateKey()


class _NoPrivateKey(AbstractPrivateKey):
    """A symmetric key has none."""

    def sign(self, *_: Any) -> bytes:
        raise ValidationException("the key has no private key to sign with")

    def verify(self, *_: Any) -> bool:
        raise ValidationException("the key has no private key to sign with")

    def public_key(self) -> bytes:
        raise ValidationException("the key has no public key")
