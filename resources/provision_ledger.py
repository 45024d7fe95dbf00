"""What the ledger stands on: its part of ``resources.provision``, declared alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources import clients, settings
from resources.clients import error_code

if TYPE_CHECKING:
    from resources.provision import Kind, Place, Resource, Shape


@dataclass(frozen=True)
class LedgerNames:
    """What the ledger's resources are called. ``key`` is an alias of KMS; any other key we leave alone."""

    bucket: str
    table: str
    key: str

    @classmethod
    def from_settings(cls) -> "LedgerNames":
        """The names that the environment's settings give."""
        return cls(
            bucket=settings.EVIDENCE_BUCKET.value(),
            table=settings.LEDGER_TABLE.value(),
            key=settings.LEDGER_KEY.value(),
        )


def shapes(names: LedgerNames, _: "Place") -> "list[Resource]":
    """Everything that must exist, in the order in which it is created."""
    from resources.provision import Resource

    return [
        Resource("evidence bucket", names.bucket, _BUCKET),
        Resource(
            "table",
            names.table,
            {
                "keys": [["id", "S"], ["leaf", "N"]],
                "billing": "PAY_PER_REQUEST",
                "point-in-time recovery": "ENABLED",
            },
        ),
        *([Resource("signing key", names.key, _KEY)] if names.key.startswith("alias/") else []),
    ]


_BUCKET: "Shape" = {
    "versioning": "Enabled",
    "public access": "blocked",
    "encryption": "AES256",
    "object lock": "Enabled",
}
_KEY: "Shape" = {"state": "Enabled", "usage": "SIGN_VERIFY", "spec": "ECC_NIST_P256"}


# --- each kind of resource: read as a shape, create from one, correct to one --------------------------------


def _read_bucket(name: str) -> "Shape | None":
    from resources.provision import read_bucket

    found = read_bucket(name)
    if found is None:
        return None
    s3 = clients.client("s3")
    try:
        lock = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    except s3.exceptions.ClientError as error:
        if error_code(error) != "ObjectLockConfigurationNotFoundError":
            raise
        lock = {}
    return {**found, "object lock": lock.get("ObjectLockEnabled", "Disabled")}


def _create_bucket(name: str, shape: "Shape") -> None:
    s3 = clients.client("s3")
    region = s3.meta.region_name
    # us-east-1 is the default and is refused when it is named.
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True, **where)
    _correct_bucket(name, shape, ["public access", "encryption"])


def _correct_bucket(name: str, shape: "Shape", changed: Sequence[str]) -> None:
    from resources.provision import correct_bucket

    correct_bucket(name, shape, changed)
    if "object lock" in changed:
        clients.client("s3").put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": shape["object lock"]}
        )


def _read_key(name: str) -> "Shape | None":
    kms = clients.client("kms")
    try:
        key = kms.describe_key(KeyId=name)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return None
    return {"state": key["KeyState"], "usage": key["KeyUsage"], "spec": key["KeySpec"]}


def _create_key(name: str, shape: "Shape") -> None:
    kms = clients.client("kms")
    key = kms.create_key(
        Description="Signs the ledger's checkpoints", KeyUsage=shape["usage"], KeySpec=shape["spec"]
    )["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=name, TargetKeyId=key)


def _correct_key(name: str, _: "Shape", changed: Sequence[str]) -> None:
    from resources.provision import ProvisionError

    if changed != ["state"]:
        raise ProvisionError(
            f"signing key {name}: it is no key to sign with ECDSA P-256, and KMS can't change that: name "
            "another alias"
        )
    kms = clients.client("kms")
    kms.enable_key(KeyId=kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"])


def kinds() -> "dict[str, Kind]":
    """How each kind of resource is read, created and corrected."""
    from resources.provision import Kind

    return {
        "evidence bucket": Kind(_read_bucket, _create_bucket, _correct_bucket),
        "signing key": Kind(_read_key, _create_key, _correct_key),
    }
