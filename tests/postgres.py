"""A PostgreSQL of Debian's package for a test, on a socket of its own; nothing of it outlives the test."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


@contextmanager
def running() -> Iterator[str]:
    """The URL of its first database, without password: a socket of this machine alone leads there.

    Skips the test where PostgreSQL isn't installed.
    """
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not installed:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    binaries = installed[0]
    # A socket's path has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    data = folder / "data"
    try:
        if os.getuid() == 0:  # PostgreSQL refuses to be root
            shutil.chown(folder, "postgres")
        _run(binaries / "initdb", "-D", data, "-U", "test", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -h '' -F -c max_connections=20"
        _run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://test@/postgres?host={folder}"
        finally:
            _run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of a database that no other test uses."""
    name = f"db_{uuid.uuid4().hex[:10]}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    yield server.replace("/postgres?", f"/{name}?")


def dump(url: str) -> bytes:
    """All that the database holds."""
    host = url.partition("host=")[2]
    name = url.partition("@/")[2].partition("?")[0]
    said = subprocess.run(
        ["pg_dump", "-h", host, "-U", "test", "--inserts", name], check=True, capture_output=True, timeout=120
    )
    return said.stdout


def _run(*arguments: Sequence[str] | str | Path) -> None:
    command = [str(each) for each in arguments]
    if os.getuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    said = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=180, cwd="/", check=False
    )
    if said.returncode:
        raise RuntimeError(f"{command[-1]}: {said.stderr.decode()}")
