"""Whether a job has a run that has not ended, for what starts one run at a time."""

import dagster as dg

_AT_WORK = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def runs_at_work(instance: dg.DagsterInstance, job: str) -> int:
    """How many runs of ``job`` wait or go on."""
    return instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=_AT_WORK))
