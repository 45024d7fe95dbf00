"""Waiting for the code server, which answers once it has loaded the definitions."""

import time
from collections.abc import Callable

SECONDS = 120.0


def await_code_server(port: int, alive: Callable[[], None] = lambda: None) -> None:
    """Wait until the code server on ``port`` answers; ``alive`` raises when it can't any more.

    Raises TimeoutError.
    """
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    client = DagsterGrpcClient(port=port, host="127.0.0.1")
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        alive()
        try:
            client.ping("ready?")
        except DagsterUserCodeUnreachableError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"the code server did not answer within {SECONDS:g} s")
