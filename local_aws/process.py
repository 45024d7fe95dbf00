"""Starting and stopping the server as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 4566


@dataclass(frozen=True)
class Server:
    """A server that answers at ``endpoint``."""

    endpoint: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """What an AWS client needs in its environment to talk to this server and to no other."""
        return environment(self.endpoint)


def environment(endpoint: str) -> dict[str, str]:
    """What an AWS client needs in its environment to talk to ``endpoint`` and to no other."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def running(port: int = 0, state: Path | None = None) -> Iterator[Server]:
    """A server for the length of the block, at most of this process; ``port`` 0 takes a free one."""
    command = [sys.executable, "-m", "local_aws", "--stop-at-eof", "--port", str(port)]
    if state is not None:
        command += ["--state", str(state)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready = process.stdout.readline().strip()
        if not ready.startswith("ready "):
            raise RuntimeError(f"local AWS did not start: {ready or 'see its message above'}")
        yield Server(endpoint=ready.removeprefix("ready "), pid=process.pid)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
