"""Requests over HTTP: who may see what, and from a POST to a download."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from privacy_assets.dsar.composition import Served
from privacy_assets.ledger import note, open_log
from privacy_assets.ledger.proof import parse, verify
from tests.api.house import Api, running
from tests.dsar.desk import EMAIL, PLANTED, VERIFIED, Desk

EXPORT = {"user_id": "nobody", "action": "export", "identifiers": {"email": EMAIL}}


@pytest.fixture
def desk(aws: str, unique: str, tmp_path: Path) -> Desk:
    return Desk.build(aws, unique, tmp_path, requests_policy={"approval": "delete"})


@pytest.fixture
def api(desk: Desk, unique: str) -> Iterator[Api]:
    with running(f"{unique}api", requests=Served(desk.resources)) as served:
        yield served


def caller(api: Api, name: str = "shop", **fields: Any) -> httpx.Client:
    return api.http(**api.bearer(api.client(name, **fields)))


def test_from_a_post_to_a_download(desk: Desk, api: Api) -> None:
    http = caller(api)
    answer = http.post("/dsar", json=EXPORT)
    assert answer.status_code == 200, answer.text
    job_id = answer.json()["jobId"]
    assert http.get(f"/dsar/{job_id}").json()["state"] == "PENDING"
    early = http.get(f"/dsar/{job_id}/download")
    assert (early.status_code, early.json()["detail"]) == (409, "the request is PENDING, expected COMPLETED")
    desk.settle()
    found = http.get(f"/dsar/{job_id}").json()
    assert (found["state"], found["answer"]["records"]) == ("COMPLETED", 10)
    assert {store["store"] for store in found["stores"]} == {"crm", "devices", "logs", "avatars"}
    before = datetime.now(UTC)
    link = http.get(f"/dsar/{job_id}/download")
    assert link.status_code == 302
    expires = datetime.fromisoformat(link.headers["Link-Expires"])
    assert timedelta(minutes=59) < expires - before <= timedelta(minutes=61)
    with zipfile.ZipFile(io.BytesIO(httpx.get(link.headers["Location"]).content)) as opened:
        assert EMAIL in opened.read("data/crm.json").decode()
    told = http.get(f"/dsar/{job_id}/events").json()
    key = note.parse_key(told["vkey"])
    assert key == open_log(desk.house.ledger).key
    kinds = [event["type"] for event in told["events"]]
    assert kinds[0] == "dsar.received"
    assert kinds[-2:] == ["dsar.completed", "dsar.link_given"]
    for event in told["events"]:
        proof = parse(event["proof"].encode())
        assert proof.index == event["leaf"]
        verify(proof, [key])
    said = repr(found) + repr(told)
    assert not [value for value in PLANTED if value in said]
    desk.resources.bundles.delete(f"dsar/{job_id}")
    assert http.get(f"/dsar/{job_id}/download").status_code == 410


def test_another_clients_request_is_none(api: Api) -> None:
    job_id = caller(api).post("/dsar", json=EXPORT).json()["jobId"]
    other = caller(api, "other")
    for path in ("", "/events", "/download"):
        answer = other.get(f"/dsar/{job_id}{path}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "no such request")
        assert answer.json()["detail"] == other.get(f"/dsar/dsar-0{path}").json()["detail"]


def test_scopes(api: Api) -> None:
    reads = caller(api, "reads", scopes=["dsar:read"])
    assert reads.post("/dsar", json=EXPORT).status_code == 403
    writes = caller(api, "writes", scopes=["dsar:write"])
    job_id = writes.post("/dsar", json=EXPORT).json()["jobId"]
    assert writes.get(f"/dsar/{job_id}").status_code == 403
    decision = {"decision": "approve", "decided_by": "officer"}
    assert writes.post(f"/dsar/{job_id}/approval", json=decision).status_code == 403
    assert api.http().post("/dsar", json=EXPORT).status_code == 401


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"action": "delete"}, "", "identity.verified: expected true, an erasure needs a verified identity"),
        ({"action": "forget"}, "/action", "Input should be 'export' or 'delete'"),
        ({"surname": "s3cret"}, "/surname", "unknown field"),
        ({"jurisdiction": "s3cret"}, "/jurisdiction", "String should match pattern"),
    ],
)
def test_what_is_wrong_is_said(api: Api, changes: dict[str, Any], where: str, said: str) -> None:
    answer = caller(api).post("/dsar", json={**EXPORT, **changes})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == where
    assert said in error["detail"]
    assert "s3cret" not in answer.text


def test_an_erasure_is_approved_over_http(desk: Desk, api: Api, tmp_path: Path) -> None:
    http, officer = caller(api), caller(api, "officer", scopes=["dsar:approve"])
    document = {**EXPORT, "action": "delete", "identity": VERIFIED}
    job_id = http.post("/dsar", json=document).json()["jobId"]
    decision = {"decision": "approve", "decided_by": "officer-7"}
    early = officer.post(f"/dsar/{job_id}/approval", json=decision)
    assert early.status_code == 409
    desk.settle()
    assert http.get(f"/dsar/{job_id}").json()["reason"] == "approval"
    approved = officer.post(f"/dsar/{job_id}/approval", json=decision)
    assert (approved.status_code, approved.json()["state"]) == (200, "PENDING")
    assert officer.post(f"/dsar/{job_id}/approval", json=decision).status_code == 200
    desk.settle()
    assert http.get(f"/dsar/{job_id}").json()["state"] == "COMPLETED"
    assert not [value for value in PLANTED if value.encode() in desk.holdings(tmp_path)]
    assert officer.post("/dsar/dsar-0/approval", json=decision).status_code == 404


def test_a_request_is_rejected_over_http(desk: Desk, api: Api) -> None:
    http, officer = caller(api), caller(api, "officer", scopes=["dsar:approve"])
    job_id = http.post("/dsar", json=EXPORT).json()["jobId"]
    decision = {"decision": "reject", "decided_by": "officer-7"}
    assert officer.post(f"/dsar/{job_id}/approval", json=decision).status_code == 422
    rejected = officer.post(f"/dsar/{job_id}/approval", json={**decision, "reason": "not our customer"})
    assert (rejected.status_code, rejected.json()["state"]) == (200, "REJECTED")
    assert desk.tick("dsar_requests") == []
    assert "sealed" not in desk.job(job_id)
