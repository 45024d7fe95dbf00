"""A code location that keeps a database busy, and a launcher whose runs begin at once.

A run's process takes seconds of a processor to import what it needs; here it is the database that is to have
much to do.
"""

import multiprocessing
import random
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

RUNS, ALONE = 12, 2
SENSORS = ("left", "right")
ASSETS = [dg.AssetKey(["busy", str(number)]) for number in range(12)]
POOL = "alone"


def write(context: dg.OpExecutionContext) -> None:
    """All runs write of the same assets, each in its own order."""
    for key in random.sample(ASSETS, len(ASSETS)):
        context.log_event(dg.AssetMaterialization(key, metadata={"run": context.run_id}))


@dg.op
def first(context: dg.OpExecutionContext) -> int:
    write(context)
    return 1


@dg.op
def second(context: dg.OpExecutionContext, _one: int) -> None:
    write(context)


@dg.op(pool=POOL)
def pooled(context: dg.OpExecutionContext) -> int:
    write(context)
    return 1


@dg.job(executor_def=dg.in_process_executor)
def many() -> None:
    second(first())


@dg.job(executor_def=dg.in_process_executor)
def one_at_a_time() -> None:
    second(pooled())


def asking(name: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        jobs=[many, one_at_a_time],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def asks(_context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """The same wishes at each tick."""
        return dg.SensorResult(
            [
                *(dg.RunRequest(f"alone-{number}", job_name="one_at_a_time") for number in range(ALONE)),
                *(dg.RunRequest(f"many-{number}", job_name="many") for number in range(RUNS)),
            ]
        )

    return asks


defs = dg.Definitions(jobs=[many, one_at_a_time], sensors=[asking(name) for name in SENSORS])


class Forking(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Each run is a process, forked from one that has imported all there is to import."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["__main__", __name__])
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "Forking":
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        self._processes.Process(target=execute, args=(context.dagster_run.run_id,), daemon=True).start()

    def terminate(self, run_id: str) -> bool:
        raise NotImplementedError("nobody cancels a run here")


def execute(run_id: str) -> None:
    """One run, to its end."""
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        repository = ReconstructableRepository.for_module(__name__, "defs")
        execute_run(ReconstructableJob(repository, run.job_name), run, instance)
