"""AWS, code server, daemon and web interface as one thing that is started and ended.

They start side by side, as each needs seconds of its own. The daemon waits to be told to begin, so that
nothing is scheduled before the data is there.
"""

import fcntl
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from privacy_assets.errors import UserError
from privacy_assets.machine import home
from privacy_assets.machine.code_server import await_code_server
from privacy_assets.machine.processes import Child, Children, children
from resources import settings as settings_

HOST = "127.0.0.1"
AWS_SECONDS, CODE_SECONDS = 20.0, 3.0
SOCKET_DIRECTORY_BYTES = 107 - len("/pymp-12345678/listener-12345678")
"""A Unix socket's path has at most 107 bytes (unix(7)); the longest name is of ``multiprocessing``."""
SHORT_DIRECTORY = "/tmp"  # noqa: S108  # mkdtemp makes a directory of our own in it
KEPT_SETTINGS = tuple(setting.name for setting in settings_.ALL if setting.everywhere)


@dataclass(frozen=True)
class Machine:
    """The running whole. ``directory`` holds all of its state, logs and temporary files."""

    directory: Path
    endpoint: str
    children: Children
    aws: Child
    code: Child
    daemon: Child

    def begin(self, mornings: Sequence[str] = ()) -> None:
        """Tell the daemon to begin, after it has made up for the schedule's ``mornings`` (ISO dates)."""
        self.daemon.check()
        self.daemon.input.write(" ".join(mornings) + "\n")
        self.daemon.input.flush()


@contextmanager
def machine(
    directory: Path,
    *,
    aws_port: int | None = None,
    web_port: int | None = None,
    settings: Mapping[str, str] | None = None,
    eager: bool = False,
    forgets: bool = False,
    reloads: bool = False,
) -> Iterator[Machine]:
    """Everything for the length of the block, answering when it begins (the daemon: when it is told to).

    ``aws_port`` None takes a free one; ``web_port`` None starts no web interface; ``settings`` are added to
    the environment; ``eager`` makes the daemon look for work every second; ``forgets`` spares AWS the writing
    down of its state; ``reloads`` lets the web interface's Reload read changed code and audits. Within the
    block the environment points AWS clients and Dagster here. Raises UserError for a port that is taken or a
    directory that is in use.
    """
    for port in (aws_port, web_port):
        if port is not None:
            require_free(port)
    aws_port = aws_port or free_port()
    code_port = free_port()
    endpoint = f"http://{HOST}:{aws_port}"
    make_directory(directory)
    with (
        _locked(directory),
        _temporary(directory) as temporary,
        _environment(_settings(directory, endpoint, temporary, settings or {})),
        children(directory / "logs") as group,
    ):
        workspace = home.write(directory / "dagster", code_port, eager=eager)
        aws = group.start(
            "aws",
            _aws(aws_port, None if forgets else directory / "aws"),
            {},
            heard=True,
            patience=AWS_SECONDS,
        )
        code = group.start("code", _code_server(code_port, reloads), {}, patience=CODE_SECONDS)
        daemon = group.start("daemon", _daemon(code_port, workspace, eager), {}, fed=True)
        _await_ready(aws)
        if web_port is not None:
            # It shows a code location that it could not load as broken, so it comes last.
            await_code_server(code_port, group.check)
            group.start("web", _webserver(web_port, workspace), {})
        yield Machine(directory, endpoint, group, aws, code, daemon)


def _aws(port: int, state: Path | None) -> list[str]:
    kept = ["--state", str(state)] if state else []
    return [sys.executable, "-m", "local_aws", "--port", str(port), *kept]


def _code_server(port: int, reloads: bool) -> list[str]:
    served = ["code-server", "start"] if reloads else ["api", "grpc"]
    where = [
        "--host",
        HOST,
        "--port",
        str(port),
        "--location-name",
        "privacy_assets",
        "--log-level",
        "warning",
    ]
    command = [sys.executable, "-m", "privacy_assets.machine.forking", *served, *where]
    return [*command, "--module-name", "privacy_assets.definitions"]


def _daemon(code_port: int, workspace: Path, eager: bool) -> list[str]:
    command = [sys.executable, "-m", "privacy_assets.machine.daemon", "--workspace", str(workspace)]
    return [*command, "--code-server", str(code_port), *(["--eager"] if eager else [])]


def _webserver(port: int, workspace: Path) -> list[str]:
    where = ["--host", HOST, "--port", str(port), "--workspace", str(workspace)]
    return [sys.executable, "-m", "dagster_webserver", *where, "--log-level", "warning"]


def _await_ready(aws: Child) -> None:
    line = aws.output.readline()
    if not line.startswith("ready "):
        aws.process.wait()
        aws.check()


def _settings(
    directory: Path, endpoint: str, temporary: Path, settings: Mapping[str, str]
) -> Mapping[str, str | None]:
    """The environment's changes; None takes a variable away.

    Whatever else speaks of AWS is taken away, so that nothing here can reach an account, and our own settings
    too, which name an account's resources; what is governed and audited stays the user's.
    """
    from local_aws.process import environment

    ours = [name for name in os.environ if name.startswith(("AWS_", "PRIVACY_ASSETS_"))]
    return {
        **{name: None for name in ours if name not in KEPT_SETTINGS},
        **environment(endpoint),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DAGSTER_HOME": str(directory.resolve() / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",  # a laptop that is busy starts a run slowly, not never
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        **settings,
    }


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    _apply(changes)
    try:
        yield
    finally:
        _apply(before)


def _apply(changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    tempfile.tempdir = None  # it is read from TMPDIR again


@contextmanager
def _temporary(directory: Path) -> Iterator[Path]:
    """A place for all temporary files that is removed at the end, also of those who were killed.

    Dagster has sockets there, whose paths the system limits: under a long path the place is a short one
    outside, which only a kill leaves behind.
    """
    path = directory.resolve() / "tmp"
    shutil.rmtree(path, ignore_errors=True)
    if len(os.fsencode(path)) > SOCKET_DIRECTORY_BYTES:
        path = Path(tempfile.mkdtemp(prefix="privacy-assets-", dir=SHORT_DIRECTORY))
    else:
        path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_directory(directory: Path) -> None:
    """Raises UserError when there can be no such directory."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "no directory" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(f"--state {directory}: {why}, expected a directory or a name for a new one") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Held by one process at a time, and let go of however it ends."""
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{directory}: in use by another privacy-assets, expected one of its own: --state DIR"
            ) from None
        yield


def require_free(port: int) -> None:
    """Raises UserError when something listens on ``port`` of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise UserError(f"port {port}: not allowed, expected a port above 1023") from None
        except OSError:
            raise UserError(
                f"port {port}: in use, expected a free one: name another, or end what uses it"
            ) from None


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
