"""``python -m privacy_assets.machine.forking …``: Dagster's command line, whose code servers fork their runs.

Dagster's code server starts each run in a new interpreter, which imports Dagster and the definitions for some
seconds of a processor. Here a run is forked from a process that has them imported and does nothing else: no
thread, connection or lock is there to be copied.
"""

import multiprocessing
from collections.abc import Sequence
from multiprocessing import forkserver
from typing import Any

from dagster._grpc import server as grpc_server

IMPORTED = "privacy_assets.machine.forked"


class ForkingApiServer(grpc_server.DagsterApiServer):
    """Dagster's server of a code location, with another way to start a process."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([IMPORTED])
        forkserver.ensure_running()  # it imports while there is nothing to run yet
        self._mp_ctx = context  # type: ignore[assignment]  # Dagster's is one that spawns


def entry_point(executable: str) -> Sequence[str]:
    """What ``dagster code-server start`` starts its code servers by, anew at each reload."""
    return [executable, "-m", "privacy_assets.machine.forking"]


def main() -> None:
    from dagster._cli import main as dagster

    vars(grpc_server).update(
        DagsterApiServer=ForkingApiServer, get_python_environment_entry_point=entry_point
    )
    dagster()  # type: ignore[no-untyped-call]  # Dagster leaves it untyped


if __name__ == "__main__":
    main()
