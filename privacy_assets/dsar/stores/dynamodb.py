"""``dynamodb``: items of a table, found by key, by index, or by a scan.

An item goes only if it is as it was judged; one that somebody changed meanwhile is read and judged again.
"""

from collections.abc import Iterator, Sequence

from privacy_assets.dsar.stores.models import DynamoDbStore
from privacy_assets.dsar.stores.protocol import (
    Erased,
    Found,
    Identifiers,
    Link,
    Record,
    Remaining,
    RequestId,
    StoreError,
    Tally,
)
from privacy_assets.dsar.stores.rules import Fields, Rules
from privacy_assets.dsar.stores.tools import Item, ItemTable, Tools

_ATTEMPTS = 10


class DynamoDb:
    """A subject's items in one table."""

    def __init__(self, spec: DynamoDbStore, tools: Tools) -> None:
        self.name, self._spec, self._tools = spec.name, spec, tools
        self._rules = Rules(spec, spec.name, tools.erasures.pseudonym)
        self.kinds = self._rules.kinds

    def find(self, identifiers: Identifiers) -> Found:
        records, links = 0, set[Link]()
        for item in self._items(self._table(), identifiers):
            records += 1
            links.update(self._rules.links(item, identifiers))
        return Found(records, frozenset(links), self._rules.changing(records))

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        return map(self._rules.exported, self._items(self._table(), identifiers))

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:  # noqa: ARG002
        table, tally = self._table(), Tally()
        if fixed := set(self._spec.change) & set(table.keys):
            raise StoreError(
                f"{self.name}: change: {', '.join(sorted(fixed))}: a key, which can't be changed"
            )
        wanted = self._rules.wanted(identifiers)
        for item in self._items(table, identifiers):
            self._erase(table, item, wanted, tally)
        return tally.done()

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:  # noqa: ARG002
        left = Remaining()
        for item in self._items(self._table(), identifiers):
            kept = self._rules.retained(item)
            left += Remaining(retained=(kept,)) if kept else Remaining(1)
        return left

    def _table(self) -> ItemTable:
        found: ItemTable = self._tools.items.table(self._spec.table)
        return found

    def _items(self, table: ItemTable, identifiers: Identifiers) -> Iterator[Item]:
        wanted = self._rules.wanted(identifiers)
        return table.find(wanted, self._spec.indexes) if wanted else iter(())

    def _erase(self, table: ItemTable, item: Item, wanted: Fields, tally: Tally) -> None:
        for _ in range(_ATTEMPTS):
            this = Tally()
            doomed = self._rules.judge(item, this)
            if doomed and self._spec.change:
                doomed = not table.change(item, self._rules.changes(item))
            elif doomed:
                doomed = not table.delete(item)
            if not doomed:
                tally.before += this.before
                tally.erased += this.erased
                tally.changed += this.changed
                tally.retained += this.retained
                return
            now = table.get(item)
            if now is None or not self._rules.matches(now, wanted):
                return  # it is gone, or somebody else's now
            item = now
        raise StoreError(
            f"{self.name}: an item was changed by others {_ATTEMPTS} times while it was to be erased"
        )
