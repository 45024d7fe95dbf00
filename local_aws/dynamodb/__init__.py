"""Tables with a history, and exports of them at a point in time."""

from functools import partial

import moto.dynamodb.models as moto_models

from local_aws.context import Context
from local_aws.dynamodb import conditions, responses, streams
from local_aws.dynamodb.backend import HistoryBackend
from local_aws.dynamodb.expiry import expire
from local_aws.dynamodb.exports import Exports
from local_aws.dynamodb.history import History
from local_aws.dynamodb.loading import load
from local_aws.dynamodb.tables import HistoryRestoredPITTable, HistoryRestoredTable, HistoryTable

_TARGET = "DynamoDB_20120810."
# moto's backend makes its tables by these names.
_TABLES = {
    "Table": HistoryTable,
    "RestoredTable": HistoryRestoredTable,
    "RestoredPITTable": HistoryRestoredPITTable,
}
_OWN_ACTIONS = (
    "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteStatement",
    "BatchExecuteStatement", "ExecuteTransaction", "ExportTableToPointInTime",
)  # fmt: skip


def install(context: Context) -> None:
    """Put this engine into moto's place."""
    history = History(context.store.directory / "dynamodb")
    exports = Exports(history, lambda: context.client("s3"), context.scratch)
    HistoryTable.history = HistoryBackend.history = history
    HistoryBackend.context = context
    for name, table in _TABLES.items():
        setattr(moto_models, name, table)
    moto_models.dynamodb_backends.backend = HistoryBackend
    responses.install(exports, history)
    streams.install()
    conditions.install()

    def reset() -> None:
        streams.stream_clock.ahead_seconds = 0.0
        exports.clear()
        history.store.clear()

    context.own_actions |= {_TARGET + action for action in _OWN_ACTIONS}
    context.on_start.append(exports.resume)
    context.on_stop.append(exports.stop)
    context.on_reset.append(reset)
    context.routes["dynamodb/load"] = load
    context.routes["dynamodb/expire"] = expire
    context.routes["dynamodb/settings"] = partial(responses.settings, exports)
