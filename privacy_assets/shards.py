"""The shards of a scan as tasks of ECS, on Fargate Spot."""

from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster_aws.ecs.executor import EcsStepHandler
from dagster_aws.ecs.launcher import EcsRunLauncher

from privacy_assets.sizes import SHARD
from privacy_assets.tasks import role
from resources import settings

_SPOT = [
    {"capacityProvider": "FARGATE_SPOT", "weight": 4},
    {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
]
_SHARDS_AT_ONCE = 50


class ShardHandler(EcsStepHandler):
    """Steps as tasks, with a capacity provider.

    ECS refuses a launch type beside one, and Dagster's handler takes the launch type of its own task along.
    """

    def _run_task(self, **arguments: Any) -> Any:
        if arguments.get("capacityProviderStrategy"):
            arguments.pop("launchType", None)
        return super()._run_task(**arguments)  # type: ignore[no-untyped-call]  # Dagster leaves it untyped


@dg.executor(name="shards_on_ecs", requirements=dg.multiple_process_executor_requirements())
def shards_on_ecs(context: dg.InitExecutorContext) -> dg.Executor:
    """Each step a task of its own.

    A shard that Spot takes back is started again by its retry policy and goes on where its parts in the lake
    end.
    """
    launcher = context.instance.run_launcher
    if not isinstance(launcher, EcsRunLauncher):
        raise dg.DagsterInvariantViolationError(
            f"{settings.SHARDS.name} is ecs, and runs are launched by {type(launcher).__name__}: "
            "expected EcsRunLauncher in dagster.yaml"
        )
    arn = role(str(context.job.get_definition().name))
    return StepDelegatingExecutor(
        ShardHandler(
            run_launcher=launcher,
            run_task_kwargs={"capacityProviderStrategy": _SPOT},
            cpu=SHARD.cpu,
            memory=SHARD.memory,
            ephemeral_storage=None,
            task_overrides={"taskRoleArn": arn} if arn else None,
        ),
        retries=RetryMode.ENABLED,
        max_concurrent=_SHARDS_AT_ONCE,
        should_verify_step=True,
    )
