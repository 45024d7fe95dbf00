"""``s3_prefix``: every version and every delete marker of the subject's objects, and of nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from privacy_assets.dsar.stores.protocol import Blocked, Erased, Store, StoreError
from privacy_assets.dsar.stores.s3_prefix import LOCKED
from tests.dsar.stores.conftest import JANE, NOBODY, REQUEST, Stores, is_erased


def store(kit: Stores, bucket: str, *keys: str) -> Store:
    return kit.store("s3_prefix", bucket=bucket, keys=list(keys) or ["users/{customer_id}/"])


@pytest.mark.parametrize("versioned", [True, False])
def test_an_erasure_leaves_no_version(kit: Stores, versioned: bool) -> None:
    bucket = kit.bucket("files", versioned=versioned)
    for body in (b"first", b"second"):
        kit.put(bucket, "users/customer-4711/a.txt", body)
    kit.put(bucket, "users/customer-4711/deep/b.bin", b"\xff\x00")
    kit.put(bucket, "profiles/customer-4711.json", b"{}")
    kit.put(bucket, "users/customer-4711/gone.txt", b"once")
    kit.s3.delete_object(Bucket=bucket, Key="users/customer-4711/gone.txt")
    others = {"users/customer-47111/x", "users/customer-471/x", "profiles/customer-4711.json.bak", "users/x"}
    for key in others:
        kit.put(bucket, key, b"somebody else's")
    subject = store(kit, bucket, "users/{customer_id}/", "profiles/{customer_id}.json")
    assert subject.find(JANE).records == 3
    assert subject.find(NOBODY).records == 0
    exported = {record["key"]: record for record in subject.export(JANE)}
    assert exported["users/customer-4711/a.txt"]["text"] == "second"
    assert exported["users/customer-4711/deep/b.bin"]["base64"] == "/wA="
    done = is_erased(subject, Erased(before=3, erased=3))
    assert done.versions == (3 if versioned else 0)  # an old version, and a version behind its marker
    assert {key for key, _ in kit.all_versions(bucket)} == others


@pytest.mark.parametrize("hold", [True, False])
def test_what_object_lock_holds_is_blocked_hidden_and_taken_up_again(kit: Stores, hold: bool) -> None:
    bucket, key = kit.bucket("locked", locked=True), "users/customer-4711/a.txt"
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    lock: dict[str, Any] = (
        {"ObjectLockLegalHoldStatus": "ON"}
        if hold
        else {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    )
    version = kit.put(bucket, key, b"locked", **lock)
    kit.put(bucket, key, b"free")
    subject = store(kit, bucket)
    done = subject.erase(JANE, REQUEST)
    expected = Blocked(LOCKED, 1, None if hold else until)
    assert (done.before, done.erased, done.blocked) == (1, 1, (expected,))
    # Nobody reads what was there before.
    assert subject.find(JANE).records == 0
    assert set(kit.all_versions(bucket).values()) == {b"locked", None}
    left = subject.verify(JANE)
    assert (left.clean, left.blocked) == (True, (expected,))
    assert subject.erase(JANE, REQUEST).blocked == (expected,)
    assert len(kit.all_versions(bucket)) == 2  # no marker more
    if hold:
        kit.s3.put_object_legal_hold(Bucket=bucket, Key=key, VersionId=version, LegalHold={"Status": "OFF"})
        assert not subject.erase(JANE, REQUEST).blocked
        assert kit.all_versions(bucket) == {}


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a/b", "../customer-4711", "a\x00", "a\nb", "x" * 1000, "/"]
)
def test_an_identifier_leads_nowhere_else(kit: Stores, value: str) -> None:
    bucket = kit.bucket("files")
    kit.put(bucket, "users/customer-4711/a.txt", b"hers")
    kit.put(bucket, "users//a.txt", b"whose?")
    for call in (store(kit, bucket).find, lambda who: store(kit, bucket).erase(who, REQUEST)):
        with pytest.raises(StoreError, match="can't be part of a key") as raised:
            call({"customer_id": frozenset({value})})
        assert len(value) < 3 or value not in str(raised.value)
    assert len(kit.all_versions(bucket)) == 2


@pytest.mark.parametrize("value", ["*", "?", "{customer_id}", "a b+c%2F", "é", "$(x)"])
def test_an_odd_identifier_is_taken_as_it_is(kit: Stores, value: str) -> None:
    bucket = kit.bucket("files")
    kit.put(bucket, f"users/{value}/a.txt", b"hers")
    kit.put(bucket, "users/customer-4711/a.txt", b"another's")
    done = store(kit, bucket).erase({"customer_id": frozenset({value})}, REQUEST)
    assert done.erased == 1
    assert [key for key, _ in kit.all_versions(bucket)] == ["users/customer-4711/a.txt"]
