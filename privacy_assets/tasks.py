"""How a run becomes a task of ECS: its size and its role, and where the shards of a scan run.

Dagster reads ``ecs/…`` from a *run's* tags, which a job's tags become. A launcher that starts no tasks leaves
them alone, so they are the same everywhere.
"""

import json

import dagster as dg

from privacy_assets.sizes import SIZES
from resources import settings


def task_tags(job: str) -> dict[str, str]:
    """The tags of a job's runs: cpu, memory and, where roles are set, the role that its task assumes."""
    size = SIZES[job]
    tags = {"ecs/cpu": str(size.cpu), "ecs/memory": str(size.memory)}
    arn = role(job)
    return {**tags, "ecs/task_overrides": json.dumps({"taskRoleArn": arn})} if arn else tags


def role(job: str) -> str:
    """The ARN of the role that a job's runs assume; empty where runs have no role of their own."""
    beginning = settings.RUN_ROLES.value()
    return f"{beginning}{job.replace('_', '-')}" if beginning else ""


def shard_executor() -> dg.ExecutorDefinition:
    """Where a scan's shards run, by the settings. Raises SettingError."""
    where = settings.SHARDS.value()
    if where == "in_process":
        return dg.in_process_executor
    if where == "ecs":
        from privacy_assets.shards import shards_on_ecs  # loads the AWS SDK, which not every command needs

        return shards_on_ecs
    raise settings.SettingError(f"{settings.SHARDS.name}: {where!r}, expected in_process or ecs")
