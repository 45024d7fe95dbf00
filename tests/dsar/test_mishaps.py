"""Mishaps that must neither leave data behind nor leave a request standing: a store that could not be asked,
an event that the ledger refuses, a run that is over without a word.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.dsar import composition, work
from privacy_assets.dsar.names import APPROVAL_KEY, DSAR_APPROVAL, DSAR_REQUEST
from privacy_assets.dsar.register import Register
from privacy_assets.dsar.stores.dynamodb import DynamoDb
from privacy_assets.dsar.stores.protocol import StoreError
from privacy_assets.errors import UserError
from resources.sns import AlertResource
from sensors import dsar_requests as sensors
from tests.dsar.desk import DEVICE, EMAIL, PLANTED, Desk
from tests.house import client

PERSON = "jane.officer@example.com"


def fails_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The store of this name can't be asked the first time."""
    find: Callable[..., Any] = DynamoDb.find
    left = [1]

    def patchy(self: DynamoDb, *arguments: Any) -> Any:
        if self.name == name and left:
            left.pop()
            raise TimeoutError
        return find(self, *arguments)

    monkeypatch.setattr(DynamoDb, "find", patchy)


# --- an identity that is not whole


@pytest.mark.parametrize("action", ["export", "delete"])
def test_a_store_that_could_not_be_asked_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The devices were not asked for links: nobody knows of the subject's device, and of its logs."""
    fails_once(monkeypatch, "devices")
    before = desk.holdings(tmp_path)
    job_id = desk.submit(action)
    desk.settle()
    job = desk.job(job_id)
    assert job["state"] in ("FAILED", "PARTIALLY_FAILED"), job
    assert job["stores"]["devices"]["error"] == ("devices could not be asked for links; a retry asks again")
    assert desk.holdings(tmp_path) == before  # nothing was erased for who is half known
    desk.register.retry(job_id, "somebody")
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["attempt"], job["identified"]["version"]) == ("COMPLETED", 2, 2), job
    if action == "delete":
        assert not [value for value in PLANTED if value.encode() in desk.holdings(tmp_path)]
    else:
        assert job["bundle"]["records"] == 10


def test_what_was_gathered_for_less_is_not_gathered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_once(monkeypatch, "devices")
    job_id = desk.submit()
    worker = composition.worker(desk.house.estate, desk.resources)
    desk.register.begin(job_id, None, "a-run")
    worker.identify(job_id)
    for store in ("crm", "logs", "avatars"):
        worker.work(job_id, store)
    with pytest.raises(StoreError, match="devices could not be asked for links"):
        worker.work(job_id, "devices")
    with pytest.raises(StoreError, match="devices could not be asked for links"):
        worker.gather(job_id)
    worker.identify(job_id)
    worker.work(job_id, "devices")
    with pytest.raises(StoreError, match="crm, logs, avatars: not worked in"):
        worker.gather(job_id)


def test_an_approval_covers_who_was_approved(careful_desk: Desk, tmp_path: Path) -> None:
    desk = careful_desk
    job_id = desk.submit("delete")
    desk.settle()
    desk.register.approve(job_id, "officer-7")
    desk.register.note(
        job_id,
        {"identified": {**desk.job(job_id)["identified"], "version": 2}},
        "dsar.identified",
        {"counts": {"identifiers": 9}},
    )
    known = desk.resources.bundles.read(f"work/{job_id}/identity.json")
    desk.resources.bundles.write(
        f"work/{job_id}/identity.json", known.replace(b'"version": 1', b'"version": 2')
    )
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["reason"]) == ("BLOCKED", "approval"), job
    assert DEVICE.encode() in desk.holdings(tmp_path)
    desk.register.approve(job_id, "officer-7")
    desk.settle()
    assert desk.job(job_id)["state"] == "COMPLETED"


# --- an event that the ledger refuses


@pytest.mark.parametrize("name", ["extend", "reject", "approve", "retry", "acknowledge"])
def test_a_person_is_not_named(careful_desk: Desk, name: str) -> None:
    """Nothing is written, and the request goes on when it is said without."""
    desk = careful_desk
    job_id = desk.submit("delete")
    if name in ("approve", "retry"):
        desk.settle()
    if name == "retry":  # the actor alone would name somebody
        desk.register.approve(job_id, "officer-7")
        desk.register.begin(job_id, 2, "a-run")
        desk.register.fail(job_id, "a-run", says_why=True)
    before = desk.job(job_id)
    reason = ("many systems",) if name in ("extend", "reject") else ()
    decide = getattr(desk.register, name)
    with pytest.raises(UserError, match="names a person; say it without") as error:
        decide(job_id, PERSON, *reason)
    assert PERSON not in str(error.value)
    if reason:
        with pytest.raises(UserError, match="names a person"):
            decide(job_id, "officer-7", f"{PERSON} said so")
    assert desk.job(job_id) == before
    decide(job_id, "officer-7", *reason)
    assert len(desk.kinds(job_id)) == desk.job(job_id)["seq"]


