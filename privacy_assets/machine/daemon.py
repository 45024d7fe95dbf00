"""``python -m privacy_assets.machine.daemon``: Dagster's daemon, which also runs every night that passed.

Dagster's scheduler makes up for the latest missed tick alone. This one is given the missed nights and
evaluates the schedules as of each, oldest first, by Dagster's own function and with ticks of record; then it
goes on as ``dagster-daemon run`` does. It starts while the data is still being loaded and begins with the
first line on stdin, which holds the nights (ISO dates of the mornings that the schedule was missed on,
separated by spaces).
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget, WorkspaceLoadTarget
from dagster._daemon import sensor as sensor_daemon
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon, SchedulerDaemon
from dagster._scheduler.scheduler import launch_scheduled_runs

from privacy_assets.machine.code_server import await_code_server


class CatchingUpScheduler(SchedulerDaemon):
    """Dagster's scheduler, after it has evaluated the schedules at each of ``instants``."""

    def __init__(self, instants: Sequence[datetime]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster leaves it untyped
        self._instants = instants

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: threading.Event
    ) -> DaemonIterator:
        for instant in self._instants:
            yield from launch_scheduled_runs(
                workspace_process_context, self._logger, end_datetime_utc=instant, iteration_times={}
            )
        yield from super().core_loop(workspace_process_context, shutdown_event)


def instants(mornings: Sequence[str]) -> list[datetime]:
    """When to evaluate: before the first morning, which starts the schedules' clocks, and at the end of each.

    Between two of them there is one tick of a daily schedule.
    """
    days = sorted(datetime.fromisoformat(morning).replace(tzinfo=UTC) for morning in mornings)
    if not days:
        return []
    last_seconds = [min(day + timedelta(days=1, seconds=-1), datetime.now(UTC)) for day in days]
    return [days[0], *last_seconds]


def main() -> None:
    parser = argparse.ArgumentParser(prog="privacy_assets.machine.daemon")
    parser.add_argument("--workspace", required=True, help="the workspace file")
    parser.add_argument("--code-server", type=int, required=True, help="the port of its code server")
    parser.add_argument("--eager", action="store_true", help="look for work every second")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments.eager:
        sensor_daemon.MIN_INTERVAL_LOOP_TIME = 1
    try:
        nights = instants(sys.stdin.readline().split())
        await_code_server(arguments.code_server)
        with dg.DagsterInstance.get() as instance:
            _run(instance, WorkspaceFileTarget([arguments.workspace]), nights)
    except KeyboardInterrupt:
        return


def _run(instance: dg.DagsterInstance, target: WorkspaceLoadTarget, nights: Sequence[datetime]) -> None:
    def daemons(instance: dg.DagsterInstance) -> list[DagsterDaemon[Any]]:
        others = create_daemons_from_instance(instance)
        return [
            CatchingUpScheduler(nights),
            *(daemon for daemon in others if not isinstance(daemon, SchedulerDaemon)),
        ]

    with daemon_controller_from_instance(instance, target, gen_daemons=daemons) as controller:
        controller.check_daemon_loop()


if __name__ == "__main__":
    main()
