"""Runs that are killed: after each of their steps, and between any two things that they do outside."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from privacy_assets.dsar import composition
from privacy_assets.dsar.register import Register
from privacy_assets.dsar.stores.sql import Sql
from privacy_assets.dsar.work import Worker, answer_key, close
from privacy_assets.ledger import open_log
from resources.bundles import BundlesResource, Upload
from resources.dsar_jobs import DsarJobsResource
from resources.erasures import ErasuresResource
from resources.files import Files
from resources.iceberg import IcebergResource
from resources.sns import AlertResource
from tests.dsar.desk import PLANTED, Desk
from tests.dsar.stores.conftest import Stores

STEPS = ["identify", "work", "work", "work", "work", "gather", "answer", "complete", "close"]
KILLED = 9


def run_and_die(desk: Desk, request: dg.RunRequest, after: int) -> int:
    """Execute in a process of its own that ends, as if by kill -9, when the step of this number is done."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            left = iter(range(after, -1, -1))

            def fatal(step: Callable[..., Any]) -> Callable[..., Any]:
                def stepped(*arguments: Any, **named: Any) -> Any:
                    found = step(*arguments, **named)
                    if next(left) == 0:
                        os._exit(KILLED)
                    return found

                return stepped

            for name in set(STEPS) - {"close"}:
                setattr(Worker, name, fatal(getattr(Worker, name)))
            composition.close = fatal(composition.close)
            desk.execute(request)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def events_hold_together(desk: Desk, job_id: str) -> None:
    """Each event once, in order, the last the completion."""
    entries = open_log(desk.house.ledger).entries(job_id)
    kinds = [entry.event.kind for entry in entries]
    assert len(entries) == desk.job(job_id)["seq"]
    assert kinds[0] == "dsar.received"
    assert kinds[-1] == "dsar.completed"
    for once in ("dsar.received", "dsar.identified", "dsar.completed"):
        assert kinds.count(once) == 1, kinds


@pytest.mark.parametrize("action", ["export", "delete"])
def test_a_run_killed_after_each_step(desk: Desk, tmp_path: Path, action: str) -> None:
    for after, name in enumerate(STEPS):
        where = f"killed after {after}, {name}"
        if after and action == "delete":
            desk.fill_again(tmp_path)
        job_id = desk.submit(action)
        desk.register.ask(job_id)  # the message comes twice
        (request,) = desk.tick("dsar_requests")
        assert run_and_die(desk, request, after) == KILLED, where
        desk.runs.clear()
        desk.settle()
        job = desk.job(job_id)
        assert job["state"] == "COMPLETED", where
        assert job["attempt"] == (2 if after < STEPS.index("complete") else 1), where
        events_hold_together(desk, job_id)
        assert desk.waiting(f"dsar-{desk.unique}") == 0, where
        assert not list(desk.objects(f"requests-{desk.unique}", "work/")), where
        assert desk.resources.bundles.exists(answer_key(job_id)), where
        if action == "delete":
            assert not [value for value in PLANTED if value.encode() in desk.holdings(tmp_path)], where
            counts = {store: each["before"] for store, each in job["stores"].items()}
            assert counts == {"crm": 3, "devices": 1, "logs": 5, "avatars": 1}, where
        else:
            assert job["bundle"]["records"] == 10, where


class Killed(BaseException):
    """The end of a process, as its own code sees it: nothing catches it."""


