"""The command line: help that teaches, errors that are one line, answers that can be read by programs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from privacy_assets import cli, failures
from privacy_assets.cli import run
from privacy_assets.demo.command import NIGHTS
from privacy_assets.demo.days import HISTORY_DAYS, LEAST_A_DAY
from privacy_assets.errors import UserError
from privacy_assets.machine.stack import free_port
from privacy_assets.up import SAMPLE_NIGHTS

PROJECT = Path(__file__).resolve().parents[2]
COMMANDS = [["demo"], ["up"], ["scan"], ["findings"], ["athena"], ["estate", "check"], ["estate", "show"]]
# Its own are looked at first, and somebody may use them.
PORTS = [word for name in ("--port", "--aws-port") for word in (name, str(free_port()))]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    expected = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"privacy-assets {expected}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert f"privacy-assets {' '.join(command)}" in capsys.readouterr().out.split("Example")[1]


@pytest.mark.parametrize("arguments", [[], ["estate"]])
def test_no_command_is_answered_by_the_help_alone(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert "Commands" in captured.out + captured.err
    assert "NoArgs" not in captured.err


@pytest.mark.parametrize(("command", "nights"), [("demo", NIGHTS), ("up", SAMPLE_NIGHTS)])
def test_help_says_how_few_records_there_may_be(
    command: str, nights: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    assert f"{LEAST_A_DAY * (HISTORY_DAYS + nights):,}" in capsys.readouterr().out


def test_help_waits_for_nothing_heavy() -> None:
    heavy = ("dagster", "boto3", "pyarrow", "pandas", "moto", "duckdb", "pydantic")
    script = (
        "import sys; from privacy_assets.cli import run; code = run(['--help']);"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense"),
        (["athena"], "SQL"),
        (["athena", " "], "SQL: empty, expected one statement"),
        (["athena", " ; ;"], "SQL: empty, expected one statement"),
        (["demo", "--state", "/dev/null"], "--state /dev/null: no directory, expected a directory"),
        (["demo", "--state", "/proc/new"], "--state /proc/new: No such file or directory, expected"),
        (["up", *PORTS, "--state", "/dev/null"], "--state /dev/null: no directory, expected a directory"),
        (["demo", "--items", "/"], "/: Is a directory, expected a file"),
        (["athena", "--jsn", "SELECT 1"], "No such option: --jsn"),
        (["athena", "--csv", "--json", "SELECT 1"], "--csv and --json: expected one of them"),
        (["up", "--port", "80000"], "--port"),
        (["estate", "nonsense"], "nonsense"),
        (["aws", "nonsense"], "nonsense"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("privacy-assets: ")


def test_a_refused_connection_says_what_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for arguments in (["athena", "SELECT 1"], ["estate", "check"]):
        assert run(arguments) == 2
        said = capsys.readouterr().err
        assert "nothing answers at http://127.0.0.1:9" in said
        assert "privacy-assets up" in said
        assert "eval $(privacy-assets aws env)" in said


def test_no_region_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert run(["athena", "SELECT 1"]) == 2
    said = capsys.readouterr().err
    assert "specify a region; for AWS on this machine: eval $(privacy-assets aws env)" in said


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_setting_that_is_no_number_starts_nothing(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRIVACY_ASSETS_SENSOR_SECONDS", "abc")
    assert run([command, "--state", str(tmp_path / "state")]) == 2
    assert capsys.readouterr().err == (
        "privacy-assets: PRIVACY_ASSETS_SENSOR_SECONDS: 'abc', expected a number above 0\n"
    )
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("endpoint", ["localhost:4566", "http://", "http://h:port"])
def test_an_endpoint_that_is_no_url_is_told(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert run(["athena", "SELECT 1"]) == 2
    assert f"AWS_ENDPOINT_URL: '{endpoint}', expected a URL such as http://127" in capsys.readouterr().err


def test_an_estate_with_a_mistake_is_told_by_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text("version: 1\ntables: 3\n")
    monkeypatch.setenv("PRIVACY_ASSETS_ESTATE", str(path))
    assert run(["estate", "show"]) == 2
    assert f"privacy-assets: {path}:2: tables: 3, expected" in capsys.readouterr().err


def test_the_estate_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estate", "show"]) == 0
    shown = capsys.readouterr().out
    assert "PrivacyLogsTable" in shown
    assert "subject_id" in shown


def test_an_error_that_nobody_foresaw_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(cli, "app", fail)
    assert run(["estate", "show"]) == 2
    assert capsys.readouterr().err == (
        "privacy-assets: ZeroDivisionError: a b (PRIVACY_ASSETS_DEBUG=1 shows where)\n"
    )
    monkeypatch.setenv("PRIVACY_ASSETS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(["estate", "show"])


def test_our_own_errors_speak_for_themselves() -> None:
    error = UserError("here: 3, expected 4")
    error.__context__ = ConnectionRefusedError("refused")
    assert failures.explain(error) == "here: 3, expected 4"
