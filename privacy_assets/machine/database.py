"""``python -m privacy_assets.machine.database``: the user that Dagster signs in to its database as.

Run once, as the administrator, whose name and password are in ``ADMIN_USER`` and ``ADMIN_PASSWORD``. The
user has no password: RDS takes a token that the process's role may ask for. Run again, it changes nothing.

Whoever is a member of the role ``rds_iam``, directly or by way of another role, is asked by RDS for a token
and no longer for a password (RDS User Guide, "Database authentication"). From PostgreSQL 16 on, whoever
creates a role is a member of it for good. So that the administrator keeps the password, another role
creates the user, and is gone.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2 import sql

VARIABLES = (
    "DAGSTER_PG_HOST",
    "DAGSTER_PG_DB",
    "DAGSTER_PG_USER",
    "DAGSTER_PG_CA",
    "ADMIN_USER",
    "ADMIN_PASSWORD",
)
IAM_ROLE = "rds_iam"
"""Members sign in with a token (RDS User Guide, "IAM database authentication")."""
_MAKER = "dagster_maker"


class NotOursError(RuntimeError):
    """There is a user of the name, whom this task did not make."""


def create_user(parameters: Mapping[str, str], database: str, user: str) -> list[str]:
    """Create ``user``, who owns what Dagster makes in ``database``; a line for each thing done.

    Raises psycopg2.Error when the server refuses, NotOursError for a user who may not sign in with a token.
    """
    done = []
    connection = psycopg2.connect(**parameters, dbname=database)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,))
            if cursor.fetchone() is None:
                _create(cursor, user)
                done += [f"user {user}: created", f"user {user}: signs in with a token"]
            cursor.execute("SELECT pg_has_role(%s, %s, 'MEMBER')", (user, IAM_ROLE))
            if cursor.fetchone() != (True,):
                raise NotOursError(
                    f"user {user}: not a member of {IAM_ROLE}, expected the one that this task makes: drop it"
                )
            for privilege, thing in (("CONNECT", "DATABASE"), ("CREATE", "SCHEMA"), ("USAGE", "SCHEMA")):
                name = database if thing == "DATABASE" else "public"
                cursor.execute(
                    sql.SQL(f"GRANT {privilege} ON {thing} {{}} TO {{}}").format(
                        sql.Identifier(name), sql.Identifier(user)
                    )
                )
    finally:
        connection.close()
    return done


def _create(cursor: Any, user: str) -> None:
    """The user, of whom nobody is a member; all of it or nothing."""
    for statement in (
        "CREATE ROLE {maker} CREATEROLE",
        "GRANT {maker} TO CURRENT_USER",
        "SET LOCAL ROLE {maker}",
        "CREATE ROLE {user} LOGIN",
        "RESET ROLE",
        "DROP ROLE {maker}",
        "GRANT {iam} TO {user}",
    ):
        names = {"maker": _MAKER, "user": user, "iam": IAM_ROLE}
        quoted = {name: sql.Identifier(role) for name, role in names.items()}
        cursor.execute(sql.SQL(statement).format(**quoted))


def main() -> None:
    environment = os.environ
    if missing := [name for name in VARIABLES if not environment.get(name)]:
        sys.exit(_refused(f"{', '.join(missing)}: not set, expected what the task privacy-database has"))
    parameters = {
        "host": environment["DAGSTER_PG_HOST"],
        "user": environment["ADMIN_USER"],
        "password": environment["ADMIN_PASSWORD"],
        "sslmode": "verify-full",
        "sslrootcert": environment["DAGSTER_PG_CA"],
    }
    try:
        done = create_user(parameters, environment["DAGSTER_PG_DB"], environment["DAGSTER_PG_USER"])
    except (psycopg2.Error, NotOursError) as error:
        sys.exit(_refused(f"database {parameters['host']}: {' '.join(str(error).split())}"))
    for line in done:
        sys.stdout.write(f"{line}\n")


def _refused(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 2


if __name__ == "__main__":
    main()
