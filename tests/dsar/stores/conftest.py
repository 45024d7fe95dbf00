"""An estate with stores on local AWS, and what each store's test asks of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from privacy_assets.dsar.stores.build import stores
from privacy_assets.dsar.stores.protocol import Erased, Identifiers, RequestId, Store
from privacy_assets.estate import load_estate
from resources.subjects import SubjectsResource
from tests import postgres
from tests.house import House, client

REQUEST = RequestId("request-1")
JANE: Identifiers = {
    "email": frozenset({"jane.doe@example.com"}),
    "customer_id": frozenset({"customer-4711"}),
}
NOBODY: Identifiers = {
    "email": frozenset({"nobody@example.com"}),
    "customer_id": frozenset({"customer-0000"}),
}


class Stores:
    """A lake, a registry of erasures, and an estate that a test adds stores to."""

    def __init__(self, unique: str, folder: Path, subjects: SubjectsResource) -> None:
        self.unique, self.folder, self.subjects = unique, folder, subjects
        self.s3, self.dynamodb, self.glue = client("s3"), client("dynamodb"), client("glue")

    @classmethod
    def small(cls, unique: str, folder: Path) -> "Stores":
        """Without governed tables in the account."""
        subjects = SubjectsResource(
            database=f"db_{unique}",
            lake_bucket=f"lake-{unique}",
            archive_bucket=f"archive-{unique}",
            erasure_table=f"erasures-{unique}",
            key_id=f"alias/archive-{unique}",
        )
        table = {"name": "visits", "table": f"visits-{unique}", "keys": ["log_id"], "owner": "team:privacy"}
        (folder / "estate.yaml").write_text(
            yaml.safe_dump({"tables": [{**table, "columns": {"log_id": {"type": "string"}}}]})
        )
        kit = cls(unique, folder, subjects)
        kit.s3.create_bucket(Bucket=subjects.lake_bucket)
        versioning = {"Status": "Enabled"}
        kit.s3.put_bucket_versioning(Bucket=subjects.lake_bucket, VersioningConfiguration=versioning)
        kit.glue.create_database(DatabaseInput={"Name": subjects.database})
        key = client("kms").create_key()["KeyMetadata"]["KeyId"]
        client("kms").create_alias(AliasName=subjects.key_id, TargetKeyId=key)
        kit.dynamodb.create_table(
            TableName=subjects.erasure_table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return kit

    @classmethod
    def of(cls, house: House, folder: Path) -> "Stores":
        """With all that a house with an archive has."""
        assert house.names.archive is not None
        subjects = SubjectsResource(
            database=house.names.database,
            lake_bucket=house.names.bucket,
            archive_bucket=house.names.archive.bucket,
            erasure_table=house.names.archive.erasures,
            key_id=house.names.archive.key,
        )
        return cls(house.names.database, folder, subjects)

    def store(self, kind: str, **fields: Any) -> Store:
        """The store as ``estate.yaml`` would declare it."""
        path = self.folder / "estate.yaml"
        written = yaml.safe_load(path.read_text())
        written["stores"] = [{"name": "store", "kind": kind, "owner": "team:privacy", **fields}]
        path.write_text(yaml.safe_dump(written))
        (found,) = stores(load_estate(path), self.subjects, self.folder)
        return found

    def bucket(self, name: str, *, versioned: bool = True, locked: bool = False) -> str:
        full = f"{name}-{self.unique}"
        self.s3.create_bucket(Bucket=full, ObjectLockEnabledForBucket=locked)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=full, VersioningConfiguration={"Status": "Enabled"})
        return full

    def put(self, bucket: str, key: str, body: bytes, **arguments: Any) -> str:
        return str(
            self.s3.put_object(Bucket=bucket, Key=key, Body=body, **arguments).get("VersionId", "null")
        )

    def get(self, bucket: str, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def all_versions(self, bucket: str, prefix: str = "") -> dict[tuple[str, str], bytes | None]:
        """Every version of every object, None for a delete marker."""
        found: dict[tuple[str, str], bytes | None] = {}
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Versions", ()):
                where = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
                found[each["Key"], each["VersionId"]] = self.s3.get_object(**where)["Body"].read()
            for each in page.get("DeleteMarkers", ()):
                found[each["Key"], each["VersionId"]] = None
        return found


@pytest.fixture
def kit(aws: str, unique: str, tmp_path: Path) -> Stores:
    return Stores.small(unique, tmp_path)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with postgres.database(postgres_server) as url:
        yield url


def is_erased(store: Store, expected: Erased) -> Erased:
    """Erasing does what is expected, a search then finds nothing, and a second time there is nothing."""
    done = store.erase(JANE, REQUEST)
    assert counts(done) == counts(expected)
    assert store.find(JANE).records == sum(each.records for each in expected.retained)
    left = store.verify(JANE, done.touched)
    assert left.clean
    assert left.retained == expected.retained
    again = store.erase(JANE, REQUEST)
    assert again.nothing_left
    assert again.retained == expected.retained
    return done


def counts(done: Erased) -> tuple[Any, ...]:
    return done.before, done.erased, done.changed, done.retained, done.blocked
