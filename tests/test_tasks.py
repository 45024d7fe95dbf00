"""Runs as tasks of ECS: sizes that Fargate has, roles where they are set, shards on Spot."""

import json
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from privacy_assets.definitions import defs
from privacy_assets.sizes import DEFAULT, SHARD, SIZES, Size
from privacy_assets.tasks import shard_executor, task_tags
from resources import settings

FARGATE = {
    256: (512, 1024, 2048),
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
}
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html"""


@pytest.mark.parametrize("size", [DEFAULT, SHARD, *SIZES.values()])
def test_each_size_is_one_that_fargate_has(size: Size) -> None:
    assert size.memory in FARGATE[size.cpu]


def test_every_job_has_a_size() -> None:
    jobs = {job.name: job for job in defs().resolve_all_job_defs() if not job.name.startswith("__")}
    assert set(jobs) == set(SIZES), "privacy_assets/sizes.py names each job, and no other"
    for name, job in jobs.items():
        found = {key: value for key, value in job.tags.items() if key.startswith("ecs/")}
        assert found == task_tags(name), f"{name}: give it tags=task_tags(…)"


def test_a_run_assumes_the_role_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ecs/task_overrides" not in task_tags("daily_audit")
    monkeypatch.setenv(settings.RUN_ROLES.name, "arn:aws:iam::123456789012:role/run-")
    overrides = json.loads(task_tags("daily_audit")["ecs/task_overrides"])
    assert overrides == {"taskRoleArn": "arn:aws:iam::123456789012:role/run-daily-audit"}


def test_shards_run_where_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shard_executor() is dg.in_process_executor
    monkeypatch.setenv(settings.SHARDS.name, "ecs")
    assert shard_executor().name == "shards_on_ecs"
    monkeypatch.setenv(settings.SHARDS.name, "lambda")
    with pytest.raises(settings.SettingError, match="'lambda', expected in_process or ecs"):
        shard_executor()


def test_a_launch_type_is_not_sent_beside_a_capacity_provider() -> None:
    from dagster_aws.ecs.executor import EcsStepHandler

    from privacy_assets.shards import ShardHandler

    sent: list[dict[str, Any]] = []

    def send(_: EcsStepHandler, **arguments: Any) -> None:
        sent.append(arguments)

    handler = ShardHandler.__new__(ShardHandler)
    with patch.object(EcsStepHandler, "_run_task", send):
        handler._run_task(
            launchType="FARGATE", capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}]
        )
        handler._run_task(launchType="FARGATE")
    assert [sorted(arguments) for arguments in sent] == [["capacityProviderStrategy"], ["launchType"]]
