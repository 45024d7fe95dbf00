"""``POST /events``: accepted is durable, refused says why, and nothing is lost or doubled in between."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from privacy_assets.ingest.messages import unpack
from resources.queue_sender import QueueSender
from resources.signed import Caller, CallFailed
from tests.api.house import Api, running


def event(**changed: Any) -> dict[str, Any]:
    return {
        "subject_id": "subject-4711",
        "event_time": datetime.now(UTC).isoformat(),
        "event_type": "consent_given",
        **changed,
    }


def queued(api: Api) -> list[Any]:
    return [accepted for body in api.messages() for accepted in unpack(body)[0]]


def test_one_event_is_in_the_queue_when_it_is_accepted(api: Api) -> None:
    http = api.http(**api.bearer(api.client("shop")))
    answer = http.post("/events", json=event())
    assert answer.status_code == 202, answer.text
    said = answer.json()
    (found,) = queued(api)
    assert said == {"accepted": 1, "refused": 0, "events": [{"event_id": found.event_id}]}
    assert found.client == "shop"
    assert found.event["subject_id"] == "subject-4711"


def test_a_batch_is_answered_event_by_event(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    batch = [event(event_id="a"), event(subject_age=-1), "nonsense", event(event_id="b", colour="red")]
    answer = http.post("/events", json=batch)
    said = answer.json()
    assert answer.status_code == 207
    assert (said["accepted"], said["refused"]) == (1, 3)
    assert said["events"][0] == {"event_id": "a"}
    assert said["events"][1]["errors"][0]["pointer"] == "/subject_age"
    assert said["events"][2]["errors"][0]["pointer"] == ""
    assert said["events"][3]["errors"][0]["pointer"] == "/colour"
    assert [found.event_id for found in queued(api)] == ["a"]


def test_where_none_is_an_event_nothing_is_accepted(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    answer = http.post("/events", json=[event(event_type="dancing"), {}])
    document = answer.json()
    assert answer.status_code == 422
    assert {error["pointer"] for error in document["errors"]} >= {"/0/event_type", "/1/subject_id"}
    assert "dancing" not in answer.text
    assert http.post("/events", json=event(event_type=1)).json()["errors"][0]["pointer"] == "/event_type"
    assert queued(api) == []


@pytest.mark.parametrize("good", [0, 1])
def test_of_much_that_is_wrong_each_event_has_a_part(api: Api, good: int) -> None:
    http = api.http(**api.bearer(api.client()))
    wrong = event(data_categories=[7] * 64)
    answer = http.post("/events", json=[event()] * good + [wrong] * 499)
    assert answer.status_code == (207 if good else 422)
    if good:
        told = [len(one["errors"]) for one in answer.json()["events"][1:]]
    else:
        places = [error["pointer"].split("/")[1] for error in answer.json()["errors"]]
        told = [places.count(str(number)) for number in range(499)]
    assert told == [20] * 5 + [1] * 494


@pytest.mark.parametrize("number", [0, 501])
def test_a_batch_has_1_to_500_events(api: Api, number: int) -> None:
    http = api.http(**api.bearer(api.client()))
    answer = http.post("/events", json=[event()] * number)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "", "detail": "expected 1 to 500 events"}]


def test_five_hundred_events_travel_in_few_messages(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    batch = [event(event_id=f"e-{number}", message="x" * 8000) for number in range(500)]
    assert http.post("/events", json=batch).json()["accepted"] == 500
    bodies = api.messages()
    assert len(bodies) == 4  # of at most 1 MiB
    assert [found.event_id for body in bodies for found in unpack(body)[0]] == [
        f"e-{number}" for number in range(500)
    ]


BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "no JSON": (b"{", {}, 400),
    "no UTF-8": (b'{"a":"\xff"}', {}, 400),
    "NaN": (b'{"a":NaN}', {}, 400),
    "a number out of range": (b'{"a":1e999}', {}, 400),
    "half a surrogate": (b'{"subject_id":"\\ud800"}', {}, 400),
    "too deep": (b"[" * 40 + b"]" * 40, {}, 400),
    "too deep for the parser": (b"[" * 200_000, {}, 400),
    "a digit too many": (b'{"a":' + b"1" * 5000 + b"}", {}, 400),
    "too large": (b" " * (5 * (1 << 20) + 1), {}, 413),
    "a form": (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "no type": (b"{}", {"Content-Type": ""}, 415),
}


@pytest.mark.parametrize(("body", "headers", "status"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_none_is_refused(api: Api, body: bytes, headers: dict[str, str], status: int) -> None:
    http = api.http(**api.bearer(api.client()))
    answer = http.post("/events", content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 413:
        assert "5,242,880" in answer.json()["detail"]


def test_a_body_without_length_is_cut_at_the_limit(api: Api) -> None:
    http = api.http(**api.bearer(api.client()))
    endless = (b" " * 65536 for _ in range(200))
    answer = http.post("/events", content=endless, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_the_same_key_and_body_are_accepted_once(api: Api) -> None:
    http = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "one"})
    body = [event(), event(colour=1)]
    first, second = http.post("/events", json=body), http.post("/events", json=body)
    assert first.status_code == second.status_code == 207
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(queued(api)) == 1
    other = http.post("/events", json=[event()])
    assert other.status_code == 422
    assert other.json()["type"] == "urn:privacy-assets:problem:idempotency-key-reused"


def test_a_refused_body_uses_no_key_up(api: Api) -> None:
    http = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "one"})
    assert http.post("/events", json={}).status_code == 422
    assert http.post("/events", json=event()).status_code == 202


def test_a_key_is_a_clients_own(api: Api) -> None:
    for name in ("first", "second"):
        http = api.http(**api.bearer(api.client(name)), **{"Idempotency-Key": "one"})
        assert http.post("/events", json=event(event_id=name)).status_code == 202
    assert sorted(found.event_id for found in queued(api)) == ["first", "second"]


def test_in_flight_is_409_and_one_that_broke_off_is_taken_over(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request dies after SQS has the event and before its answer is stored."""

    def dies(*_: Any) -> None:
        raise RuntimeError

    http, sent = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "one"}), event()
    with monkeypatch.context() as patch:
        patch.setattr(type(api.state), "finish", dies)
        assert http.post("/events", json=sent).status_code == 500
    answer = http.post("/events", json=sent)
    assert answer.status_code == 409
    assert 30 < int(answer.headers["retry-after"]) <= 61
    api.services.now = lambda: datetime.now(UTC) + timedelta(seconds=61)
    assert http.post("/events", json=event(event_id="other")).status_code == 422
    answer = http.post("/events", json=sent)
    assert answer.status_code == 202
    first, second = queued(api)
    assert first.event_id == second.event_id == answer.json()["events"][0]["event_id"]


