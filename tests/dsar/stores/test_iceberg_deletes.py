"""Iceberg tables from which others delete on read: what is hidden is erased, or the store says why not."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from privacy_assets.dsar.stores.protocol import Erased, Retained, Store, StoreError
from tests.dsar.stores.conftest import JANE, REQUEST, Stores, is_erased
from tests.row_deletes import delete_by_value, delete_in_place

MAIL = "jane.doe@example.com"
SCHEMA = pa.schema([("email", pa.string()), ("note", pa.string())])
HOLD = {"article": "GDPR Art. 17(3)(e)", "reason": "legal claims", "where": {"note": "hold"}}


def table_of(kit: Stores, *files: Sequence[tuple[str, str]]) -> str:
    name = f"mor_{kit.unique}"
    iceberg = kit.subjects.iceberg()
    iceberg.ensure(name, SCHEMA, [])
    for rows in files:
        loaded(kit, name).append(
            pa.Table.from_pylist([{"email": a, "note": b} for a, b in rows], schema=SCHEMA)
        )
    return name


def loaded(kit: Stores, name: str) -> Table:
    found = kit.subjects.iceberg().table(name)
    assert found is not None
    return found


def hide(kit: Stores, name: str, mail: str, note: str) -> None:
    """Delete a row by its position."""
    assert delete_in_place(loaded(kit, name), lambda row: (row["email"], row["note"]) == (mail, note)) == 1


def notes(kit: Stores, name: str) -> list[str]:
    batches = kit.subjects.iceberg().batches(name)
    return sorted(str(row["note"]) for batch in batches for row in batch.to_pylist())


def bytes_of(kit: Stores, name: str) -> list[str]:
    """The notes that stand in any version of any Parquet file of the table."""
    found = []
    for (key, _), body in kit.all_versions(kit.subjects.lake_bucket).items():
        if body is not None and f"/{name}/" in key and key.endswith(".parquet"):
            columns = pq.read_table(io.BytesIO(body)).to_pydict()
            found += columns.get("note", [])
    return sorted(found)


def store(kit: Stores, name: str, **fields: Any) -> Store:
    return kit.store("lake", tables=[{"table": name, "match": {"email": "email"}, **fields}])


def test_what_a_delete_by_position_hides_is_erased(kit: Stores) -> None:
    name = table_of(
        kit,
        [(MAIL, "hidden beside his"), ("max@example.com", "his"), ("max@example.com", "hidden too")],
        [(MAIL, "hidden alone")],
        [(MAIL, "seen"), (MAIL, "hidden beside hers"), ("max@example.com", "also his")],
    )
    for mail, note in (
        (MAIL, "hidden beside his"),
        (MAIL, "hidden alone"),
        (MAIL, "hidden beside hers"),
        ("max@example.com", "hidden too"),
    ):
        hide(kit, name, mail, note)
    assert notes(kit, name) == ["also his", "his", "seen"]
    assert "hidden alone" in bytes_of(kit, name)
    is_erased(store(kit, name), Erased(before=1, erased=1))
    assert notes(kit, name) == ["also his", "his"]
    assert bytes_of(kit, name) == ["also his", "his"]


@pytest.mark.parametrize("beside", ["in its file", "elsewhere"])
def test_what_is_hidden_beside_what_is_held_is_erased(kit: Stores, beside: str) -> None:
    held, hidden = (MAIL, "hold"), (MAIL, "hidden")
    files = [[held, hidden]] if beside == "in its file" else [[held], [hidden, ("max@example.com", "his")]]
    name = table_of(kit, *files)
    hide(kit, name, *hidden)
    retained = Retained(HOLD["article"], HOLD["reason"], 1)  # type: ignore[arg-type]
    is_erased(store(kit, name, retain=[HOLD]), Erased(before=1, retained=(retained,)))
    assert bytes_of(kit, name) == sorted({"hold", *(["his"] if beside == "elsewhere" else [])})


def test_a_table_with_deletes_by_equality_fails_and_says_so(kit: Stores) -> None:
    name = table_of(kit, [(MAIL, "deleted by its value"), ("max@example.com", "his")], [(MAIL, "seen")])
    delete_by_value(loaded(kit, name), "email", MAIL)
    subject = store(kit, name)
    for ask in (
        lambda: subject.find(JANE),
        lambda: list(subject.export(JANE)),
        lambda: subject.erase(JANE, REQUEST),
        lambda: subject.verify(JANE),
    ):
        with pytest.raises(StoreError, match="has deletes by equality, expected by position or none") as told:
            ask()
        assert "jane" not in str(told.value)
