"""``privacy-assets ledger`` as a person types it, and as a program reads it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from privacy_assets.cli import run
from privacy_assets.ledger import Event, Log, record
from resources.ledger import LedgerResource

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def shell(ledger: LedgerResource, monkeypatch: pytest.MonkeyPatch) -> LedgerResource:
    """The environment names the test's own ledger, with five events of two requests."""
    for name, value in {
        "EVIDENCE_BUCKET": ledger.bucket,
        "LEDGER_TABLE": ledger.table,
        "LEDGER_KEY": ledger.key,
    }.items():
        monkeypatch.setenv(f"PRIVACY_ASSETS_{name}", value)
    record(ledger, *(Event("test.done", "test", stream=f"job-{n % 2}", counts={"n": n}) for n in range(5)))
    return ledger


def vkey(capsys: Captured) -> str:
    assert run(["ledger", "key"]) == 0
    return capsys.readouterr().out.strip()


def test_a_copied_folder_is_verified_without_aws(
    shell: LedgerResource, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, folder = vkey(capsys), tmp_path / "evidence"
    assert run(["ledger", "copy", str(folder)]) == 0
    assert "5 entries" in capsys.readouterr().out
    kept = tmp_path / "kept"
    kept.write_bytes((folder / "checkpoint").read_bytes())
    record(shell, Event("test.done", "test"))
    assert run(["ledger", "copy", str(folder)]) == 2  # it is not empty
    later = tmp_path / "later"
    assert run(["ledger", "copy", str(later)]) == 0
    capsys.readouterr()

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    verify = ["ledger", "verify", str(later), "--vkey", key, "--since", str(kept)]
    assert run(verify) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"✓ 6 entries make the root that {shell.origin} has signed",
        "✓ the first 5 entries are those of the checkpoint that was kept",
        "✓ 5 rows of the index agree with the log",
        "verified",
    ]
    bundle = later / "tile/entries/000.p/6"
    bundle.write_bytes(bundle.read_bytes().replace(b'"n":3', b'"n":4'))
    assert run(verify) == 1
    assert "✗ entry 3: its hash is not the one in tile/0/000.p/6\n" in capsys.readouterr().out
    assert run([*verify, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verified"], found["size"]) == (False, 6)


def test_a_copy_shows_that_an_end_was_cut_off(
    shell: LedgerResource, capsys: Captured, tmp_path: Path
) -> None:
    """Table and checkpoint restored to an earlier time agree; the index and a checkpoint put aside do not."""
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    head = {"id": {"S": "head"}, "leaf": {"N": "0"}}
    old, signed = dynamodb.get_item(TableName=shell.table, Key=head)["Item"], shell.read("checkpoint")
    record(shell, Event("test.done", "test", stream="job-1"))
    shell.replace("checkpoints/2026-01-27", shell.read("checkpoint"), "")
    dynamodb.put_item(TableName=shell.table, Item=old)
    s3.put_object(Bucket=shell.bucket, Key="ledger/checkpoint", Body=signed)

    key, folder = vkey(capsys), tmp_path / "evidence"
    assert run(["ledger", "copy", str(folder)]) == 0
    assert "5 entries" in capsys.readouterr().out
    assert run(["ledger", "verify", str(folder), "--vkey", key, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["damage"] == [
        "checkpoints/2026-01-27 has 6 entries, the log 5: entries were taken off its end",
        "index: leaf 5 of a stream, but the log has 5 entries",
    ]


def test_a_copy_stays_in_its_folder(shell: LedgerResource, capsys: Captured, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "evidence"
    shell.replace("checkpoints/../../../outside", shell.read("checkpoint"), "")
    assert run(["ledger", "copy", str(folder)]) == 0
    assert not (tmp_path / "outside").exists()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [".._.._.._outside"]


def test_a_copy_of_a_log_that_goes_on_is_whole(
    shell: LedgerResource, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another appends, and puts a checkpoint aside, after each thing that the copy reads."""
    key, folder, signer = vkey(capsys), tmp_path / "evidence", shell.signer

    other, busy, done = shell.model_copy(), list[str](), list[str]()

    def goes_on(name: str) -> None:
        if not busy:
            busy.append(name)
            Log(other, signer).append([Event("test.done", "test", stream="job-1")])
            other.replace(f"checkpoints/{len(done)}", other.read("checkpoint"), "")
            done.append(busy.pop())

    def followed(name: str) -> None:
        look = getattr(LedgerResource, name)

        def read(self: LedgerResource, path: str) -> bytes:
            found: bytes = look(self, path)
            goes_on(name)
            return found

        def listed(self: LedgerResource) -> Iterator[Any]:
            yield from list(look(self))
            goes_on(name)

        monkeypatch.setattr(LedgerResource, name, read if name == "read" else listed)

    for name in ("index", "kept", "read"):
        followed(name)
    assert run(["ledger", "copy", str(folder)]) == 0
    busy.append("verified")
    assert {"index", "kept", "read"} <= set(done)
    assert run(["ledger", "verify", str(folder), "--vkey", key]) == 0, capsys.readouterr().out


def test_the_estates_own_ledger_and_a_bucket_are_verified(shell: LedgerResource, capsys: Captured) -> None:
    assert run(["ledger", "verify"]) == 0
    assert "5 rows of the index agree" in capsys.readouterr().out
    place = ["ledger", "verify", f"s3://{shell.bucket}/ledger/", "--vkey", vkey(capsys)]
    assert run(place) == 0
    boto3.client("s3").put_object(Bucket=shell.bucket, Key="ledger/tile/0/000.p/5", Body=bytes(160))
    assert run(place) == 1


def test_a_receipt_is_verified_without_aws(
    shell: LedgerResource, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = vkey(capsys)
    assert run(["ledger", "proof", "3"]) == 0
    receipt = tmp_path / "3.tlog-proof"
    receipt.write_text(capsys.readouterr().out)
    assert run(["ledger", "proof", "job-0", "--output", str(tmp_path / "receipts")]) == 0
    assert sorted(path.name for path in (tmp_path / "receipts").iterdir()) == [
        "0.tlog-proof",
        "2.tlog-proof",
        "4.tlog-proof",
    ]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    capsys.readouterr()
    for path in (receipt, *(tmp_path / "receipts").iterdir()):
        assert run(["ledger", "verify", str(path), "--vkey", key]) == 0
        assert f"that {shell.origin} has signed" in capsys.readouterr().out
    receipt.write_text(receipt.read_text().replace("index 3", "index 2"))
    assert run(["ledger", "verify", str(receipt), "--vkey", key]) == 1


def test_the_events_of_a_request_are_shown(shell: LedgerResource, capsys: Captured) -> None:
    assert run(["ledger", "show", "job-1", "--json"]) == 0
    assert [(each["leaf"], each["counts"]["n"]) for each in json.loads(capsys.readouterr().out)] == [
        (1, 1),
        (3, 3),
    ]
    assert run(["ledger", "show"]) == 0
    assert capsys.readouterr().out.count("test.done") == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "nowhere", "--vkey", "K"], "--vkey"),
        (["verify", "nowhere"], "--vkey: missing"),
        (["verify", "--since", "nowhere"], "--since nowhere: No such file"),
        (["show", "other"], "nothing is logged of it"),
        (["proof", "99"], "leaf 99: not in a log of 5"),
        (["proof", "other"], "nothing is logged of it"),
        (["proof", "job-1"], "expected --output DIR"),
    ],
)
def test_wrong_input_is_one_line(
    shell: LedgerResource, capsys: Captured, arguments: list[str], words: str
) -> None:
    assert run(["ledger", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_a_folder_that_is_not_there_is_wrong_input(shell: LedgerResource, capsys: Captured) -> None:
    assert run(["ledger", "verify", "nowhere", "--vkey", vkey(capsys)]) == 2
    assert "no such folder" in capsys.readouterr().err
