"""Requests from their submission to their answer, over four stores on local AWS."""

import io
import json
import zipfile
from pathlib import Path

from privacy_assets.dsar.work import answer_key
from tests.dsar.desk import CUSTOMER, DEVICE, EMAIL, PLANTED, Desk


def test_an_export_from_submission_to_bundle(desk: Desk, tmp_path: Path) -> None:
    job_id = desk.submit()
    assert desk.job(job_id)["state"] == "PENDING"
    desk.settle()
    job = desk.job(job_id)
    assert job["state"] == "COMPLETED", job
    records = {name: entry["records"] for name, entry in job["stores"].items()}
    assert records == {"crm": 3, "devices": 1, "logs": 5, "avatars": 1}
    with zipfile.ZipFile(io.BytesIO(desk.resources.bundles.read(answer_key(job_id)))) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        crm = json.loads(opened.read("data/crm.json"))["records"]
        page = opened.read("index.html").decode()
    assert {each["store"] for each in manifest["stores"]} == set(records)
    assert EMAIL in json.dumps(crm)
    assert "pa55w0rd" not in json.dumps(crm)
    assert CUSTOMER in page
    assert DEVICE in page
    assert desk.waiting(f"dsar-{desk.unique}") == 0


def test_an_erasure_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    before = desk.holdings(tmp_path)
    assert all(value.encode() in before for value in PLANTED)
    job_id = desk.submit("delete")
    desk.settle()
    job = desk.job(job_id)
    assert job["state"] == "COMPLETED", job
    after = desk.holdings(tmp_path)
    assert not [value for value in PLANTED if value.encode() in after]
    assert b"cust-2" in after
    counts = {name: (each["before"], each["erased"], each["after"]) for name, each in job["stores"].items()}
    assert counts == {"crm": (3, 3, 0), "devices": (1, 1, 0), "logs": (5, 5, 0), "avatars": (1, 1, 0)}
