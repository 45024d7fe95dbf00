"""The pool of processes: what it is given is done, and a process that dies takes only its object with it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from privacy_assets.scan.files import Files
from privacy_assets.scan.rules import load_rules
from privacy_assets.scan.work import Job, Planned, Tally, Workers, batches

SSN = "-".join(("536", "90", "4399"))


class Folder:
    """A lake that is a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, key: str, body: bytes, content_type: str) -> str:
        (self.path / key).write_bytes(body)
        return key

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return [row for path in self.path.glob(f"{kind}-*") for row in pq.read_table(path).to_pylist()]


class Deadly(Files):
    """Some objects end the process that opens them."""

    def open(self, bucket: str, item: Any) -> Any:
        if "deadly" in item.key:
            os._exit(9)
        return super().open(bucket, item)


def planned(path: Path) -> Planned:
    return Planned(str(path), path.stat().st_size, "e", datetime.now(UTC), "STANDARD")


def job(store: Files, lake: Folder) -> Job:
    rules = load_rules(None, ["ssn"])
    return Job("b", "j", "", store, lake, rules.scanner(), rules.rules.text)


def test_an_object_that_ends_its_process_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    objects, lake = tmp_path / "objects", Folder(tmp_path / "lake")
    objects.mkdir()
    lake.path.mkdir()
    for number in range(12):
        (objects / f"{number:02}{'-deadly' if number == 5 else ''}.txt").write_text(f"ssn={SSN}\n")
    total = Tally()
    failed = []
    with Workers(job(Deadly(), lake), 2) as workers:
        for tally in workers.scan(planned(path) for path in sorted(objects.iterdir())):
            total.add(tally)
            failed += tally.failed
    assert total.states == {"findings": 11, "failed": 1}
    assert [(Path(one.key).name, one.why, one.attempts) for one in failed] == [
        ("05-deadly.txt", "crashed", 3)
    ]
    rows = lake.rows("objects")
    assert {(Path(row["key"]).name, row["state"]) for row in rows} == {
        (f"{number:02}{'-deadly' if number == 5 else ''}.txt", "failed" if number == 5 else "findings")
        for number in range(12)
    }


def test_batches_are_bounded_by_bytes_and_by_number() -> None:
    now = datetime.now(UTC)
    sizes = [100 << 20, 1, 1, 70 << 20, *[0] * 1200]
    items = [Planned(str(n), size, "e", now, "STANDARD") for n, size in enumerate(sizes)]
    dealt = list(batches(items))
    assert [item for batch in dealt for item in batch] == items
    assert [len(batch) for batch in dealt] == [1, 3, 500, 500, 200]


def test_what_is_read_is_counted_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_text("nothing at all\n" * 400_000)
    lake = Folder(tmp_path)
    with Workers(job(Files(), lake), 1) as workers:
        list(workers.scan([planned(path)]))
        assert workers.bytes_read == path.stat().st_size


def test_findings_of_an_object_are_written_before_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text(f"ssn={SSN}\n" * 25_000)
    lake = Folder(tmp_path)
    with Workers(job(Files(), lake), 1) as workers:
        list(workers.scan([planned(path)]))
    sizes = sorted(pq.read_metadata(one).num_rows for one in tmp_path.glob("findings-*"))
    assert sizes == [5_000, 20_000]  # memory is bounded, whatever an object holds
    (row,) = lake.rows("objects")
    takes = pa.array([found["take"] for found in lake.rows("findings")])
    assert set(takes.to_pylist()) == {row["take"]}
