"""``privacy-assets scan``: what is printed, and what it ends with."""

import csv
import io
import json
import zipfile
from pathlib import Path

import boto3
import pytest
from stdnum import luhn

from privacy_assets.cli import run

SSN = "-".join(("536", "90", "4399"))
EMAIL = "@".join(("maria.garcia", "corp-mail.io"))
_ISSUED = "45320" + "1511283036"
CARD = _ISSUED + luhn.calc_check_digit(_ISSUED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.log").write_text(f"first\nssn={SSN} and {EMAIL}\n")
    (tmp_path / "clean.txt").write_text("nothing\n")
    (tmp_path / "people.csv").write_text(f"name,card\nMaria,{CARD}\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("in/a.txt", f"mail to {EMAIL}\n")
    return tmp_path


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_table_by_file_and_detector(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", str(folder)]) == 1
    out = capsys.readouterr().out
    assert [line.split()[-3:] for line in out.splitlines()[1:5]] == [
        ["ssn", "high", "1"],
        ["email", "medium", "1"],
        ["email", "medium", "1"],
        ["credit_card", "high", "1"],
    ]
    assert "4 findings in 4 objects, 4 of them read to the end" in out
    for value in (SSN, EMAIL, CARD):
        assert value not in out


def test_json_lines_have_places_and_no_values(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", str(folder), "--json"]) == 1
    out = capsys.readouterr().out
    found = {(Path(str(one["source"])).name, one["detector"]): one for one in lines(out)}
    ssn = found["a.log", "ssn"]
    assert (ssn["byte_offset"], ssn["length"], ssn["line"]) == (10, 11, 2)
    assert (ssn["masked_match"], ssn["severity"], ssn["confidence"]) == ("XXX-XX-4399", "high", "high")
    card = found["people.csv", "credit_card"]
    assert (card["column"], card["row"], card["line"]) == ("card", 1, 2)
    assert found["all.zip", "email"]["member"] == "in/a.txt"
    for value in (SSN, EMAIL, CARD):
        assert value not in out


def test_two_processes_tell_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["scan", str(folder), "--json"])
    one = sorted(capsys.readouterr().out.splitlines())
    run(["scan", str(folder), "--json", "--processes", "2"])
    assert sorted(capsys.readouterr().out.splitlines()) == one


def test_csv_and_sarif(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["scan", str(folder), "--csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["detector"] for row in rows} == {"ssn", "email", "credit_card"}
    run(["scan", str(folder), "--sarif"])
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (told,) = log["runs"]
    rules = {rule["id"] for rule in told["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in told["results"]} == {"ssn", "email", "credit_card"} <= rules
    (ssn,) = (result for result in told["results"] if result["ruleId"] == "ssn")
    assert ssn["level"] == "error"
    assert ssn["locations"][0]["physicalLocation"]["region"] == {
        "byteOffset": 10,
        "byteLength": 11,
        "startLine": 2,
    }


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["clean.txt"], 0),
        (["a.log", "--fail-on", "critical"], 0),
        (["a.log", "--fail-on", "high"], 1),
        (["a.log", "--detectors", "email", "--fail-on", "high"], 0),
        (["a.log", "--detectors", "email"], 1),
    ],
)
def test_the_exit_code_says_what_was_found(folder: Path, arguments: list[str], code: int) -> None:
    assert run(["scan", str(folder / arguments[0]), *arguments[1:]]) == code


def test_values_are_told_only_to_who_asks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["scan", str(folder / "a.log"), "--reveal"])
    assert f"a.log:2 @10 ssn {SSN}" in capsys.readouterr().out
    run(["scan", str(folder / "a.log"), "--reveal", "--json"])
    assert {one["value"] for one in lines(capsys.readouterr().out)} == {SSN, EMAIL}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-be", "latin-1"])
def test_offset_and_length_cut_the_value_out_of_the_file(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    escaped = EMAIL.replace("@", "\\u0040")
    text = '{"é": 1, "ssn": "' + SSN + '",\n "mail": "' + escaped + '"}\n'
    content = text.encode(encoding)
    (tmp_path / "a.json").write_bytes(content)
    run(["scan", str(tmp_path), "--json"])
    cut = [
        content[int(str(one["byte_offset"])) :][: int(str(one["length"]))]
        for one in lines(capsys.readouterr().out)
    ]
    plain = {"utf-16": "utf-16-le"}.get(encoding, encoding)
    assert [value.decode(plain) for value in cut] == [SSN, escaped]


def test_an_entry_that_allows_no_more_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = folder / "rules.yaml"
    rules.write_text(f"allow:\n  - value: {SSN}\n    reason: the manual\n    expires: 2020-01-31\n")
    assert run(["scan", str(folder / "a.log"), "--rules", str(rules)]) == 1
    assert "allowed until 2020-01-31, so found again: the manual" in capsys.readouterr().err


def test_what_was_not_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "torn.gz").write_bytes(b"\x1f\x8b\x08\x00torn")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    assert run(["scan", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "0 findings in 2 objects, 0 of them read to the end" in told.out
    assert f"failed: {tmp_path}/torn.gz: broken" in told.err
    assert f"skipped: {tmp_path}/lost: vanished" in told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["/nowhere/at/all"],
            "/nowhere/at/all: no such file or folder; expected a path or s3://bucket/prefix",
        ),
        ([".", "--json", "--csv"], "--json and --csv: expected one of them, not both"),
        ([".", "--detectors", "snn"], "--detectors: 'snn', expected some of aws_access_key_id"),
        (["s3://"], "s3://: no bucket, expected s3://bucket/prefix"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_a_bucket_is_scanned_as_files_are(
    aws: str, unique: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=f"b-{unique}")
    for path in folder.iterdir():
        s3.upload_file(str(path), f"b-{unique}", f"in/{path.name}")
    s3.put_object(Bucket=f"b-{unique}", Key="out/b.txt", Body=SSN)
    assert run(["scan", f"s3://b-{unique}/in/", "--json"]) == 1
    found = lines(capsys.readouterr().out)
    assert len(found) == 4
    assert {str(one["source"]).rpartition("/")[0] for one in found} == {f"s3://b-{unique}/in"}
    assert run(["scan", f"s3://none-{unique}/"]) == 2
    assert "vanished (NoSuchBucket), expected a bucket to list" in capsys.readouterr().err
