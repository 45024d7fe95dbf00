"""Back into the table: conditionally, repeatedly, resumably, and never what a subject had erased."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from privacy_assets.archive.names import RESTORED_KEY
from privacy_assets.archive.paths import path_of
from privacy_assets.archive.records import Cause
from privacy_assets.archive.restore import (
    Expired,
    Options,
    Outcome,
    Report,
    Restorer,
    Selection,
    Status,
    find,
    parse_key,
    parse_time,
)
from privacy_assets.archive.restore_assets import LakeAccount
from privacy_assets.errors import UserError
from privacy_assets.ledger import open_log
from resources.items import TableItems
from tests.archive.conftest import Archive
from tests.house import event


def restorer(archive: Archive, table: str = "", **overrides: Any) -> Restorer:
    parts: dict[str, Any] = {
        "table": archive.house.estate.tables[0],
        "store": archive.iceberg,
        "source": archive.objects,
        "target": TableItems(table or archive.table),
        "erasures": archive.erasures,
    }
    return Restorer(**{**parts, **overrides})


DEFAULT = Options()


class Told(list[Outcome]):
    """An account that a test reads."""

    tell = list.append

    def mark(self) -> int:
        return len(self)

    def go_back(self, mark: int) -> None:
        del self[mark:]


def restore(archive: Archive, options: Options = DEFAULT, **selection: Any) -> tuple[Report, list[Outcome]]:
    told = Told()
    report = restorer(archive).run(Selection("visits", **selection), options, account=told)
    return report, told


def counts(report: Report) -> dict[str, int]:
    return {status: count for status, count in report.counts.items() if count}


def items(archive: Archive, table: str = "") -> list[dict[str, Any]]:
    pages = archive.dynamodb.get_paginator("scan").paginate(TableName=table or archive.table)
    return [item for page in pages for item in page["Items"]]


def key(log_id: str) -> dict[str, dict[str, str]]:
    return {"log_id": {"S": log_id}}


def archived(archive: Archive, *events: Any) -> None:
    archive.put_and_delete(*events)
    archive.flush()
    archive.drain()


def test_a_table_that_was_emptied_is_as_it_was(archive: Archive) -> None:
    everything = {
        "n": {"N": "1.5"}, "b": {"B": b"\x00\xff"}, "ss": {"SS": ["x", "y"]}, "bs": {"BS": [b"\x01"]},
        "ns": {"NS": ["1", "-2.5"]},
        "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}]}}},
    }  # fmt: skip
    archive.put(*(event(f"{number}", f"subject-{number}", **everything) for number in range(60)))
    before = items(archive)
    archive.delete(*(f"{number}" for number in range(60)))
    assert items(archive) == []
    archive.flush()
    archive.drain()
    first = datetime.now(UTC) - timedelta(days=1)
    report, _ = restore(archive, first=first)
    assert counts(report) == {"restored": 60}
    assert report.complete
    assert items(archive) == before
    report, _ = restore(archive, first=first)
    assert counts(report) == {"unchanged": 60}
    assert items(archive) == before
    archive.is_whole(60)


def test_by_key_by_subject_by_time_and_by_cause(archive: Archive) -> None:
    archived(archive, event("a", "jane"), event("b", "jane"), event("c", "john"))
    assert counts(restore(archive, keys=(key("c"), key("never")))[0]) == {"restored": 1, "missing": 1}
    assert counts(restore(archive, subject="jane")[0]) == {"restored": 2}
    assert counts(restore(archive, cause=Cause.TTL)[0]) == {}
    assert counts(restore(archive, until=datetime.now(UTC) - timedelta(days=1))[0]) == {}
    assert counts(restore(archive, until=datetime.now(UTC) + timedelta(days=1))[0]) == {"unchanged": 3}
    assert {row.keys for row in find(archive.iceberg, Selection("visits", subject="john"))} == {
        '{"log_id":{"S":"c"}}'
    }


def test_the_latest_of_several_deletions_counts(archive: Archive) -> None:
    for number in range(3):
        archive.put_and_delete(event("a", n={"N": str(number)}))
    archive.flush()
    archive.drain()
    assert counts(restore(archive, keys=(key("a"),))[0]) == {"restored": 1}
    assert items(archive)[0]["n"] == {"N": "2"}


def test_what_is_there_now_is_a_conflict_and_stays(archive: Archive) -> None:
    archived(archive, event("a", n={"N": "1"}), event("b"))
    archive.put(event("a", n={"N": "2"}))
    report, told = restore(archive, subject="subject-1")
    assert counts(report) == {"conflicting": 1, "restored": 1}
    assert not report.complete
    assert [each.keys for each in told if each.status is Status.CONFLICTING] == ['{"log_id":{"S":"a"}}']
    assert next(item for item in items(archive) if item["log_id"]["S"] == "a")["n"] == {"N": "2"}


def test_overwriting_archives_what_it_replaces(archive: Archive) -> None:
    archived(archive, event("a", n={"N": "1"}))
    archive.put(event("a", n={"N": "2"}))
    overwrite = Options(overwrite=True)
    assert counts(restore(archive, overwrite, subject="subject-1")[0]) == {"overwritten": 1}
    assert items(archive)[0]["n"] == {"N": "1"}
    archive.is_whole(2)
    (replaced,) = [row for row in archive.rows() if row["cause"] == "overwrite"]
    assert json.loads(replaced["item"])["n"] == {"N": "2"}
    # Again: nothing changes. And back: what was overwritten is asked for by its cause.
    assert counts(restore(archive, overwrite, subject="subject-1")[0]) == {"unchanged": 1}
    assert counts(restore(archive, overwrite, cause=Cause.OVERWRITE)[0]) == {"overwritten": 1}
    assert items(archive)[0]["n"] == {"N": "2"}


def test_killed_before_it_overwrites_it_archives_once(archive: Archive) -> None:
    class Stopping:
        def __init__(self, table: TableItems) -> None:
            self._table = table

        def __getattr__(self, name: str) -> Any:
            return getattr(self._table, name)

        def put(self, item: Any, keys: Any, over: Any) -> Any:
            if over is not None:
                raise KeyboardInterrupt
            return self._table.put(item, keys, over)

    archived(archive, event("a", n={"N": "1"}))
    archive.put(event("a", n={"N": "2"}))
    # The next try comes in another second, and on another day.
    before = datetime.now(UTC) - timedelta(days=1)
    dying = restorer(archive, target=Stopping(TableItems(archive.table)), now=lambda: before)
    with pytest.raises(KeyboardInterrupt):
        dying.run(Selection("visits", subject="subject-1"), Options(overwrite=True))
    assert counts(restore(archive, Options(overwrite=True), subject="subject-1")[0]) == {"overwritten": 1}
    archive.is_whole(2)


def test_a_dry_run_changes_nothing(archive: Archive) -> None:
    archived(archive, event("a"), event("b", n={"N": "1"}))
    archive.put(event("b"))
    report, _ = restore(archive, Options(dry_run=True), subject="subject-1")
    assert counts(report) == {"restored": 1, "conflicting": 1}
    assert len(items(archive)) == 1


def test_into_another_table(archive: Archive) -> None:
    archived(archive, event("a"))
    other = f"{archive.table}-other"
    archive.dynamodb.create_table(
        TableName=other,
        KeySchema=[{"AttributeName": "log_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "log_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    report = restorer(archive, other).run(Selection("visits", subject="subject-1"), Options())
    assert counts(report) == {"restored": 1}
    assert items(archive) == []
    assert items(archive, other) == [event("a")]


def test_a_time_to_live_that_is_over_is_told_stripped_or_moved(archive: Archive) -> None:
    archive.dynamodb.update_time_to_live(
        TableName=archive.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    archived(archive, event("a", expires={"N": "1600000000"}))
    report, (told,) = restore(archive, subject="subject-1")
    assert counts(report) == {"expired": 1}
    assert told.reason.startswith("its time to live (expires) is over")
    assert counts(restore(archive, Options(expired=Expired.STRIP), subject="subject-1")[0]) == {"restored": 1}
    assert items(archive) == [event("a")]
    assert counts(restore(archive, Options(expired=Expired.STRIP), subject="subject-1")[0]) == {
        "unchanged": 1
    }
    archive.dynamodb.delete_item(TableName=archive.table, Key=key("a"))
    moved = Options(expired=Expired.MOVE, move_days=7)
    assert counts(restore(archive, moved, subject="subject-1")[0]) == {"restored": 1}
    left = int(items(archive)[0]["expires"]["N"]) - datetime.now(UTC).timestamp()
    assert 6.9 * 86_400 < left <= 7 * 86_400
    assert counts(restore(archive, moved, subject="subject-1")[0]) == {"unchanged": 1}


def test_an_erased_subjects_records_are_refused_with_the_request(archive: Archive) -> None:
    archived(archive, event("a", "jane"), event("b", "john"))
    archive.erasures.complete("visits", "jane", "request-42")
    report, told = restore(archive, first=datetime.now(UTC) - timedelta(days=1))
    assert counts(report) == {"erased": 1, "restored": 1}
    assert report.document()["erasure_requests"] == {"request-42": 1}
    assert "request-42" in next(each.reason for each in told if each.status is Status.ERASED)
    assert [item["log_id"]["S"] for item in items(archive)] == ["b"]


class Overtaken:
    """A table to which an erasure of ``subject`` comes when its items are being put."""

    def __init__(self, archive: Archive, subject: str) -> None:
        self._table, self._archive, self._subject = TableItems(archive.table), archive, subject

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def put(self, item: Any, keys: Any, over: Any) -> Any:
        self._archive.erasures.begin("visits", self._subject, "request-42")
        return self._table.put(item, keys, over)


def test_what_is_put_back_while_an_erasure_begins_is_taken_back(archive: Archive) -> None:
    archived(archive, event("a", "jane"), event("b", "john"), event("c", "jane", n={"N": "1"}))
    archive.put(event("c", "kim"))
    told = Told()
    report = restorer(archive, target=Overtaken(archive, "jane")).run(
        Selection("visits", first=datetime.now(UTC) - timedelta(days=1)),
        Options(overwrite=True),
        account=told,
    )
    assert counts(report) == {"erased": 2, "restored": 1} == Counter(each.status for each in told)
    assert report.document()["erasure_requests"] == {"request-42": 2}
    assert sorted(items(archive), key=str) == [event("b", "john"), event("c", "kim")]


def test_what_somebody_wrote_over_it_meanwhile_is_not_taken_back(archive: Archive) -> None:
    table = TableItems(archive.table)
    archive.put(event("a", "jane", n={"N": "2"}))
    table.take_back(event("a", "jane", n={"N": "1"}), ["log_id"])
    table.take_back(event("b", "jane"), ["log_id"])
    assert items(archive) == [event("a", "jane", n={"N": "2"})]


def test_the_archive_takes_nothing_of_who_is_being_erased_by_overwriting(archive: Archive) -> None:
    archived(archive, event("a", "jane"), event("b", "jane"))
    archive.put(event("a", "kim"), event("b", "john"))
    archive.erasures.begin("visits", "kim", "request-42")
    report, _ = restore(archive, Options(overwrite=True), subject="jane")
    assert counts(report) == {"conflicting": 1, "overwritten": 1}
    assert "kim" not in {row["subject"] for row in archive.rows()}
    assert sorted(items(archive), key=str) == [event("a", "kim"), event("b", "jane")]


def test_an_object_that_is_gone_is_missing(archive: Archive) -> None:
    archived(archive, event("a"))
    (row,) = archive.rows()
    archive.objects.remove(row["object_path"], row["object_version"])
    assert counts(restore(archive, keys=(key("a"),))[0]) == {"missing": 1}


class Memory:
    """Progress that a test looks into; after ``left`` slices the process dies, before or after it notes."""

    def __init__(self, left: int, *, notes: bool = True) -> None:
        self.noted: dict[str, Any] | None = None
        self.left, self.notes = left, notes

    def load(self) -> dict[str, Any] | None:
        return self.noted

    def save(self, done: Any) -> None:
        self.left -= 1
        if self.left == 0 and not self.notes:
            raise KeyboardInterrupt
        self.noted = json.loads(json.dumps(done))
        if self.left == 0:
            raise KeyboardInterrupt

    def clear(self) -> None:
        self.noted = None


@pytest.mark.parametrize("notes", [True, False])
def test_a_restore_that_died_goes_on_where_it_was(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, notes: bool
) -> None:
    monkeypatch.setattr("privacy_assets.archive.restore._SLICE", 5)
    archived(archive, *(event(f"{number}") for number in range(30)))
    progress, told = Memory(3, notes=notes), Told()
    selection = Selection("visits", subject="subject-1")
    with pytest.raises(KeyboardInterrupt):
        restorer(archive).run(selection, Options(), account=told, progress=progress)
    assert 0 < len(told) < 30
    report = restorer(archive).run(selection, Options(), account=told, progress=progress)
    assert counts(report) == Counter(each.status.value for each in told)
    assert report.counts["restored"] == 30 if notes else report.counts["unchanged"] > 0
    assert len({each.keys for each in told}) == len(told) == 30
    assert progress.noted is None


def test_the_report_is_in_pages_and_has_each_record_once(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many records there are, a page of them is held; and a restore that died and goes on leaves
    neither a gap nor a line twice.
    """
    monkeypatch.setattr("privacy_assets.archive.restore._SLICE", 10)
    monkeypatch.setattr("privacy_assets.archive.restore_assets._PAGE", 3)
    archived(archive, *(event(f"{number}") for number in range(30)))
    lake, selection = archive.house.lake, Selection("visits", subject="subject-1")

    def pages() -> list[list[dict[str, Any]]]:
        texts = [lake.read(each.key).decode() for each in lake.list("restores/1/report/")]
        return [[json.loads(line) for line in text.splitlines()] for text in texts]

    class Dying(LakeAccount):
        left = 23

        def tell(self, outcome: Outcome) -> None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            super().tell(outcome)

    progress = Memory(-1)
    with pytest.raises(KeyboardInterrupt):
        restorer(archive).run(
            selection, Options(), account=Dying(lake, "restores/1/report/"), progress=progress
        )
    assert 7 <= len(pages()) <= 9
    report = restorer(archive).run(
        selection, Options(), account=LakeAccount(lake, "restores/1/report/"), progress=progress
    )
    assert max(map(len, pages())) == 3
    lines = [line for page in pages() for line in page]
    assert sorted(int(each["keys"]["log_id"]["S"]) for each in lines) == list(range(30))
    assert Counter(each["status"] for each in lines) == counts(report)
    # And one that begins anew, as the archive was cut into other slices meanwhile, leaves nothing behind.
    restorer(archive).run(
        Selection("visits", keys=(key("1"),)), Options(), account=LakeAccount(lake, "restores/1/report/")
    )
    assert [len(page) for page in pages()] == [1]


