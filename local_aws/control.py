"""Talking to a local AWS that runs, and starting one that outlives us.

A server is known by what answers on its port, never by a pid that a file remembers: pids are used again, and
what answers may be in another container.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE = "local-aws"
_PATIENCE_SECONDS = 5.0
_STOP_SECONDS = 30.0


class ControlError(Exception):
    """What was asked can't be done; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Running:
    """A local AWS that answers on ``port``."""

    port: int
    pid: int
    endpoint: str
    version: str
    state: str | None
    counts: dict[str, int]


def find(port: int) -> Running | None:
    """The local AWS on the port; None when nothing listens. Raises ControlError when something else does."""
    try:
        health = _call(port, "GET", "health")
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException, ValueError):
        health = {}
    if health.get("service") != SERVICE:
        raise ControlError(
            f"port {port}: no local AWS, but something else listens there: choose another port"
        )
    return Running(
        port=port,
        pid=health["pid"],
        endpoint=health["endpoint"],
        version=health["version"],
        state=health["state"],
        counts=health["counts"],
    )


def reset(port: int) -> None:
    """Empty the server on the port. Raises ControlError when there is none."""
    if find(port) is None:
        raise ControlError(f"port {port}: no local AWS runs there: start one with `aws up`")
    _call(port, "POST", "reset", patience=None)


def start_detached(port: int, state: Path | None, directory: Path) -> Running:
    """Start a server that outlives this process, and return when it answers.

    Its record and its log are written to ``directory``. Raises ControlError when it doesn't start.
    """
    refuse_second(port)
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"aws-starting-{os.getpid()}.log"
    command = [sys.executable, "-m", "local_aws", "--port", str(port)]
    if state is not None:
        command += ["--state", str(state.absolute())]
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        with process.stdout as output:
            ready = output.readline().strip()
    except BaseException:  # Ctrl-C while it starts
        process.terminate()
        raise
    if not ready.startswith("ready "):
        process.wait()
        lines = log.read_text().strip().splitlines() or ["it ended without a word"]
        log.unlink()
        raise ControlError(lines[-1].removeprefix("local_aws: "))
    port = int(ready.rpartition(":")[2])
    log.replace(log_path(directory, port))
    running = find(port)
    if running is None:
        raise ControlError(f"port {port}: the server ended as soon as it was ready")
    write_record(directory, running)
    return running


def refuse_second(port: int) -> None:
    """Raises ControlError when a local AWS runs on the port, with the way to stop it."""
    running = find(port) if port else None
    if running is not None:
        raise ControlError(
            f"port {port}: a local AWS runs there already (pid {running.pid}): "
            f"`aws down --port {port}` stops it, `--port` takes another"
        )


def stop(port: int, directory: Path) -> Running | None:
    """Stop the server on the port and return once its process has ended; None when none ran."""
    running = find(port)
    if running is None:
        record_path(directory, port).unlink(missing_ok=True)
        return None
    recorded = _recorded_pid(directory, port)
    # The kernel closes this connection when the process ends, however it ends.
    with socket.create_connection(("127.0.0.1", port), timeout=_STOP_SECONDS) as thread_of_life:
        with suppress(OSError, http.client.HTTPException):
            _call(port, "POST", "stop")
        try:
            thread_of_life.recv(1)
        except TimeoutError:
            if recorded != running.pid:
                raise ControlError(
                    f"port {port}: pid {running.pid} does not stop, and no record says it is ours to kill"
                ) from None
            os.kill(running.pid, signal.SIGKILL)
            thread_of_life.recv(1)
        except OSError:
            pass  # reset instead of closed: it has ended all the same
    record_path(directory, port).unlink(missing_ok=True)
    return running


def record_path(directory: Path, port: int) -> Path:
    """Where the record of the server on the port is."""
    return directory / f"aws-{port}.json"


def log_path(directory: Path, port: int) -> Path:
    """Where the server on the port writes its errors."""
    return directory / f"aws-{port}.log"


def write_record(directory: Path, running: Running) -> None:
    """Keep what is known of a server."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {"pid": running.pid, "endpoint": running.endpoint, "state": running.state}
    record_path(directory, running.port).write_text(json.dumps(document) + "\n")


def _recorded_pid(directory: Path, port: int) -> int | None:
    try:
        pid = json.loads(record_path(directory, port).read_text())["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if isinstance(pid, int) else None


def _call(port: int, method: str, name: str, patience: float | None = _PATIENCE_SECONDS) -> dict[str, Any]:
    """What ``/_local/<name>`` answers. No proxy is asked: it is this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, f"/_local/{name}")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}