class Stalling:
    """A queue that holds its first caller up until it is let go; then it takes the message or fails."""

    def __init__(self, queue: Any, error: Exception | None) -> None:
        self.queue, self.error = queue, error
        self.entered, self.goes_on = threading.Event(), threading.Event()

    def send(self, bodies: Any) -> None:
        if not self.entered.is_set():
            self.entered.set()
            assert self.goes_on.wait(120)
            if self.error:
                raise self.error
        self.queue.send(bodies)


@pytest.mark.parametrize("error", [None, OSError()], ids=["ends well", "fails"])
@pytest.mark.parametrize("overtaken", ["while the second works", "after the second ended"])
def test_who_was_overtaken_takes_nothing_from_who_overtook(
    aws: str, unique: str, error: Exception | None, overtaken: str
) -> None:
    """The first caller's lease runs out while the queue keeps it waiting."""
    first = Stalling(QueueSender(f"events-{unique}"), error)
    with running(unique, events=first) as api:
        http, sent = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "one"}), event()
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(http.post, "/events", json=sent)
            assert first.entered.wait(60)
            api.services.now = lambda: datetime.now(UTC) + timedelta(seconds=62)
            if overtaken == "while the second works":
                stalling = Stalling(first.queue, None)
                api.services.events = stalling
                quick = pool.submit(http.post, "/events", json=sent)
                assert stalling.entered.wait(60)
                first.goes_on.set()
                assert slow.result().status_code == (503 if error else 202)
                # The second's claim stands, and is the second's.
                assert http.post("/events", json=sent).status_code == 409
                stalling.goes_on.set()
                answer = quick.result()
            else:
                answer = http.post("/events", json=sent)
                first.goes_on.set()
                assert slow.result().status_code == (503 if error else 202)
        assert answer.status_code == 202
        again = http.post("/events", json=sent)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == answer.json()
        assert len({found.event_id for found in queued(api)}) == 1


def test_a_claim_that_is_just_given_up_is_409_and_no_other_body(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB that says no more than that the condition failed; the item is gone when it is asked for."""
    json_ = Caller.json

    def gone(caller: Any, action: str, document: Any) -> Any:
        if action == "PutItem":
            raise CallFailed(action, 400, "ConditionalCheckFailedException", b"{}")
        return json_(caller, action, document)

    http = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "one"})
    monkeypatch.setattr(Caller, "json", gone)
    answer = http.post("/events", json=event())
    assert answer.status_code == 409, answer.text
    assert answer.headers["retry-after"] == "1"


class Broken:
    """A queue that does not take anything."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def send(self, bodies: Any) -> None:
        raise self.error


def test_a_queue_that_fails_is_503_and_its_words_stay_here(
    aws: str, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running(unique, events=Broken(OSError("subject-4711 is broken"))) as api:
        http = api.http(**api.bearer(api.client()), **{"Idempotency-Key": "one"})
        answer = http.post("/events", json=event())
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "subject-4711" not in answer.text + caplog.text
        # The claim was given up: who tries again is not told 409.
        assert http.post("/events", json=event()).status_code == 503


def test_a_mistake_of_ours_is_500_without_its_words(
    aws: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(unique, events=Broken(KeyError("subject-4711"))) as api:
        answer = api.http(**api.bearer(api.client())).post("/events", json=event())
        assert answer.status_code == 500
        document = answer.json()
        assert document["detail"] == "a mistake of ours"
        assert document["request_id"] == answer.headers["x-request-id"]
        assert "subject-4711" not in answer.text
    assert "subject-4711" not in json.dumps(capsys.readouterr())
