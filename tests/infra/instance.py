"""Dagster's instance of production (``deploy/dagster.yaml``) on a PostgreSQL of this machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from infra.names import DATABASE_USER
from privacy_assets.governed import PROJECT
from privacy_assets.machine.database import IAM_ROLE, create_user
from tests import postgres

DATABASE = "dagster"
ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class Database:
    """A server as RDS hands it over: an administrator who is no superuser, and Dagster's database, empty."""

    server: postgres.Listening

    @property
    def environment(self) -> dict[str, str]:
        """What tasks are told of it."""
        return {
            "DAGSTER_PG_HOST": "localhost",
            "DAGSTER_PG_USER": DATABASE_USER,
            "DAGSTER_PG_DB": DATABASE,
            "AWS_REGION": "us-east-1",
        }

    def create_user(self) -> list[str]:
        """As the task ``database`` does."""
        parameters = {**self.server.parameters, "user": ADMINISTRATOR}
        return create_user(parameters, DATABASE, DATABASE_USER)


@contextmanager
def handed_over() -> Iterator[Database]:
    """The database for the length of the block. Skips the test where PostgreSQL isn't installed."""
    with postgres.listening() as server:
        connection = psycopg2.connect(**server.parameters, user="test", dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {IAM_ROLE}")
            cursor.execute(f"CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE")
            cursor.execute(f"GRANT {IAM_ROLE} TO {ADMINISTRATOR} WITH ADMIN OPTION")
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ADMINISTRATOR}")
        connection.close()
        yield Database(server)


def write_home(folder: Path, server: postgres.Listening, changes: Mapping[str, Any]) -> Path:
    """``dagster.yaml`` as deployed, but for the database's port and authority, and where it may write.

    ``changes`` takes the place of whole parts of it; None leaves a part out.
    """
    document = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    database = document["storage"]["postgres"]["postgres_db"]
    database["port"] = server.port
    database["params"]["sslrootcert"] = str(server.authority)
    document["local_artifact_storage"]["config"]["base_dir"] = str(folder / "artifacts")
    document["compute_logs"]["config"]["local_dir"] = str(folder / "compute-logs")
    document.update(changes)
    home = folder / "home"
    home.mkdir()
    kept = {name: part for name, part in document.items() if part is not None}
    (home / "dagster.yaml").write_text(yaml.safe_dump(kept))
    return home