def test_an_approval_in_dagster_that_names_a_person(careful_desk: Desk) -> None:
    desk = careful_desk
    job_id = desk.submit("delete")
    desk.settle()
    ran = desk.house.definitions.resolve_job_def(DSAR_APPROVAL).execute_in_process(
        instance=desk.house.instance,
        partition_key=job_id,
        run_config={"ops": {"__".join(APPROVAL_KEY): {"config": {"decided_by": PERSON}}}},
        raise_on_error=False,
    )
    assert not ran.success
    (failure,) = ran.get_step_failure_events()
    assert "names a person; say it without" in failure.step_failure_data.user_failure_data.description
    assert desk.job(job_id)["state"] == "BLOCKED"


def poisoned(desk: Desk, job_id: str) -> None:
    """An event that the ledger refuses waits in the request."""
    job = desk.job(job_id)
    event = {
        "seq": job["seq"] + 1,
        "type": "dsar.noted",
        "at": datetime.now(UTC).isoformat(),
        "actor": "somebody",
        "data": {"by": PERSON},
    }
    assert desk.register.jobs.replace({**job, "seq": job["seq"] + 1, "outbox": [event]})


def test_one_bad_request_keeps_no_other_waiting(desk: Desk) -> None:
    bad, good = desk.submit(), desk.submit()
    for job_id in (bad, good):
        desk.register.begin(job_id, 1, f"run-{job_id}")
    poisoned(desk, bad)
    desk.tick("dsar_jobs")
    assert desk.job(good)["state"] == "PENDING"
    desk.tick("dsar_due")


