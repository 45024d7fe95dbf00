"""``events``: the Iceberg table of ingested events."""

from collections.abc import Iterator, Sequence

from privacy_assets.dsar.stores.iceberg_table import IcebergTable
from privacy_assets.dsar.stores.models import EventsStore
from privacy_assets.dsar.stores.protocol import Erased, Found, Identifiers, Record, Remaining, RequestId
from privacy_assets.dsar.stores.rules import Rules
from privacy_assets.dsar.stores.tools import Tools


class Events:
    """A subject's events. Before the first event there is no table, and nothing of anybody."""

    def __init__(self, spec: EventsStore, tools: Tools) -> None:
        self.name, self._spec, self._tools = spec.name, spec, tools
        self.kinds = frozenset(spec.match)

    def find(self, identifiers: Identifiers) -> Found:
        return self._table().find(identifiers)

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        return self._table().export(identifiers)

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:  # noqa: ARG002
        return self._table().erase(identifiers)

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:
        return self._table().verify(identifiers, touched)

    def _table(self) -> IcebergTable:
        rules = Rules(self._spec, self.name, self._tools.erasures.pseudonym)
        return IcebergTable(self._tools.iceberg(), self._tools.files, self._spec.table, rules)
