"""``archive``: deleted records go, object and row, and nothing of the subject comes in or out again."""

import json
from pathlib import Path
from typing import Any

import pytest

from privacy_assets.archive.restore import Options, Restorer, Selection
from privacy_assets.dsar.stores.protocol import Erased
from resources.archive import ArchiveResource
from resources.items import TablesResource
from tests.archive.conftest import Archive
from tests.dsar.stores.conftest import JANE, NOBODY, REQUEST, Stores
from tests.house import House, event


@pytest.fixture
def archive(aws: str, unique: str, tmp_path: Path) -> Archive:
    return Archive(House.build(aws, unique, tmp_path, archive=True))


def test_a_subject_leaves_the_archive_for_good(archive: Archive, tmp_path: Path) -> None:
    archive.put_and_delete(
        event("log-1", "customer-4711", message={"S": "hers"}),
        event("log-2", "customer-0815"),
        event("log-3", "customer-4711"),
    )
    archive.flush()
    archive.drain()
    store = Stores.of(archive.house, tmp_path).store("archive", subject="customer_id")
    assert store.find(JANE).records == 2
    assert store.find(NOBODY).records == 0
    first = min(store.export(JANE), key=lambda record: str(record["item"]))
    assert (first["table"], first["cause"]) == ("visits", "user")
    assert first["item"]["message"] == {"S": "hers"}

    done = store.erase(JANE, REQUEST)
    assert (done.before, done.erased, done.versions) == (2, 2, 2)
    assert store.verify(JANE).clean
    assert store.erase(JANE, REQUEST).nothing_left
    archive.is_whole(1)

    # A copy that comes late is dropped, and a restore finds nothing of hers and refuses what it finds.
    archive.put_and_delete(event("log-1", "customer-4711"))
    archive.flush()
    assert archive.drain().erased == 1
    assert store.find(JANE).records == 0
    (erasure,) = archive.erasures.of({("visits", "customer-4711")}).values()
    assert (erasure.request_id, erasure.closed is not None) == (REQUEST, True)
    assert erasure.completed is None  # which only the request is, once every store has lost her


def test_the_erasure_is_noted_before_anything_goes(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle, a restore refuses what is left; the same call again completes it."""
    archive.put_and_delete(event("log-1", "customer-4711"), event("log-2", "customer-4711"))
    archive.flush()
    archive.drain()
    store = Stores.of(archive.house, tmp_path).store("archive", subject="customer_id", tables=["visits"])

    class Killed(BaseException):
        pass

    def killed(self: ArchiveResource, path: str, version: str) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ArchiveResource, "remove", killed)
        with pytest.raises(Killed):
            store.erase(JANE, REQUEST)
    restorer = Restorer(
        table=archive.house.estate.by_name["visits"],  # type: ignore[index]
        store=archive.iceberg,
        source=archive.objects,
        target=TablesResource().table(archive.table),
        erasures=archive.erasures,
    )
    report = restorer.run(Selection("visits"), Options())  # type: ignore[arg-type]
    assert dict(report.counts) == {"erased": 2}
    done = store.erase(JANE, REQUEST)
    assert done.before == 2
    assert store.verify(JANE).clean


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_being_written_while_the_subject_leaves_goes_too(
    archive: Archive, tmp_path: Path, killed: bool
) -> None:
    """The archiver had looked before the erasure began, and writes after it has searched; or is killed with
    the row written and its message left.
    """
    archive.put_and_delete(event("log-1", "customer-4711"), event("log-2", "customer-0815"))
    archive.flush()
    store = Stores.of(archive.house, tmp_path).store("archive", subject="customer_id")

    class Overtaken(type(archive.iceberg)):  # type: ignore[misc]  # a class of a run
        def add(self, *arguments: Any, **named: Any) -> Any:
            assert store.erase(JANE, REQUEST).nothing_left  # no row names the object yet
            added = super().add(*arguments, **named)
            if killed:
                raise KeyboardInterrupt
            return added

    overtaken = Overtaken(**archive.iceberg.model_dump())
    if killed:
        with pytest.raises(KeyboardInterrupt):
            archive.drain(store=overtaken)
        assert store.find(JANE).records == 1
        while archive.waiting()["queue"]:
            archive.drain()
    else:
        assert archive.drain(store=overtaken).erased == 1
    assert store.find(JANE).records == 0
    assert b"customer-4711" not in json.dumps(archive.versions()).encode()
    archive.is_whole(1)


def test_an_archive_that_never_was(archive: Archive, tmp_path: Path) -> None:
    store = Stores.of(archive.house, tmp_path).store("archive", subject="customer_id")
    assert store.find(JANE).records == 0
    assert list(store.export(JANE)) == []
    assert store.erase(JANE, REQUEST) == Erased()
