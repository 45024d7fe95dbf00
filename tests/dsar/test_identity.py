"""Links are walked through all stores until nothing new appears; the graph shows how, and shows no value."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from privacy_assets.dsar.identity import LimitExceeded, resolve, together
from privacy_assets.dsar.stores.protocol import (
    Erased,
    Found,
    Identifier,
    Identifiers,
    Link,
    Record,
    Remaining,
    RequestId,
)


class Rows:
    """A store of rows in memory; every field is a kind of identifier and a link."""

    def __init__(self, name: str, rows: Sequence[Mapping[str, str]]) -> None:
        self.name, self._rows = name, rows
        self.kinds = frozenset(kind for row in rows for kind in row)
        self.asked: list[Identifiers] = []

    def find(self, identifiers: Identifiers) -> Found:
        self.asked.append(identifiers)
        links, records = set(), 0
        for row in self._rows:
            known = [Identifier(*each) for each in row.items() if each[1] in identifiers.get(each[0], ())]
            records += bool(known)
            links |= {Link(one, Identifier(*each), each[0]) for one in known for each in row.items()}
        return Found(records, frozenset(links))

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        return iter(())

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:
        return Erased()

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:
        return Remaining()


def test_from_an_address_to_devices_and_no_further() -> None:
    crm = Rows(
        "crm",
        [{"email": "jane@example.com", "customer_id": "customer-1"}, {"email": "x@y.z", "customer_id": "c2"}],
    )
    events = Rows(
        "events",
        [
            {"customer_id": "customer-1", "device_id": "device-a"},
            {"customer_id": "customer-1", "device_id": "device-b"},
            {"customer_id": "c2", "device_id": "device-c"},
        ],
    )
    found = resolve({"email": ["Jane@Example.com"]}, [events, crm])
    assert found.identifiers == {
        "email": {"Jane@Example.com", "jane@example.com"},
        "customer_id": {"customer-1"},
        "device_id": {"device-a", "device-b"},
    }
    shown = found.graph.as_json()
    assert [(node["kind"], node["steps"]) for node in shown["nodes"]] == [
        ("email", 0),
        ("customer_id", 1),
        ("device_id", 2),
        ("device_id", 2),
    ]
    assert {(edge["from"], edge["to"], edge["store"]) for edge in shown["edges"]} >= {
        (0, 1, "crm"),
        (1, 2, "events"),
        (1, 3, "events"),
    }
    assert "email Ja••••om → customer_id c••••1  (crm.customer_id)" in found.graph.lines()
    for value in ("customer-1", "device-a", "ane@"):
        assert value not in str(shown)
    # What was asked is not asked again.
    assert all("customer-1" in asked["customer_id"] for asked in events.asked if "customer_id" in asked)
    assert len(events.asked) == 2


def test_a_chain_without_end_is_an_error_that_shows_it() -> None:
    chain = Rows("chain", [{"device_id": f"device-{n:04}", "other": f"other-{n:04}"} for n in range(30)])
    chain._rows = [
        *chain._rows,
        *({"device_id": f"device-{n + 1:04}", "other": f"other-{n:04}"} for n in range(29)),
    ]
    with pytest.raises(LimitExceeded, match=r"links go on after 8 steps(.|\n)*chain\.device_id") as raised:
        resolve({"device_id": ["device-0000"]}, [chain])
    assert "device-0001" not in str(raised.value)
    assert len(raised.value.graph.nodes) == 10
    assert len(resolve({"device_id": ["device-0000"]}, [chain], steps=100).identifiers["device_id"]) == 30


def test_a_shared_identifier_is_an_error() -> None:
    office = Rows("office", [{"phone": "030-1234567", "email": f"person-{n}@example.com"} for n in range(50)])
    with pytest.raises(LimitExceeded, match="more than 20 identifiers"):
        resolve({"email": ["person-1@example.com"]}, [office], most=20)


def test_an_empty_value_is_nobody() -> None:
    assert together([Identifier("email", ""), Identifier("id", "A")]) == {"id": {"A"}}
    assert resolve({"email": [""]}, []).identifiers == {}