def test_a_deadline_that_can_not_be_told_keeps_no_other_untold(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = (datetime.now(UTC) - timedelta(days=28)).isoformat()
    jobs = [desk.submit(received_at=received) for _ in range(3)]
    publish: Callable[..., Any] = AlertResource.publish
    told: list[str] = []

    def patchy(self: AlertResource, subject: str, message: str) -> str:
        job_id = subject.split()[1].rstrip(":")
        if job_id == jobs[0]:
            raise TimeoutError
        told.append(job_id)
        return str(publish(self, subject, message))

    monkeypatch.setattr(AlertResource, "publish", patchy)
    monkeypatch.setattr(Register, "warned", failing_for(jobs[1], Register.warned))
    desk.tick("dsar_due")
    assert sorted(told) == sorted(jobs[1:])
    assert [bool(desk.job(job_id)["told"]) for job_id in jobs] == [False, False, True]


def failing_for(job_id: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(self: Any, which: str, *arguments: Any) -> Any:
        if which == job_id:
            raise TimeoutError
        return call(self, which, *arguments)

    return called


@pytest.mark.parametrize("action", ["export", "delete"])
def test_what_failed_in_a_store_is_not_gathered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The store was searched for all that the subject is known by, and then it failed."""
    job_id = desk.submit(action)
    worker = composition.worker(desk.house.estate, desk.resources)
    desk.register.begin(job_id, None, "a-run")
    worker.identify(job_id)
    monkeypatch.setattr(DynamoDb, "verify", lambda *_: 1 / 0)
    if action == "export":
        worker.work(job_id, "logs")
        desk.register.store(job_id, "logs", {"state": "FAILED"}, "dsar.store_failed", {})
    else:
        with pytest.raises(ZeroDivisionError):
            worker.work(job_id, "logs")
    for store in ("crm", "avatars"):
        worker.work(job_id, store)
    monkeypatch.undo()
    worker.work(job_id, "devices")
    entry = desk.job(job_id)["stores"]["logs"]
    assert (entry["state"], entry["identity"]) == ("FAILED", 1)
    with pytest.raises(StoreError, match=r"^logs: not worked in"):
        worker.gather(job_id)
    worker.work(job_id, "logs")
    assert worker.gather(job_id)["state"] == "RUNNING"


def test_the_work_is_deleted_whatever_can_not_be_told(desk: Desk) -> None:
    job_id = desk.submit("delete")
    desk.execute(desk.tick("dsar_requests")[0])
    assert desk.job(job_id)["state"] == "COMPLETED"
    resources = desk.resources
    resources.bundles.write(f"work/{job_id}/identity.json", EMAIL.encode())
    poisoned(desk, job_id)
    with pytest.raises(ValueError, match="e-mail address"):
        work.close(desk.register, resources.bundles, resources.erasures, resources.request_topic, job_id)
    assert not list(desk.objects(f"requests-{desk.unique}", "work/"))


def test_a_failure_whose_words_name_a_person(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise StoreError(f"crm: no way to {PERSON}")

    monkeypatch.setattr(DynamoDb, "export", refuse)
    job_id = desk.submit()
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["stores"]["logs"]["error"]) == ("PARTIALLY_FAILED", "StoreError"), job


# --- a run that is over


def run(desk: Desk, job_id: str, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    """A run of the request's present attempt that did nothing."""
    attempt = str(desk.job(job_id)["attempt"])
    there = {"dagster/partition": job_id, "dsar/attempt": attempt}
    run = dg.DagsterRun(
        job_name=DSAR_REQUEST, status=status, tags={**there, sensors.ATTEMPT_TAG: attempt, **tags}
    )
    desk.house.instance.add_run(run)
    return run


def test_a_run_that_was_cancelled_before_it_began(desk: Desk) -> None:
    job_id = desk.submit()
    for attempt in (1, 2, 3):
        assert [each.run_key for each in desk.tick("dsar_requests")] == [f"{job_id}:{attempt}"]
        run(desk, job_id, dg.DagsterRunStatus.CANCELED)
        desk.runs.clear()
        desk.tick("dsar_requests")  # its run is there, so the message is deleted
        assert desk.waiting(f"dsar-{desk.unique}") == 0
        desk.tick("dsar_jobs")
    job = desk.job(job_id)
    assert job["state"] == "FAILED", job
    desk.register.retry(job_id, "somebody")
    desk.settle()
    assert desk.job(job_id)["state"] == "COMPLETED"


def test_a_run_that_waits_for_its_retry_is_not_over(desk: Desk) -> None:
    job_id = desk.submit()
    run(desk, job_id, dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "true"})
    desk.tick("dsar_jobs")
    assert desk.job(job_id)["attempt"] == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [(dg.DagsterRunStatus.STARTED, "RUNNING"), (dg.DagsterRunStatus.CANCELED, "PENDING")],
)
def test_the_newest_of_a_runs_retries_is_judged(desk: Desk, status: dg.DagsterRunStatus, state: str) -> None:
    job_id = desk.submit()
    first = run(desk, job_id, dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "true"})
    desk.register.begin(job_id, 1, first.run_id)
    tags = {"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id}
    run(desk, job_id, status, **tags)
    desk.tick("dsar_jobs")
    assert desk.job(job_id)["state"] == state


def test_a_run_that_goes_on_from_a_failure_takes_the_request_up(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its step ``identify`` is done and not run again."""
    job_id = desk.submit()
    export = DynamoDb.export
    monkeypatch.setattr(DynamoDb, "export", lambda *_: 1 / 0)
    failed = desk.execute(desk.tick("dsar_requests")[0])
    assert not failed.success
    monkeypatch.setattr(DynamoDb, "export", export)
    took: list[str] = []
    begin = Register.begin

    def noted(self: Register, job_id: str, attempt: int | None, run_id: str) -> Any:
        took.append(run_id)
        return begin(self, job_id, attempt, run_id)

    monkeypatch.setattr(Register, "begin", noted)
    job = desk.house.definitions.resolve_job_def(DSAR_REQUEST)
    again_from = ("dsar_devices", "dsar_logs", "dsar_gather")
    selection = [*(f"dsar__store_results.{each}" for each in again_from), "dsar__bundle", "dsar__completion"]
    again = job.execute_in_process(
        instance=desk.house.instance,
        partition_key=job_id,
        op_selection=selection,
        raise_on_error=False,
    )
    assert again.success
    assert set(took) == {again.run_id}
    assert desk.job(job_id)["run_id"] == again.run_id


def later(desk: Desk) -> None:
    tick = sensors.dsar_jobs_sensor(lambda: datetime.now(UTC) + timedelta(minutes=5))
    tick._raw_fn(dg.build_sensor_context(instance=desk.house.instance, resources=desk.house.resources))


def test_a_request_that_can_not_be_told_of_is_asked_for_no_less(desk: Desk) -> None:
    bad, good = desk.submit(), desk.submit()
    poisoned(desk, bad)
    url = client("sqs").get_queue_url(QueueName=f"dsar-{desk.unique}")["QueueUrl"]
    client("sqs").purge_queue(QueueUrl=url)
    later(desk)
    assert good in [each.partition_key for each in desk.tick("dsar_requests")]
