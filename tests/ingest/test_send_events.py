"""examples/send_events.py against the API, as its reader runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy_assets.ingest.messages import unpack
from tests.api.house import Api, running

EXAMPLE = Path(__file__).parents[2] / "examples" / "send_events.py"


@pytest.fixture
def api(aws: str, unique: str) -> Iterator[Api]:
    with running(unique) as api:
        yield api


def run(*arguments: str, **credentials: str) -> "subprocess.CompletedProcess[str]":
    environment = {f"PRIVACY_ASSETS_{name.upper()}": value for name, value in credentials.items()}
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_all_that_it_sends_is_accepted(api: Api) -> None:
    sent = (
        "--api",
        api.address,
        "--count",
        "55",
        "--batch",
        "20",
        "--rate",
        "0",
        "--late",
        "0.3",
        "--seed",
        "4",
    )
    done = run(*sent, "--json", **api.client(scopes=["events:write"]))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["accepted"], summary["refused"]) == (55, 0)
    events = [each.event for body in api.messages() for each in unpack(body)[0]]
    assert len({event["event_id"] for event in events}) == 55
    assert len({event["event_time"][:13] for event in events}) > 2, "none came late"


def test_who_may_not_send_is_told_in_one_line(api: Api) -> None:
    reader = api.client("reader", scopes=["scans:read"])
    done = run("--api", api.address, "--count", "1", **reader)
    assert done.returncode == 1
    assert done.stderr.startswith("send_events.py: HTTP 403: ")
    wrong = {**reader, "client_secret": reader["client_secret"][::-1]}
    done = run("--api", api.address, "--count", "1", **wrong)
    assert done.returncode == 1
    assert done.stderr == "send_events.py: the client's id or secret is not valid\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--api", "http://example.com"), "--api http://example.com: expected https, as a secret is sent"),
        (("--api", "example.com"), "--api example.com: expected an address"),
        (("--batch", "501"), "--batch from 1 to 500"),
        ((), "PRIVACY_ASSETS_CLIENT_ID and PRIVACY_ASSETS_CLIENT_SECRET: not set"),
    ],
)
def test_wrong_input_is_told_in_one_line(arguments: tuple[str, ...], told: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]


def test_help_teaches() -> None:
    done = run("--help")
    assert done.returncode == 0
    for taught in ("client secret local --env", "--rate", "Idempotency-Key", "privacy-assets athena"):
        assert taught in done.stdout
