"""Submissions and messages: what is wrong is said, what they hold is not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from privacy_assets.dsar.requests import (
    JobId,
    MalformedMessage,
    Message,
    parse_message,
    parse_submission,
)
from privacy_assets.dsar.states import TRANSITIONS, Action, State, before
from privacy_assets.errors import UserError

JOB = JobId("dsar-" + "0a" * 16)
VERIFIED = {"verified": True, "method": "login"}


def test_all_that_the_subject_is_known_by() -> None:
    found = parse_submission(
        {
            "user_id": "u-1",
            "action": "export",
            "identifiers": {"email": ["a@example.com", "b@example.com", "a@example.com"], "user_id": "u-2"},
        }
    )
    assert found.known_by == {"user_id": ("u-1", "u-2"), "email": ("a@example.com", "b@example.com")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"action": "forget"}, "action: input should be 'export' or 'delete'"),
        ({"action": "delete"}, "identity.verified: expected true, an erasure needs a verified identity"),
        ({"user_id": ""}, "user_id: string should have at least 1 character"),
        ({"user_id": None}, "user_id: input should be a valid string"),
        ({"jurisdiction": "Secretland"}, "jurisdiction: string should match pattern"),
        ({"secret": "s3cret"}, "secret: unknown, expected one of user_id, action"),
        ({"identifiers": {"Bad Kind": "s3cret"}}, "identifiers"),
        ({"identifiers": {"email": ["s3cret"] * 51}}, "identifiers"),
        ({"channel": "pigeon"}, "channel: input should be"),
        ({"identity": {"verified": True, "method": "card <4111>"}}, "identity.method"),
        ({"received_at": "2026-01-01T00:00:00"}, "received_at: input should have timezone info"),
        ({"received_at": "1999-01-01T00:00:00Z"}, "received_at: expected an instant of the last 365 days"),
        (
            {"received_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
            "received_at: expected an instant of the last 365 days",
        ),
    ],
)
def test_what_is_wrong_is_said_without_what_it_holds(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        parse_submission({"user_id": "s3cret", "action": "export", **changes})
    assert said in str(error.value)
    for held in ("s3cret", "4111", "Secretland", "pigeon"):
        assert held not in str(error.value)


def test_an_erasure_with_a_verified_identity() -> None:
    assert (
        parse_submission({"user_id": "u", "action": "delete", "identity": VERIFIED}).action is Action.DELETE
    )


def test_a_message_says_what_it_is_about() -> None:
    message = Message(JOB, Action.DELETE)
    assert json.loads(message.body) == {"jobId": JOB, "action": "delete"}
    assert parse_message(message.body) == message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ({"jobId": JOB, "action": "export", "user_id": "s3cret"}, "1 unknown fields"),
        ({"jobId": "../etc", "action": "export"}, "jobId: expected dsar- and 32 hexadecimal digits"),
        ({"jobId": JOB + "\n", "action": "export"}, "jobId"),
        ({"jobId": JOB, "action": "forget"}, "action: expected export or delete"),
        ({"jobId": JOB, "action": ["export"]}, "action"),
    ],
)
def test_a_message_that_asks_for_nothing(body: Any, said: str) -> None:
    with pytest.raises(MalformedMessage, match=said) as error:
        parse_message(body if isinstance(body, str) else json.dumps(body))
    assert "s3cret" not in str(error.value)


def test_what_may_become_of_a_request() -> None:
    assert set(TRANSITIONS) == set(State)
    assert before(State.COMPLETED) == (State.RUNNING,)
    assert set(before(State.REJECTED)) == {
        State.PENDING,
        State.BLOCKED,
        State.FAILED,
        State.PARTIALLY_FAILED,
    }
