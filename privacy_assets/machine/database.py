"""``python -m privacy_assets.machine.database``: the user that Dagster signs in to its database as.

Run once, as the administrator, whose name and password are in ``ADMIN_USER`` and ``ADMIN_PASSWORD``. The user
has no password: RDS takes a token that the process's role may ask for. Run again, it changes nothing.
"""

import os
import sys
from collections.abc import Mapping

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


def create_user(parameters: Mapping[str, str], database: str, user: str) -> list[str]:
    """Create ``user``, who owns what Dagster makes in ``database``; a line for each thing done.

    Raises psycopg2.Error when the server refuses.
    """
    done = []
    connection = psycopg2.connect(**parameters, dbname=database)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(user)))
                done.append(f"user {user}: created")
            cursor.execute("SELECT pg_has_role(%s, %s, 'MEMBER')", (user, IAM_ROLE))
            if cursor.fetchone() != (True,):
                cursor.execute(
                    sql.SQL("GRANT {} TO {}").format(sql.Identifier(IAM_ROLE), sql.Identifier(user))
                )
                done.append(f"user {user}: signs in with a token")
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
    except psycopg2.Error as error:
        sys.exit(_refused(f"database {parameters['host']}: {' '.join(str(error).split())}"))
    for line in done:
        sys.stdout.write(f"{line}\n")


def _refused(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 2


if __name__ == "__main__":
    main()