def test_keys_by_the_thousand_are_looked_for_a_slice_at_a_time(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key's path is made a few times, however many slices there are; and a key that is named twice is
    one.
    """
    monkeypatch.setattr("privacy_assets.archive.restore._SLICE", 100)
    archived(archive, *(event(f"{number}") for number in range(3)))
    made: Counter[str] = Counter()

    def counted(noun: str, each: Any) -> str:
        made[each["log_id"]["S"]] += 1
        return path_of(noun, each)

    monkeypatch.setattr("privacy_assets.archive.restore.path_of", counted)
    keys = tuple(key(f"{number % 2000}") for number in range(2500))
    report, told = restore(archive, keys=keys)
    assert counts(report) == {"restored": 3, "missing": 1997}
    assert len({each.keys for each in told}) == 2000
    assert max(made.values()) <= 3


def test_the_progress_of_another_restore_is_refused(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy_assets.archive.restore._SLICE", 5)
    archived(archive, *(event(f"{number}", f"subject-{number % 2}") for number in range(30)))
    progress = Memory(3)
    with pytest.raises(KeyboardInterrupt):
        restorer(archive).run(Selection("visits", subject="subject-0"), Options(), progress=progress)
    for selection, options in (
        (Selection("visits", subject="subject-1"), Options()),
        (Selection("visits", subject="subject-0"), Options(overwrite=True)),
    ):
        with pytest.raises(UserError, match="the progress of another restore"):
            restorer(archive).run(selection, options, progress=progress)
    for broken in ([], {**(progress.noted or {}), "done": "all"}):
        with pytest.raises(UserError, match="expected the progress of a restore"):
            restorer(archive).run(
                Selection("visits", subject="subject-0"), Options(), progress=_Noted(broken)
            )
    again = restorer(archive).run(Selection("visits", subject="subject-0"), Options(), progress=progress)
    assert counts(again) == {"restored": 15}
    assert len(items(archive)) == 15


class _Noted(Memory):
    def __init__(self, noted: Any) -> None:
        super().__init__(-1)
        self.noted = noted


def test_a_table_of_other_keys_is_refused_before_it_is_touched(archive: Archive) -> None:
    archived(archive, event("a", "jane"))
    other = f"{archive.table}-by-subject"
    archive.dynamodb.create_table(
        TableName=other,
        KeySchema=[{"AttributeName": "subject_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "subject_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    jane = {"subject_id": {"S": "jane"}, "name": {"S": "Jane"}}
    archive.dynamodb.put_item(TableName=other, Item=jane)
    with pytest.raises(UserError, match="its keys are subject_id, expected log_id"):
        restorer(archive, other).run(Selection("visits", subject="jane"), Options())
    assert items(archive, other) == [jane]


def test_dagster_restores_what_somebody_approved(archive: Archive) -> None:
    archived(archive, event("a", "jane"), event("b", "john"))
    lake = archive.house.lake
    request = lake.write("restores/requests/1.json", b'{"subject": "jane"}', "application/json")

    def run(**config: Any) -> dg.ExecuteInProcessResult:
        job = archive.house.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=archive.house.instance,
            asset_selection=[dg.AssetKey(RESTORED_KEY)],
            run_config={"ops": {"archive__restored": {"config": {"table": "visits", **config}}}},
            raise_on_error=False,
        )

    assert run(request=request).success
    assert items(archive) == []
    assert not run(request=request, dry_run=False).success
    assert items(archive) == []
    done = run(request=request, dry_run=False, approved_by="dpo@example.com")
    (told,) = done.asset_materializations_for_node("archive__restored")
    assert told.metadata["restored"].value == 1
    assert [item["log_id"]["S"] for item in items(archive)] == ["a"]
    (page,) = lake.list(f"restores/{done.run_id}/report/")
    (line,) = lake.read(page.key).splitlines()
    assert json.loads(line)["status"] == "restored"
    assert f"restores/{done.run_id}/report/" in str(told.metadata["report"].value)
    logged = open_log(archive.house.ledger).entries(done.run_id)
    assert [entry.event.kind for entry in logged] == ["restore.begun", "restore.completed"]
    assert logged[1].event.counts == {"restored": 1}
    assert b"jane" not in logged[0].leaf + logged[1].leaf


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc", {"log_id": {"S": "abc"}}), ('{"log_id":{"S":"x,y"}}', {"log_id": {"S": "x,y"}}), ("{", None)],
)
def test_keys_as_people_write_them(archive: Archive, text: str, expected: Any) -> None:
    table = archive.house.estate.tables[0]
    if expected is None:
        with pytest.raises(UserError, match="expected"):
            parse_key(text, table)
    else:
        assert parse_key(text, table) == expected


def test_days_and_instants() -> None:
    assert parse_time("20260127", end=True) == parse_time("2026-01-28")
    for far in ("9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(UserError, match="expected a day"):
            parse_time(far, end=True)
    assert parse_time("2026-01-27") == datetime(2026, 1, 27, tzinfo=UTC)
    assert parse_time("2026-01-27", end=True) == datetime(2026, 1, 28, tzinfo=UTC)
    assert parse_time("2026-01-27T13:00:00Z").hour == 13
    with pytest.raises(UserError, match="expected a day"):
        parse_time("yesterday")
