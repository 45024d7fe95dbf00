"""What holds for every address: problems, headers, limits, probes, and a log without personal values."""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import boto3
import pytest

from privacy_assets.api import logs
from privacy_assets.api.limits import RateLimit
from privacy_assets.api.middleware import HEADERS
from privacy_assets.api.preparation import Preparation
from privacy_assets.api.services import Options
from resources.api_state import ApiState
from tests.api.house import PROMPT, Api, running
from tests.api.test_events import event


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """The log as it leaves the process."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    logger = logging.getLogger("privacy_assets.api")
    logger.setLevel(logging.INFO)
    yield out
    root.removeHandler(handler)


def test_the_log_has_routes_and_ids_and_nothing_personal(api: Api, lines: StringIO) -> None:
    planted = "jane.doe@example.org"
    headers = dict.fromkeys(("Idempotency-Key", "X-Request-Id", "User-Agent"), planted)
    http = api.http(**api.bearer(api.client()), **headers)
    http.post("/events", json=event(subject_id=planted, message=planted))
    http.post("/events", json=event(subject_id=1, **{planted: planted}))
    http.get(f"/jobs/{planted}")
    http.get(f"/{planted}")
    http.get("/results", params={"key": planted, "severity": planted, "cursor": planted})
    http.request(planted.split("@")[0].upper(), "/events")
    api.token({"client_id": planted, "client_secret": planted})
    api.http(Authorization=f"Bearer {planted}").get("/results")
    text = lines.getvalue()
    assert planted not in text
    assert "jane" not in text.lower()
    assert "127.0.0.1" not in text
    requests = [json.loads(line) for line in text.splitlines() if '"request"' in line]
    first = next(one for one in requests if one["route"] == "/events")
    assert first["status"] == 202
    assert first["client"] == "shop"
    assert first["method"] == "POST"
    assert len(first["request_id"]) == 24
    assert "/jobs/{job_id}" in {one["route"] for one in requests}


def test_an_error_is_logged_without_its_words() -> None:
    formatter = logs.JsonFormatter()
    try:
        int("jane.doe@example.org")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed %s", ("jane",), sys.exc_info())
    line = json.loads(formatter.format(record))
    assert line["error"] == "ValueError"
    assert line["places"][0].startswith("test_app.py:")
    assert "jane" not in json.dumps(line)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("DELETE", "/events", 405),
        ("OPTIONS", "/events", 405),
        ("GET", "/events/", 404),
    ],
)
def test_every_error_is_a_problem_document(api: Api, method: str, path: str, status: int) -> None:
    answer = api.http(Origin="https://elsewhere.example").request(method, path)
    document = answer.json()
    assert answer.status_code == document["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    for name, value in HEADERS:
        assert answer.headers[name.decode()] == value.decode()
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_parameter_that_is_wrong_is_named_without_its_value(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    answer = http.get("/results", params={"limit": 5000, "severity": "jane.doe@example.org"})
    assert answer.status_code == 422
    assert {error["parameter"] for error in answer.json()["errors"]} == {"limit", "severity"}
    assert "jane" not in answer.text


def test_probes_need_no_token_and_tell_when_it_can_not_work(api: Api) -> None:
    assert api.http().get("/healthz").json() == {"status": "ok"}
    assert api.http().get("/readyz").json() == {"status": "ok"}
    boto3.client("dynamodb").delete_table(TableName=api.state.table)
    assert api.http().get("/healthz").status_code == 200
    until = time.monotonic() + 60
    while (answer := api.http().get("/readyz")).status_code == 200:
        assert time.monotonic() < until
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


def test_it_is_ready_when_what_first_calls_need_is_made(aws: str, unique: str) -> None:
    """What fails keeps the rest from nobody; it is made when it is needed. Others are answered meanwhile."""
    made, done = threading.Event(), list[str]()

    def fails() -> None:
        done.append("failed")
        raise OSError

    def waits() -> None:
        assert made.wait(60)
        done.append("made")

    with running(unique, first_needs=(fails, waits)) as api, api.http() as http:
        answer = http.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert http.get("/healthz").status_code == 200
        assert api.token(api.client()).status_code == 200
        assert done == ["failed"]
        made.set()
        while http.get("/readyz").status_code != 200:
            pass
        assert done == ["failed", "made"]


@pytest.mark.anyio
async def test_what_hangs_is_waited_for_so_long_and_no_longer() -> None:
    made = threading.Event()
    patient, hanging = Preparation([made.wait]), Preparation([made.wait], patience=0.0)
    assert not await patient.over(0.01)
    assert await hanging.over(60)
    made.set()
    assert await patient.over(60)


@pytest.mark.parametrize("path", ["/scan", "/dsar"])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}], ids=["", "with a key"])
def test_a_body_is_64_kib_at_most_with_a_key_and_without(
    aws: str, unique: str, path: str, key: dict[str, str]
) -> None:
    with running(unique, requests=object()) as api:
        http = api.http(**api.bearer(api.client()), **key)
        answer = http.post(path, json={"more": "x" * (64 << 10)})
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body is too large, expected at most 65,536 bytes"


def test_who_is_told_to_come_again_is_told_when(api: Api) -> None:
    """So it says in the documentation of every address."""
    paths = api.http().get("/openapi.json").json()["paths"]
    answers = [operation["responses"] for path in paths.values() for operation in path.values()]
    assert len(answers) >= 10
    for responses in answers:
        told = {"409", "429", "503"} & set(responses)
        assert all("Retry-After" in responses[status]["headers"] for status in told)


@pytest.mark.parametrize("fails", [False, True])
def test_who_probes_often_asks_dynamodb_seldom(
    aws: str, unique: str, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    asked = []

    def ready(state: ApiState) -> None:
        asked.append(state)
        if fails:
            raise OSError

    monkeypatch.setattr(ApiState, "ready", ready)
    with running(unique, Options(ready_seconds=3600)) as api, api.http() as http:
        answers = {http.get("/readyz").status_code for _ in range(20)}
    assert answers == {503 if fails else 200}
    assert len(asked) == 1


def test_the_documentation_fetches_nothing_from_elsewhere(api: Api) -> None:
    http = api.http()
    page = http.get("/docs")
    assert "http://" not in page.text
    assert "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    for path in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "start.js"):
        assert f"/docs/{path}" in page.text
        assert http.get(f"/docs/{path}").status_code == 200
    for path in ("../__init__.py", "%2e%2e%2f__init__.py", "__init__.py"):
        assert http.get(f"/docs/{path}").status_code == 404


def test_a_client_that_asks_too_often_waits_and_others_do_not(aws: str, unique: str) -> None:
    options = replace(PROMPT, requests_a_client=10)
    with running(unique, options) as api:
        http = api.http(**api.bearer(api.client("eager")))  # the token was the first of the ten
        answers = [http.get("/results") for _ in range(10 * 2 + 1)]
        refused = [answer for answer in answers if answer.status_code == 429]
        # Two minutes, should one begin while we ask.
        assert 1 <= len(refused) <= 12
        assert 1 <= int(refused[0].headers["retry-after"]) <= 61
        assert refused[0].json()["status"] == 429
        other = api.http(**api.bearer(api.client("other")))
        assert other.get("/results").status_code == 200


def test_addresses_are_limited_before_tokens_are_looked_at(aws: str, unique: str) -> None:
    options = replace(PROMPT, requests_an_address=5)
    with running(unique, options) as api:
        answers = [api.token({"client_id": "x", "client_secret": "y"}).status_code for _ in range(11)]
        assert set(answers) == {401, 429}
        assert api.http().get("/healthz").status_code == 200
        table = boto3.resource("dynamodb").Table(api.state.table)
        kept = json.dumps(table.scan()["Items"], default=str)
    assert "127.0.0.1" not in kept  # an address is personal data


class Counts:
    """A shared count that can be broken."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.calls = 0
        self.is_broken = False

    def take(self, name: str, number: int, limit: int, expires_at: int) -> bool:
        self.calls += 1
        if self.is_broken:
            raise OSError
        if self.used.get(name, 0) + number > limit:
            return False
        self.used[name] = self.used.get(name, 0) + number
        return True


@pytest.mark.anyio
async def test_a_limit_holds_across_processes_and_costs_few_calls() -> None:
    counts, now = Counts(), [1_000_000.0]
    errors: list[Exception] = []
    one, two = (RateLimit("client", 100, counts, errors.append, lambda: now[0]) for _ in range(2))
    waits = [await limit.wait("shop") for _ in range(100) for limit in (one, two)]
    assert waits.count(0) == 100
    assert counts.calls == 20 + 2  # each asked once more, and knows then
    now[0] += 60
    assert await one.wait("shop") == 0
    counts.is_broken = True
    waits = [await two.wait("shop") for _ in range(150)]
    assert waits.count(0) == 100  # by itself, it keeps the limit
    assert len(errors) == 1


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_too_many_at_once_is_503(aws: str, unique: str) -> None:
    options = replace(PROMPT, in_flight=0)
    with running(unique, options) as api:
        answer = api.http().get("/results")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert api.http().get("/healthz").status_code == 200
