"""``snapshots``: exports, snapshots and audit results lose the subject and stay whole."""

import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from privacy_assets.dsar.stores.protocol import Identifiers
from privacy_assets.ledger import open_log
from privacy_assets.snapshot import manifest
from tests.dsar.stores.conftest import REQUEST, Stores
from tests.house import House, event, yesterday

WHO: Identifiers = {"customer_id": frozenset({"customer-4711"})}


def test_a_night_without_the_subject_is_still_whole(aws: str, unique: str, tmp_path: Path) -> None:
    house = House.build(aws, unique, tmp_path, archive=True)
    items = [event(f"log-{n}", f"customer-{n % 40:04}", message={"S": f"text {n}"}) for n in range(200)]
    items += [event(f"hers-{n}", "customer-4711") for n in range(3)]
    house.load(items)
    day = yesterday().isoformat()

    assert house.materialize("visits_export", "visits_raw", "visits").success
    kit = Stores.of(house, tmp_path)
    store = kit.store("snapshots", subject="customer_id")
    lake = kit.subjects.lake_bucket
    assert any(b"customer-4711" in text for text in decoded(kit, lake))
    assert store.find(WHO).records == 6
    whats = sorted({str(record["in"]) for record in store.export(WHO)})
    assert whats == ["visits export", "visits snapshot"]

    done = store.erase(WHO, REQUEST)
    assert (done.before, done.erased) == (6, 6)
    left = store.verify(WHO, done.touched)
    assert (left.clean, left.objects >= 2) == (True, True)
    assert store.erase(WHO, REQUEST).nothing_left
    assert not any(b"customer-4711" in text for text in decoded(kit, lake))

    # The export is what its manifests say, and the day can be typed from it again.
    (folder,) = {
        item.key.partition("data/")[0] for item in house.lake.list("exports/visits/") if "/data/" in item.key
    }
    said = manifest.read_manifest(folder, house.lake.read)
    etags = {item.key: item.etag for item in house.lake.list(f"{folder}data/")}
    assert manifest.wrong_files(said.files, etags, house.lake.md5) == {}
    assert said.items == said.listed_items == 200
    assert house.rows(f"SELECT count(*) AS n FROM visits WHERE snapshot_date = DATE '{day}'") == [{"n": 200}]
    assert house.materialize("visits").success
    assert house.materialize("visits_raw", "visits").success

    # And the ledger tells of the night: the export once, whoever asked for it, each typing.
    assert house.materialize("visits_export").success
    told = [entry.event for entry in open_log(house.ledger).entries(f"snapshot-{day}")]
    assert [each.kind for each in told] == ["export.started", *["snapshot.typed"] * 3]
    assert [each.counts.get("items") for each in told] == [None, 203, 200, 200]
    assert {each.details["export_id"] for each in told} == {folder.rstrip("/").rpartition("/")[2]}


def test_audit_results_keep_their_number(aws: str, unique: str, tmp_path: Path) -> None:
    import pyarrow as pa

    from privacy_assets.audit.results import PARTITION_BY, RESULTS, RESULTS_SCHEMA

    house = House.build(aws, unique, tmp_path, archive=True)
    kit = Stores.of(house, tmp_path)
    iceberg = kit.subjects.iceberg()
    iceberg.ensure(RESULTS, RESULTS_SCHEMA, PARTITION_BY)
    rows: list[dict[str, Any]] = [
        {
            "audit_id": "consent.missing",
            "snapshot_date": yesterday(),
            "export_id": "1",
            "subject": subject,
            "row_key": f"log-{subject}",
            "reason": f"{subject} never agreed",
            "severity": "high",
        }
        for subject in ("customer-4711", "customer-0815")
    ]
    iceberg.replace(
        RESULTS,
        {"audit_id": ["consent.missing"]},
        lambda: iter([pa.RecordBatch.from_pylist(rows, schema=RESULTS_SCHEMA)]),
    )
    output = b'"subject","row_key","reason"\n' + b"".join(
        f'"{row["subject"]}","{row["row_key"]}","{row["reason"]}"\n'.encode() for row in rows
    )
    kit.put(kit.subjects.lake_bucket, "audits/consent.missing/snapshot_date=2026-01-01/q.csv", output)
    store = kit.store("snapshots", subject="customer_id")
    done = store.erase(WHO, REQUEST)
    assert (done.before, done.erased, done.changed) == (2, 1, 1)
    assert store.verify(WHO, done.touched).clean
    assert store.erase(WHO, REQUEST).nothing_left
    found = sorted(
        (row["subject"], row["row_key"], row["reason"]) for row in iceberg.read(RESULTS).to_pylist()
    )
    assert found == [
        ("customer-0815", "log-customer-0815", "customer-0815 never agreed"),
        ("erased", "erased", "erased"),
    ]
    assert not any(b"customer-4711" in text for text in decoded(kit, kit.subjects.lake_bucket))


def decoded(kit: Stores, bucket: str) -> list[bytes]:
    """All bytes of all versions, gzip and Parquet opened."""
    found = []
    for (key, _), body in kit.all_versions(bucket).items():
        if body is None:
            continue
        found.append(body)
        if key.endswith(".gz"):
            found.append(gzip.decompress(body))
        elif body[:4] == b"PAR1":
            found.append(repr(pq.read_table(io.BytesIO(body)).to_pylist()).encode())
    return found
