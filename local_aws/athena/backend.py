"""Athena's backend in moto's place: workgroups and catalogs stay moto's, executions are run."""

import hashlib
import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from moto.athena import urls
from moto.athena.models import AthenaBackend, PreparedStatement, WorkGroup

from local_aws.athena.errors import QueryError
from local_aws.athena.execution import Execution, Executions, new_id
from local_aws.athena.output import csv
from local_aws.athena.problems import InvalidRequest, ResourceNotFound
from local_aws.athena.scan.tables import split_location
from local_aws.athena.statements.kinds import kind_of
from local_aws.athena.statements.prepared import resolve_execute
from local_aws.objects import list_objects

_PAGE = 1000
_LONGEST_QUERY = 262_144
_CACHED_RESULTS = 8


class LocalAthenaBackend(AthenaBackend):
    """Athena of one region."""

    executions_: ClassVar[Executions]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._results: OrderedDict[str, pa.Table] = OrderedDict()

    @property
    def _url_module(self) -> Any:
        return urls  # moto guesses it from the module's name, which is another here

    # -- executions --------------------------------------------------------------------------------

    def start(self, request: dict[str, Any]) -> str:
        """StartQueryExecution. Raises InvalidRequest."""
        text = request.get("QueryString") or ""
        if not text.strip():
            raise InvalidRequest("Query string is empty")
        if len(text.encode()) > _LONGEST_QUERY:
            raise InvalidRequest("Query string must be less than 262144 bytes")
        fingerprint = hashlib.sha256(
            json.dumps(
                {k: v for k, v in request.items() if k != "ClientRequestToken"}, sort_keys=True
            ).encode()
        ).hexdigest()
        token = request.get("ClientRequestToken")
        before = self.executions_.find_token(token) if token else None
        if before is not None:
            if before[1] != fingerprint:
                raise InvalidRequest("Idempotent parameters do not match")
            return before[0]
        return self.executions_.submit(self._execution(request, text), token, fingerprint)

    def _execution(self, request: dict[str, Any], text: str) -> Execution:
        name = request.get("WorkGroup") or "primary"
        group = self._enabled(name)
        context = request.get("QueryExecutionContext") or {}
        parameters = list(request.get("ExecutionParameters") or [])
        try:
            resolved = resolve_execute(text, lambda wanted: self._prepared_text(name, wanted))
        except QueryError as error:
            raise InvalidRequest(error.reason) from None
        statement, bound = resolved or (text, parameters)
        kind = kind_of(statement)
        configuration = self._configuration(group, request.get("ResultConfiguration") or {})
        managed = (group.configuration.get("ManagedQueryResultsConfiguration") or {}).get("Enabled", False)
        output = "" if managed else _location(configuration)
        return Execution(
            new_id(), text, self.region_name, context.get("Database"), context.get("Catalog"), name,
            output, configuration, parameters, kind.type, kind.substatement, kind.suffix,
            group.configuration.get("BytesScannedCutoffPerQuery"), time.time(), statement,
            bound or parameters,
        )  # fmt: skip

    def _enabled(self, name: str) -> WorkGroup:
        group = self.work_groups.get(name)
        if group is None:
            raise InvalidRequest("WorkGroup is not found.")
        if group.state != "ENABLED":
            raise InvalidRequest(f"WorkGroup {name} is disabled.")
        return group

    def _configuration(self, group: WorkGroup, given: dict[str, Any]) -> dict[str, Any]:
        """The client's result configuration, or the workgroup's where it is enforced or the client gave
        none.
        """
        own = group.configuration.get("ResultConfiguration") or {}
        if group.configuration.get("EnforceWorkGroupConfiguration") and own.get("OutputLocation"):
            return dict(own)
        return {**own, **given}

    def execution(self, query_id: str) -> Execution:
        found = self.executions_.get(query_id)
        if found is None or found.region != self.region_name:
            raise InvalidRequest(f"QueryExecution {query_id} was not found")
        return found

    def results(self, query_id: str, token: str | None, count: int) -> dict[str, Any]:
        """GetQueryResults: a page of rows, the header first for a query."""
        execution = self.execution(query_id)
        if execution.state in ("QUEUED", "RUNNING"):
            raise InvalidRequest(f"Query has not yet finished. Current state: {execution.state}")
        if execution.state != "SUCCEEDED":
            raise InvalidRequest(f"Query did not finish successfully. Final query state: {execution.state}")
        if not 1 <= count <= _PAGE:
            raise InvalidRequest(f"MaxResults is more than maximum allowed length {_PAGE}")
        start = _offset(token, query_id)
        rows, total = self._rows(execution, start, count)
        answer: dict[str, Any] = {
            "ResultSet": {
                "Rows": [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows],
                "ResultSetMetadata": {"ColumnInfo": execution.columns},
            },
        }
        if execution.update_count is not None:
            answer["UpdateCount"] = execution.update_count
        if start + count < total:
            answer["NextToken"] = f"{query_id}:{start + count}"
        return answer

    def _rows(self, execution: Execution, start: int, count: int) -> tuple[list[list[str | None]], int]:
        """Some rows of a result and the number of all, the header counted where there is one."""
        if execution.rows is not None:
            return execution.rows[start : start + count], len(execution.rows)
        if execution.suffix != ".csv" or not execution.columns:
            return [], 0
        table = self._table(execution)
        header: list[list[str | None]] = [[c["Name"] for c in execution.columns]] if start == 0 else []
        first = max(0, start - 1)
        part = table.slice(first, count - len(header))
        columns = [column.to_pylist() for column in part.columns]
        return [*header, *(list(row) for row in zip(*columns, strict=True))], table.num_rows + 1

    def _table(self, execution: Execution) -> pa.Table:
        found = self._results.get(execution.id)
        if found is None:
            found = csv.read(self._result_file(execution), len(execution.columns))
            self._results[execution.id] = found
            while len(self._results) > _CACHED_RESULTS:
                self._results.popitem(last=False)
        return found

    def _result_file(self, execution: Execution) -> Path:
        if not execution.output:
            return self.executions_.managed_result(execution.id)
        bucket, key = split_location(execution.output_location or "")
        found = [item for item in list_objects(bucket, key) if item.key == key]
        if not found:
            raise InvalidRequest(f"Could not find results: s3://{bucket}/{key} does not exist")
        return found[0].path()

    # -- workgroups and prepared statements --------------------------------------------------------

    def update_work_group(
        self, name: str, state: str | None, description: str | None, updates: dict[str, Any]
    ) -> None:
        """UpdateWorkGroup (https://docs.aws.amazon.com/athena/latest/APIReference/API_UpdateWorkGroup.html)."""
        group = self.work_groups.get(name)
        if group is None:
            raise InvalidRequest("WorkGroup is not found.")
        group.state = state or group.state
        group.description = description if description is not None else group.description
        if updates.pop("RemoveBytesScannedCutoffPerQuery", False):
            group.configuration.pop("BytesScannedCutoffPerQuery", None)
        result = dict(group.configuration.get("ResultConfiguration") or {})
        for key, value in (updates.pop("ResultConfigurationUpdates", None) or {}).items():
            if key.startswith("Remove"):
                if value:
                    result.pop(key.removeprefix("Remove"), None)
            else:
                result[key] = value
        group.configuration["ResultConfiguration"] = result
        group.configuration.update(updates)

    def prepared(self, workgroup: str, name: str) -> PreparedStatement | None:
        found = self.prepared_statements.get(f"{workgroup}/{name.lower()}")
        return found if isinstance(found, PreparedStatement) else None

    def _prepared_text(self, workgroup: str, name: str) -> str | None:
        found = self.prepared(workgroup, name)
        return None if found is None else found.query_statement

    def put_prepared(self, workgroup: str, name: str, text: str, description: str, *, new: bool) -> None:
        """CreatePreparedStatement and UpdatePreparedStatement; names are a workgroup's own."""
        if workgroup not in self.work_groups:
            raise InvalidRequest("WorkGroup is not found.")
        exists = self.prepared(workgroup, name) is not None
        if new and exists:
            raise InvalidRequest(f"PreparedStatement {name} already exists")
        if not new and not exists:
            raise ResourceNotFound(f"PreparedStatement {name} was not found")
        group: Any = workgroup  # moto's model takes the name here
        self.prepared_statements[f"{workgroup}/{name.lower()}"] = PreparedStatement(
            name, group, text, description
        )

    def delete_prepared(self, workgroup: str, name: str) -> None:
        if self.prepared_statements.pop(f"{workgroup}/{name.lower()}", None) is None:
            raise ResourceNotFound(f"PreparedStatement {name} was not found")


def _location(configuration: dict[str, Any]) -> str:
    """The folder of results, with a slash at its end. Raises InvalidRequest."""
    output = str(configuration.get("OutputLocation") or "")
    if not output:
        raise InvalidRequest(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    try:
        split_location(output)
    except QueryError:
        raise InvalidRequest("outputLocation is not a valid S3 path.") from None
    return output.rstrip("/") + "/"


def _offset(token: str | None, query_id: str) -> int:
    if not token:
        return 0
    owner, _, offset = token.rpartition(":")
    if owner != query_id or not offset.isdigit():
        raise InvalidRequest("Invalid NextToken")
    return int(offset)
