"""Events in messages: what goes in comes out, and what is no message says why."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_assets.ingest.messages import (
    MESSAGE_BYTES,
    Accepted,
    MalformedMessage,
    TooLarge,
    accept,
    new_id,
    pack,
    unpack,
)
from tests.ingest.events import NOW, event

PLANTED = "planted-4711"


def test_an_event_without_identity_is_given_one_in_the_order_of_time() -> None:
    given_one = accept(event(), NOW)
    assert uuid.UUID(given_one.event_id).version == 7
    assert accept(event(event_id="mine"), NOW).event_id == "mine"
    ids = [new_id(NOW + timedelta(milliseconds=number)) for number in range(1000)]
    assert ids == sorted(ids)
    assert len({new_id(NOW) for _ in range(1000)}) == 1000
    assert all(uuid.UUID(each).variant == uuid.RFC_4122 for each in ids)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=256).filter(str.strip),
            st.datetimes(timezones=st.just(NOW.tzinfo), min_value=NOW.replace(tzinfo=None)),
            st.none() | st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20),
        ),
        max_size=20,
    )
)
def test_what_is_packed_is_unpacked(several: list[tuple[str, Any, str | None]]) -> None:
    events = [accept(event(subject_id=f"s{subject}"[:256]), now, client) for subject, now, client in several]
    bodies = pack(events)
    assert all(body.isascii() for body in bodies)
    assert [each for body in bodies for each in unpack(body)[0]] == events


def test_messages_are_filled_to_the_limit_of_the_queue_and_not_beyond() -> None:
    large = [accept(event(event_id=str(n), extra={"a": "x" * 60_000}), NOW) for n in range(100)]
    bodies = pack(large)
    assert [each.event_id for body in bodies for each in unpack(body)[0]] == [str(n) for n in range(100)]
    assert max(map(len, bodies)) <= MESSAGE_BYTES
    assert len(bodies) == 6
    assert len(bodies[0]) + 60_000 < MESSAGE_BYTES + 60_000 <= len(bodies[0]) + 2 * 60_200


def test_an_event_of_exactly_the_limit_fits_and_one_more_byte_does_not() -> None:
    empty = len(pack([Accepted({"event_id": "1", "a": ""}, NOW)])[0])
    fits = Accepted({"event_id": "1", "a": "x" * (MESSAGE_BYTES - empty)}, NOW)
    small = accept(event(), NOW)
    assert [len(body) == MESSAGE_BYTES for body in pack([small, fits, small])] == [False, True, False]
    with pytest.raises(TooLarge, match=r"1,048,577 bytes, expected .* at most 1,048,576") as raised:
        pack([small, Accepted({"event_id": "1", "a": "x" * (MESSAGE_BYTES - empty + 1)}, NOW)])
    assert raised.value.position == 1


def message(**fields: Any) -> dict[str, Any]:
    return {"accepted_at": NOW.isoformat(), "event": event(event_id="1"), **fields}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PLANTED, "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "expected an object"),
        (json.dumps({"version": 1, "events": [], PLANTED: 1}), "expected an object"),
        (json.dumps({"version": 2, "events": [message()]}), "version: expected 1 to 1"),
        (json.dumps({"version": True, "events": [message()]}), "version"),
        (json.dumps({"version": 1, "events": []}), "events: expected a list"),
    ],
)
def test_what_is_no_message_says_what_was_expected(body: str, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=f"^{reason}") as raised:
        unpack(body)
    assert PLANTED not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("each", "reason"),
    [
        (PLANTED, "expected accepted_at"),
        (message(more=PLANTED), "expected accepted_at"),
        (message(client=7), "/client"),
        (message(client=""), "/client"),
        (message(accepted_at=PLANTED), "/accepted_at"),
        (message(accepted_at=7), "/accepted_at"),
        (message(event=event()), "/event/event_id: missing"),
        (message(event=PLANTED), "/event: expected an object"),
        (message(event=event(event_type=PLANTED)), "/event/event_type: expected one of"),
        (message(event=event(event_time="2026-01-31T12:05:01Z")), "/event/event_time"),
    ],
)
def test_what_is_no_event_is_told_apart_from_the_events_beside_it(each: Any, reason: str) -> None:
    good = message()
    events, refused = unpack(json.dumps({"version": 1, "events": [good, each, good]}))
    assert [one.event_id for one in events] == ["1", "1"]
    assert len(refused) == 1
    assert refused[0].reason.startswith(reason)
    assert PLANTED not in refused[0].reason
    assert json.loads(refused[0].body) == {"version": 1, "events": [each]}
    assert unpack(refused[0].body) == ([], refused)
