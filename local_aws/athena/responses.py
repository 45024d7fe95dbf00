"""Athena's API where moto's answers fall short (https://docs.aws.amazon.com/athena/latest/APIReference/)."""

import json
from typing import Any

from moto.athena.responses import AthenaResponse

from local_aws.athena import types
from local_aws.athena.backend import LocalAthenaBackend
from local_aws.athena.catalog import CATALOG, Catalog, Table
from local_aws.athena.execution import Execution
from local_aws.athena.problems import InvalidRequest, MetadataProblem, ResourceNotFound


class LocalAthenaResponse(AthenaResponse):
    """One request."""

    @property
    def athena_backend(self) -> LocalAthenaBackend:
        backend = super().athena_backend
        assert isinstance(backend, LocalAthenaBackend)
        return backend

    @property
    def _request(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body or "{}")
        return found

    # -- executions --------------------------------------------------------------------------------

    def start_query_execution(self) -> str:
        return json.dumps({"QueryExecutionId": self.athena_backend.start(self._request)})

    def stop_query_execution(self) -> str:
        query_id = self._request.get("QueryExecutionId", "")
        self.athena_backend.execution(query_id)
        self.athena_backend.executions_.stop(query_id)
        return "{}"

    def get_query_execution(self) -> str:
        return json.dumps(
            {"QueryExecution": described(self.athena_backend.execution(self._request["QueryExecutionId"]))}
        )

    def batch_get_query_execution(self) -> str:
        found, missing = [], []
        for query_id in self._request["QueryExecutionIds"]:
            try:
                found.append(described(self.athena_backend.execution(query_id)))
            except InvalidRequest as error:
                missing.append(
                    {
                        "QueryExecutionId": query_id,
                        "ErrorCode": "INVALID_INPUT",
                        "ErrorMessage": error.message,
                    }
                )
        return json.dumps({"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing})

    def list_query_executions(self) -> str:
        request = self._request
        workgroup = request.get("WorkGroup") or "primary"
        ids = self.athena_backend.executions_.newest_first(self.region, workgroup)
        return self._page("QueryExecutionIds", ids, request, 50)

    def get_query_results(self) -> str:
        request = self._request
        page = self.athena_backend.results(
            request["QueryExecutionId"], request.get("NextToken"), request.get("MaxResults") or 1000
        )
        return json.dumps(page)

    def get_query_runtime_statistics(self) -> str:
        execution = self.athena_backend.execution(self._request["QueryExecutionId"])
        statistics = {
            "Timeline": _timeline(execution),
            "Rows": {
                "InputBytes": execution.bytes_scanned,
                "OutputRows": execution.output_rows,
                "OutputBytes": execution.output_bytes,
            },
        }
        return json.dumps({"QueryRuntimeStatistics": statistics})

    # -- workgroups --------------------------------------------------------------------------------

    def get_work_group(self) -> str:
        name = self._request["WorkGroup"]
        found = self.athena_backend.get_work_group(name)
        if found is None:
            raise InvalidRequest("WorkGroup is not found.")
        return json.dumps({"WorkGroup": found})

    def update_work_group(self) -> str:
        request = self._request
        self.athena_backend.update_work_group(
            request["WorkGroup"],
            request.get("State"),
            request.get("Description"),
            dict(request.get("ConfigurationUpdates") or {}),
        )
        return "{}"

    # -- prepared statements -----------------------------------------------------------------------

    def create_prepared_statement(self) -> str:
        self._put_prepared(new=True)
        return "{}"

    def update_prepared_statement(self) -> str:
        self._put_prepared(new=False)
        return "{}"

    def _put_prepared(self, *, new: bool) -> None:
        request = self._request
        self.athena_backend.put_prepared(
            request["WorkGroup"],
            request["StatementName"],
            request["QueryStatement"],
            request.get("Description", ""),
            new=new,
        )

    def get_prepared_statement(self) -> str:
        request = self._request
        found = self.athena_backend.prepared(request["WorkGroup"], request["StatementName"])
        if found is None:
            raise ResourceNotFound(f"PreparedStatement {request['StatementName']} was not found")
        answer = {
            "StatementName": found.statement_name,
            "QueryStatement": found.query_statement,
            "WorkGroupName": request["WorkGroup"],
            "Description": found.description,
            "LastModifiedTime": found.last_modified_time.timestamp(),
        }
        return json.dumps({"PreparedStatement": answer})

    def list_prepared_statements(self) -> str:
        request = self._request
        prefix = request["WorkGroup"] + "/"
        listed = [
            {"StatementName": p.statement_name, "LastModifiedTime": p.last_modified_time.timestamp()}
            for key, p in sorted(self.athena_backend.prepared_statements.items())
            if key.startswith(prefix)
        ]
        return self._page("PreparedStatements", listed, request, 50)

    def delete_prepared_statement(self) -> str:
        request = self._request
        self.athena_backend.delete_prepared(request["WorkGroup"], request["StatementName"])
        return "{}"

    # -- the catalog -------------------------------------------------------------------------------

    def _catalog(self) -> Catalog:
        name = self._request.get("CatalogName", "")
        if name.lower() != CATALOG:
            raise InvalidRequest(f"Catalog {name} was not found")
        return Catalog(self.region)

    def list_databases(self) -> str:
        listed = [{"Name": name} for name in self._catalog().databases()]
        return self._page("DatabaseList", listed, self._request, 50)

    def get_database(self) -> str:
        name = self._request["DatabaseName"]
        found = self._catalog().database_of(name)
        if found is None and name.lower() != "default":
            raise MetadataProblem(f"Database {name} not found")
        given = found.input if found is not None else {}
        answer = {
            "Name": name,
            "Description": given.get("Description") or "",
            "Parameters": given.get("Parameters") or {},
        }
        return json.dumps({"Database": answer})

    def list_table_metadata(self) -> str:
        request, catalog = self._request, self._catalog()
        schema = request["DatabaseName"]
        tables = (catalog.find(schema, name) for name in catalog.table_names(schema))
        return self._page(
            "TableMetadataList", [_table_metadata(t) for t in tables if t is not None], request, 50
        )

    def get_table_metadata(self) -> str:
        request = self._request
        schema, name = request["DatabaseName"], request["TableName"]
        catalog = self._catalog()
        found = catalog.find(schema, name) if catalog.database_of(schema) is not None else None
        if found is None:
            raise MetadataProblem(f"Entity Not Found: {schema}.{name}")
        return json.dumps({"TableMetadata": _table_metadata(found)})

    def _page(self, key: str, items: list[Any], request: dict[str, Any], default: int) -> str:
        start = int(request.get("NextToken") or 0)
        end = start + int(request.get("MaxResults") or default)
        answer: dict[str, Any] = {key: items[start:end]}
        if end < len(items):
            answer["NextToken"] = str(end)
        return json.dumps(answer)


def described(execution: Execution) -> dict[str, Any]:
    """An execution as the API shows it."""
    status: dict[str, Any] = {"State": execution.state, "SubmissionDateTime": execution.submitted}
    if execution.completed is not None:
        status["CompletionDateTime"] = execution.completed
    if execution.reason:
        status["StateChangeReason"] = execution.reason
    if execution.error:
        status["AthenaError"] = execution.error
    statistics: dict[str, Any] = {"DataScannedInBytes": execution.bytes_scanned, **_timeline(execution)}
    statistics["ResultReuseInformation"] = {"ReusedPreviousResult": False}
    if execution.manifest:
        statistics["DataManifestLocation"] = execution.manifest
    context = {"Database": execution.database, "Catalog": execution.catalog}
    answer = {
        "QueryExecutionId": execution.id,
        "Query": execution.query,
        "StatementType": execution.statement_type,
        "SubstatementType": execution.substatement,
        "ResultConfiguration": _result_configuration(execution),
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": {k: v for k, v in context.items() if v},
        "Status": status,
        "Statistics": statistics,
        "WorkGroup": execution.workgroup,
        "EngineVersion": {
            "SelectedEngineVersion": "AUTO",
            "EffectiveEngineVersion": "Athena engine version 3",
        },
    }
    if execution.parameters:
        answer["ExecutionParameters"] = execution.parameters
    return answer


def _result_configuration(execution: Execution) -> dict[str, Any]:
    if execution.output_location is None:  # results that Athena manages have no place that a client can see
        return {k: v for k, v in execution.configuration.items() if k != "OutputLocation"}
    return {**execution.configuration, "OutputLocation": execution.output_location}


def _timeline(execution: Execution) -> dict[str, int]:
    total = execution.milliseconds(execution.submitted, execution.completed)
    queued = execution.milliseconds(execution.submitted, execution.started or execution.completed)
    return {
        "QueryQueueTimeInMillis": queued,
        "QueryPlanningTimeInMillis": 0,
        "EngineExecutionTimeInMillis": max(0, total - queued),
        "ServicePreProcessingTimeInMillis": 0,
        "ServiceProcessingTimeInMillis": 0,
        "TotalExecutionTimeInMillis": total,
    }


def _table_metadata(table: Table) -> dict[str, Any]:
    def listed(columns: list[tuple[str, types.Type]]) -> list[dict[str, str]]:
        return [
            {
                "Name": name,
                "Type": types.hive(kind),
                **({"Comment": c} if (c := table.comments.get(name)) else {}),
            }
            for name, kind in columns
        ]

    return {
        "Name": table.name,
        "TableType": "VIRTUAL_VIEW" if table.view is not None else "EXTERNAL_TABLE",
        "Columns": listed(table.columns),
        "PartitionKeys": listed(table.partition_keys),
        "Parameters": {
            **table.parameters,
            "location": table.storage.location,
            "inputformat": table.storage.input_format,
            "serde.serialization.lib": table.storage.serde,
        },
    }
