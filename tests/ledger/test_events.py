from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from privacy_assets.ledger.events import Event, EventError, commit, decode, subject_hmac

AT = datetime(2026, 1, 27, 13, 5, 6, 789123, tzinfo=timezone(timedelta(hours=2)))


def test_an_event_is_canonical_json() -> None:
    event = Event(
        "scan.completed",
        actor="scan",
        at=AT,
        stream="job-1",
        counts={"z": 1, "a": 2},
        artefacts={"report": "0" * 64},
        details={"b": [1.5, None], "a": "ü"},
    )
    leaf = event.encode()
    assert leaf.decode() == (
        '{"actor":"scan","artefacts":{"report":"' + "0" * 64 + '"},"at":"2026-01-27T11:05:06.789Z",'
        '"counts":{"a":2,"z":1},"details":{"a":"ü","b":[1.5,null]},"kind":"scan.completed",'
        '"stream":"job-1","v":1}'
    )
    assert decode(leaf).encode() == leaf
    assert decode(leaf).at == datetime(2026, 1, 27, 11, 5, 6, 789000, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "Scan"},
        {"kind": "scan"},
        {"actor": ""},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001  # that is what is wrong with it
        {"subject": "jane"},
        {"counts": {"a": 1.5}},
        {"counts": {"a": True}},
        {"artefacts": {"a": "b"}},
        {"details": {"a": ["jane.doe@example.com"]}},
        {"details": {"jane.doe@example.com": 1}},
        {"stream": "jane.doe@example.com"},
    ],
)
def test_what_is_no_event_is_refused_and_not_quoted(fields: dict[str, Any]) -> None:
    with pytest.raises(EventError) as refused:
        Event(**{"kind": "scan.completed", "actor": "scan", **fields})
    assert "jane" not in str(refused.value)


@pytest.mark.parametrize("details", [{"a": 2**53}, {"a": float("nan")}, {"a": object()}, {"a": "x" * 65_536}])
def test_what_has_no_canonical_form_is_refused(details: dict[str, Any]) -> None:
    with pytest.raises(EventError):
        Event("scan.completed", actor="scan", details=details).encode()


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"[]",
        b"{}",
        b'{"v":1}',
        b'{"actor":"a","at":"2026-01-27T11:05:06.789Z","kind":"a.b","v":2}',
        b'{"actor":"a","at":"2026-01-27T11:05:06.789Z","kind":"a.b","other":1,"v":1}',
        b'{"actor":"a", "at":"2026-01-27T11:05:06.789Z","kind":"a.b","v":1}',
        b'{"kind":"a.b","actor":"a","at":"2026-01-27T11:05:06.789Z","v":1}',
    ],
)
def test_a_leaf_that_is_no_event_is_refused(leaf: bytes) -> None:
    with pytest.raises(EventError):
        decode(leaf)


def test_subjects_and_commitments_need_their_keys() -> None:
    assert subject_hmac(b"k", "jane") == subject_hmac(b"k", "jane") != subject_hmac(b"l", "jane")
    first, salt = commit(b"value")
    assert commit(b"value", salt) == (first, salt)
    assert commit(b"value")[0] != first
    assert commit(b"other", salt)[0] != first
