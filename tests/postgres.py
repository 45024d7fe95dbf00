"""A PostgreSQL of Debian's package for a test, on a socket of its own; nothing of it outlives the test.

``POSTGRES_BINARIES`` names the folder of another's programs, such as those of the version that is deployed.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from privacy_assets.machine.stack import free_port

AUTHORITY = "authority.pem"


@contextmanager
def running() -> Iterator[str]:
    """The URL of its first database, without password: a socket of this machine alone leads there.

    Skips the test where PostgreSQL isn't installed.
    """
    with _server() as folder:
        yield f"postgresql+psycopg2://test@/postgres?host={folder}"


@dataclass(frozen=True)
class Listening:
    """A server that is asked by TLS: superuser ``test``; ``authority`` signs its certificate."""

    port: int
    authority: Path
    log: Path

    @property
    def parameters(self) -> dict[str, str]:
        """For psycopg2, but for user and database; nobody has a password."""
        where = {"host": "localhost", "port": str(self.port)}
        return {**where, "sslmode": "verify-full", "sslrootcert": str(self.authority)}


@contextmanager
def listening() -> Iterator[Listening]:
    """On a port of the loopback, by TLS alone. Skips the test where PostgreSQL isn't installed."""
    port = free_port()
    with _server(port) as folder:
        yield Listening(port, folder / AUTHORITY, folder / "log")


@contextmanager
def _server(port: int | None = None) -> Iterator[Path]:
    """The folder of its socket and its log; of its authority too, if it listens on a port."""
    named = os.environ.get("POSTGRES_BINARIES")
    installed = [Path(named)] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
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
        options = f"-k {folder} -F -c max_connections=200 "
        if port is None:
            options += "-h ''"
        else:
            _certify(folder, data)
            (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
            options += f"-h 127.0.0.1 -p {port} -c ssl=on"
        _run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield folder
        finally:
            _run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _certify(folder: Path, data: Path) -> None:
    """A certificate for ``localhost`` that signs itself, where PostgreSQL looks for it; a copy to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    for path, content in ((data / "server.key", private), (data / "server.crt", public)):
        path.write_bytes(content)
        path.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(path, "postgres")
    (folder / AUTHORITY).write_bytes(public)


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
