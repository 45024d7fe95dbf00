"""``privacy-assets archive`` as a person types it, and as a program reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from privacy_assets.archive_command import FileProgress
from privacy_assets.cli import run
from privacy_assets.ledger import open_log
from tests.archive.conftest import Archive
from tests.house import event


@pytest.fixture
def shell(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """The environment names the test's own estate and resources."""
    table = archive.house.estate.tables[0]
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"tables": [table.model_dump(mode="json", exclude_defaults=True)]}))
    for name, value in {
        "ESTATE": str(path),
        "LAKE_BUCKET": archive.house.names.bucket,
        "GLUE_DATABASE": archive.house.names.database,
        "ARCHIVE_BUCKET": archive.names.bucket,
        "ARCHIVE_KEY": archive.names.key,
        "DELETION_QUEUE": archive.names.queue,
        "DELETION_DEAD_LETTER_QUEUE": archive.names.dead_letters,
        "PIPE_DEAD_LETTER_QUEUE": archive.names.pipe_dead_letters,
        "ERASURE_TABLE": archive.names.erasures,
        "EVIDENCE_BUCKET": archive.house.ledger.bucket,
        "LEDGER_TABLE": archive.house.ledger.table,
        "LEDGER_KEY": archive.house.ledger.key,
    }.items():
        monkeypatch.setenv(f"PRIVACY_ASSETS_{name}", value)
    archive.put_and_delete(event("a", "jane"), event("b", "john"))
    archive.flush()
    archive.drain()
    return archive


def test_list_show_and_restore(shell: Archive, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["archive", "list", "--table", "visits"]) == 0
    shown = capsys.readouterr().out
    assert '{"log_id":{"S":"a"}}' in shown
    assert "2 deletions of visits" in shown
    assert (
        run(["archive", "list", "--table", "visits", "--subject", "jane", "--cause", "user", "--json"]) == 0
    )
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["keys"], row["cause"]) == ({"log_id": {"S": "a"}}, "user")
    assert run(["archive", "show", "--table", "visits", "--key", "a"]) == 0
    assert json.loads(capsys.readouterr().out)["record"]["dynamodb"]["OldImage"] == event("a", "jane")
    restore = ["archive", "restore", "--table", "visits", "--from", "2026-01-01"]
    assert run([*restore, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["restored"] == 2
    report = tmp_path / "report.jsonl"
    assert run([*restore, "--report", str(report), "--progress", str(tmp_path / "progress")]) == 0
    assert "restored" in capsys.readouterr().out
    assert {json.loads(line)["status"] for line in report.read_text().splitlines()} == {"restored"}
    assert not (tmp_path / "progress").exists()
    assert len(shell.dynamodb.scan(TableName=shell.table)["Items"]) == 2
    log = open_log(shell.house.ledger)
    head = log.checkpoint()
    assert head is not None
    begun, completed = log.read(range(head.size))  # the dry run is not there
    assert (begun.event.kind, completed.event.kind) == ("restore.begun", "restore.completed")
    assert completed.event.counts == {"restored": 2}
    assert b"jane" not in begun.leaf + completed.leaf


def test_keys_of_a_file_and_an_exit_code_for_what_is_missing(
    shell: Archive, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text('a\n{"log_id": {"S": "never"}}\n')
    restore = ["archive", "restore", "--table", "visits", "--keys-file", str(keys), "--json"]
    assert run(restore) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["restored"], found["missing"]) == (1, 1)


def test_a_request_for_dagster_holds_no_personal_value(
    shell: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["archive", "restore", "--table", "visits", "--subject", "jane", "--request"]) == 0
    printed = capsys.readouterr().out
    config = json.loads(printed)["ops"]["archive__restored"]["config"]
    assert "jane" not in printed
    lake = shell.house.lake
    assert json.loads(lake.read(lake.key(config["request"]))) == {"subject": "jane"}


def test_dead_letters_are_sent_again(shell: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    shell.send(["{"])
    shell.drain()
    assert run(["archive", "redrive", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["redriven"] == 1
    assert shell.waiting() == {"queue": 1, "dead_letters": 0, "pipe_dead_letters": 0}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["list", "--table", "nothing"], "table 'nothing': not governed, expected one of visits"),
        (["restore", "--table", "visits"], "nothing selected: expected keys, a subject, a time range"),
        (["list", "--table", "visits", "--from", "soon"], "'soon': expected a day or an instant"),
        (
            ["list", "--table", "visits", "--from", "2026-02-02", "--to", "2026-02-01"],
            "--from 2026-02-02 --to 2026-02-01: expected a time before another",
        ),
        (["list", "--table", "visits", "--to", "9999-12-31"], "'9999-12-31': expected a day or an instant"),
        (
            ["restore", "--table", "visits", "--key", "a", "--progress", "/none/there"],
            "/none/there: No such file or directory, expected a file to note the progress in",
        ),
        (
            ["restore", "--table", "visits", "--key", "a", "--progress", "/"],
            "/: expected the progress of a restore, or no file",
        ),
        (
            ["restore", "--table", "visits", "--key", "a", "--report", "/none/there"],
            "/none/there: No such file or directory, expected a file to write the report to",
        ),
        (["restore", "--table", "visits", "--key", "{"], 'key: expected {"log_id":{"S":"…"}}'),
        (
            ["show", "--table", "visits", "--key", "a", "--sequence", "x"],
            "no such deletion is in the archive",
        ),
        (
            ["list", "--table", "visits", "--cause", "x"],
            "cause 'x': expected one of user, ttl, dsar, overwrite",
        ),
        (
            ["restore", "--table", "visits", "--keys-file", "/none"],
            "/none: No such file or directory, expected",
        ),
        (
            ["restore", "--table", "visits", "--key", "a", "--expired", "x"],
            "--expired 'x': expected one of leave",
        ),
        (["restore", "--table", "visits", "--key", "a", "--to-table", "nowhere"], "nowhere: no such table"),
        (["show", "--table", "visits", "--key", "never"], "visits: no such deletion is in the archive"),
    ],
)
def test_bad_input_is_one_clear_line(
    shell: Archive, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert run(["archive", *arguments]) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert open_log(shell.house.ledger).checkpoint() is None  # nothing has begun


def test_a_killed_restore_goes_on_with_its_report(
    shell: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is noted as done is written, and what is not is told anew: each record has one line."""
    shell.put_and_delete(*(event(f"{number}") for number in range(28)))
    shell.flush()
    shell.drain()
    monkeypatch.setattr("privacy_assets.archive.restore._SLICE", 5)
    report, save = tmp_path / "report.jsonl", FileProgress.save
    report.write_text("of another restore\n")
    noted: list[int] = []

    def dies(progress: FileProgress, done: Mapping[str, Any]) -> None:
        noted.append(sum(done["counts"].values()))
        assert len(report.read_text().splitlines()) == noted[-1]
        if len(noted) == 4:
            raise KeyboardInterrupt
        save(progress, done)

    command = ["archive", "restore", "--table", "visits", "--from", "2026-01-01", "--report", str(report)]
    command += ["--progress", str(tmp_path / "progress")]
    with monkeypatch.context() as patch:
        patch.setattr(FileProgress, "save", dies)
        assert run(command) == 130
    assert 0 < noted[2] < noted[3] < 30
    assert run(command) == 0
    keys = [json.loads(line)["keys"]["log_id"]["S"] for line in report.read_text().splitlines()]
    assert sorted(keys) == sorted(["a", "b", *map(str, range(28))])
