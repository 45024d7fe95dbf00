"""The command: what it prints, and what it does to requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from privacy_assets.cli import run
from tests.dsar.desk import EMAIL, Desk


@pytest.fixture
def desk(aws: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk.build(aws, unique, tmp_path, requests_policy={"approval": "delete"})
    names, archive, ledger = desk.house.names.dsar, desk.house.names.archive, desk.house.names.ledger
    assert names is not None
    assert archive is not None
    assert ledger is not None
    for name, value in {
        "DSAR_JOBS_TABLE": names.jobs,
        "DSAR_BUCKET": names.bucket,
        "DSAR_KEY": names.key,
        "DSAR_QUEUE": names.queue,
        "DSAR_DEAD_LETTER_QUEUE": names.dead_letters,
        "DSAR_TOPIC_ARN": f"arn:aws:sns:us-east-1:123456789012:{names.topic}",
        "ERASURE_TABLE": archive.erasures,
        "ARCHIVE_KEY": archive.key,
        "EVIDENCE_BUCKET": ledger.bucket,
        "LEDGER_TABLE": ledger.table,
        "LEDGER_KEY": ledger.key,
        "LEDGER_LOCK_MODE": "GOVERNANCE",
    }.items():
        monkeypatch.setenv(f"PRIVACY_ASSETS_{name}", value)
    return desk


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["dsar", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_request_by_command(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "request.json"
    document = {"user_id": "nobody", "identifiers": {"email": EMAIL}, "action": "delete"}
    file.write_text(json.dumps({**document, "identity": {"verified": True, "method": "login"}}))
    job_id = said(capsys, "submit", "--file", str(file))["jobId"]
    assert [each["jobId"] for each in said(capsys, "list")] == [job_id]
    assert said(capsys, "extend", job_id, "--reason", "many systems", "--by", "officer")["state"] == "PENDING"
    said(capsys, "pause", job_id, "--reason", "identity in doubt")
    said(capsys, "pause", job_id, "--resume")
    said(capsys, "acknowledge", job_id)
    desk.settle()
    assert said(capsys, "list", "--state", "blocked")[0]["reason"] == "approval"
    assert run(["dsar", "retry", job_id]) == 2
    assert "waits for approval" in capsys.readouterr().err
    assert said(capsys, "approve", job_id, "--by", "officer")["attempt"] == 2
    desk.settle()
    shown = said(capsys, "show", job_id)
    assert (shown["state"], shown["extended"], shown["approved"]) == ("COMPLETED", True, True)
    kinds = [event["type"] for event in shown["events"]]
    assert kinds[:5] == ["dsar.received", "dsar.extended", "dsar.paused", "dsar.resumed", "dsar.acknowledged"]
    assert kinds[-1] == "dsar.completed"
    assert said(capsys, "list") == []
    assert [each["jobId"] for each in said(capsys, "list", "--all")] == [job_id]
    assert run(["dsar", "show", job_id]) == 0
    assert "dsar.completed" in capsys.readouterr().out
    assert EMAIL not in json.dumps(shown)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["submit", "forget", "--user-id", "x"], "action: input should be 'export' or 'delete'"),
        (["submit", "export"], "user_id: string should have at least 1 character"),
        (["submit", "delete", "--user-id", "x"], "an erasure needs a verified identity"),
        (["submit", "export", "--user-id", "x", "--identifier", "email"], "expected KIND=VALUE"),
        (["submit", "--file", "none.json"], "none.json: No such file or directory, expected a request"),
        (["list", "--state", "lost"], "--state LOST: expected one of PENDING, RUNNING"),
        (["show", "dsar-0"], "request dsar-0: there is none of this id"),
        (["approve", "dsar-0", "--reject"], "reason: expected why the request is rejected"),
    ],
)
def test_wrong_input_is_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert run(["dsar", *arguments]) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