class Outside:
    """Counts what is done outside, and dies at the call of a number: before it, or when it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.dies_at, self.when = 0, -1, ""
        places = [
            (DsarJobsResource, "put", "replace"),
            (BundlesResource, "write", "delete"),
            (Upload, "__exit__"),
            (ErasuresResource, "begin", "complete"),
            (AlertResource, "publish"),
        ]
        for kind, *names in places:
            for name in names:
                monkeypatch.setattr(kind, name, self.counted(getattr(kind, name)))

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            mine = self.calls == self.dies_at
            if mine and self.when == "before":
                raise Killed
            found = call(*arguments, **named)
            if mine:
                raise Killed
            return found

        return called


def steps(desk: Desk, job_id: str) -> Iterator[Callable[[], Any]]:
    """What a run does, without Dagster."""
    resources = desk.resources
    worker = composition.worker(desk.house.estate, resources)
    register: Register = worker.register
    yield lambda: register.begin(job_id, None, "a-run")
    yield lambda: worker.identify(job_id)
    for spec in desk.house.estate.stores:
        yield lambda name=spec.name: worker.work(job_id, name)  # type: ignore[misc]
    yield lambda: worker.gather(job_id)
    yield lambda: worker.answer(job_id)
    yield lambda: worker.complete(job_id)
    yield lambda: close(register, resources.bundles, resources.erasures, resources.request_topic, job_id)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_erasure_killed_between_any_two_calls(
    aws: str, unique: str, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.dsar.desk import stores_of

    crm, _, logs, _ = stores_of(unique)
    desk = Desk.build(aws, unique, tmp_path, stores=[crm, {**logs, "match": {"customer_id": "subject_id"}}])
    outside = Outside(monkeypatch)

    def whole(job_id: str) -> None:
        state = desk.job(job_id)["state"]
        if state == "COMPLETED":  # the sensor closes what has ended
            has = desk.resources
            close(desk.register, has.bundles, has.erasures, has.request_topic, job_id)
            return
        for step in steps(desk, job_id):
            step()

    job_id = desk.submit("delete")
    outside.calls = 0
    whole(job_id)
    calls, expected = outside.calls, desk.kinds(job_id)
    assert calls > 15
    assert desk.job(job_id)["stores"]["crm"]["before"] == 3
    for number in range(1, calls + 1):
        with sqlite3.connect(tmp_path / "crm.sqlite") as crm_file:
            crm_file.execute("INSERT OR REPLACE INTO customers VALUES ('c', ?, 'n', 'p')", (PLANTED[0],))
        crm_file.close()
        job_id = desk.submit("delete")
        outside.calls, outside.dies_at, outside.when = 0, number, when
        with pytest.raises(Killed):
            whole(job_id)
        outside.dies_at = -1
        whole(job_id)
        job = desk.job(job_id)
        assert job["state"] == "COMPLETED", number
        assert (job["stores"]["crm"]["before"], job["stores"]["crm"]["after"]) == (1, 0), number
        assert "sealed" not in job
        assert "tell" not in job
        found = desk.kinds(job_id)
        assert len(found) == job["seq"], number
        assert set(found) == set(expected), number
    assert not list(desk.objects(f"requests-{unique}", "work/"))


MAIL = PLANTED[0]
KINDS = ("crm", "clicks", "ice")
FILES = 6


def half_erased(desk: Desk, folder: Path) -> None:
    """A table of a database that is changed, six files of which four are hers, and an Iceberg table."""
    kit = Stores.of(desk.house, folder)
    lake = kit.subjects.lake_bucket
    kit.glue.create_table(
        DatabaseName=kit.subjects.database,
        TableInput={
            "Name": "clicks",
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": "string"} for name in ("mail", "page")],
                "Location": f"s3://{lake}/clicks/",
                "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"},
            },
        },
    )
    for number in range(FILES):
        mails = ["max@example.com", MAIL if number < 4 else "x@example.com"]
        lines = "".join(json.dumps({"mail": mail, "page": "/"}) + "\n" for mail in mails)
        kit.put(lake, f"clicks/{number}.json", lines.encode())
    schema = pa.schema([("mail", pa.string()), ("page", pa.string())])
    iceberg = kit.subjects.iceberg()
    iceberg.ensure("ice", schema, [])
    rows = [{"mail": mail, "page": str(number)} for number in range(3) for mail in (MAIL, "max@example.com")]
    iceberg.replace("ice", {}, lambda: iter([pa.RecordBatch.from_pylist(rows, schema=schema)]))


@pytest.mark.parametrize(
    ("store", "kind", "name", "when"),
    [
        ("crm", Sql, "erase", 1),
        ("clicks", Files, "replace", 1),
        ("clicks", Files, "replace", 3),
        ("clicks", Files, "remove", 2),
        ("ice", IcebergResource, "remove", 1),
        ("ice", IcebergResource, "vacuum", 1),
    ],
)
def test_a_killed_erasure_is_counted_and_proved_whole(
    aws: str,
    unique: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    kind: type,
    name: str,
    when: int,
) -> None:
    owner = {"owner": "team:web"}
    crm = {
        **owner, "name": "crm", "kind": "sql", "url": f"CRM_{unique.upper()}",
        "tables": [{"table": "customers", "match": {"email": "email"}, "change": {"email": "hmac"}}],
    }  # fmt: skip
    clicks = {
        **owner, "name": "clicks", "kind": "lake", "tables": [{"table": "clicks", "match": {"email": "mail"}}]
    }  # fmt: skip
    ice = {**owner, "name": "ice", "kind": "events", "table": "ice", "match": {"email": "mail"}}
    desk = Desk.build(aws, unique, tmp_path, stores=[crm, clicks, ice])
    half_erased(desk, tmp_path)
    job_id = desk.submit("delete")
    worker = composition.worker(desk.house.estate, desk.resources)
    worker.register.begin(job_id, None, "a-run")
    worker.identify(job_id)
    for each in KINDS:
        if each == store:
            break
        worker.work(job_id, each)
    call, calls = getattr(kind, name), [0]

    def fatal(*arguments: Any, **named: Any) -> Any:
        found = call(*arguments, **named)
        calls[0] += 1
        if calls[0] == when:
            raise Killed
        return found

    with monkeypatch.context() as patched:
        patched.setattr(kind, name, fatal)
        with pytest.raises(Killed):
            worker.work(job_id, store)
    for _ in range(2):  # the second time nothing is counted again
        for each in KINDS:
            worker.work(job_id, each)
    entries = desk.job(job_id)["stores"]
    names = ("before", "erased", "changed", "after", "interrupted")
    counts = {each: tuple(entries[each][name] for name in names) for each in KINDS}
    assert counts == {
        "crm": (1, 0, 1, 0, store == "crm"),
        "clicks": (4, 4, 0, 0, store == "clicks"),
        "ice": (3, 3, 0, 0, store == "ice"),
    }
    assert entries["clicks"]["objects_read"] == 4
    assert entries["ice"]["objects_read"] >= 2  # a data file with what is left, and what names it
    for step in (worker.gather, worker.answer, worker.complete):
        step(job_id)
