"""Runs that are killed: after each of their steps, and between any two things that they do outside."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.dsar import composition
from privacy_assets.dsar.register import Register
from privacy_assets.dsar.work import Worker, answer_key, close
from privacy_assets.ledger import open_log
from resources.bundles import BundlesResource, Upload
from resources.dsar_jobs import DsarJobsResource
from resources.erasures import ErasuresResource
from resources.sns import AlertResource
from tests.dsar.desk import PLANTED, Desk

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
    yield lambda: close(register, resources.bundles, resources.request_topic, job_id)


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
            close(desk.register, desk.resources.bundles, desk.resources.request_topic, job_id)
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
