"""Athena that runs the SQL: Trino's dialect compiled to DuckDB's, over the tables of Glue and the objects of
S3.
"""

from typing import Any

from moto.athena import urls
from moto.athena.models import athena_backends

from local_aws.athena.backend import LocalAthenaBackend
from local_aws.athena.execution import Executions
from local_aws.athena.responses import LocalAthenaResponse
from local_aws.context import Context


def install(context: Context) -> None:
    """Put this engine into moto's place."""
    LocalAthenaBackend.executions_ = executions = Executions(context)
    backends: Any = athena_backends
    backends.backend = LocalAthenaBackend
    paths: Any = urls.url_paths
    paths["{0}/$"] = LocalAthenaResponse.dispatch
    # executions are kept in the store and run in threads of their own
    context.own_actions |= {"AmazonAthena.StartQueryExecution", "AmazonAthena.StopQueryExecution"}
    context.on_reset.append(executions.clear)
    context.on_stop.append(executions.close)
