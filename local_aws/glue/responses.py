"""Glue's API: moto's handlers, and ours where moto has none or leaves a parameter aside.

All calls of a process are taken one after the other, so that a check and the write that follows it are one.
"""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, EmptyResult
from moto.glue.exceptions import GlueClientError
from moto.glue.models import FakePartition, glue_backends
from moto.glue.responses import GlueResponse
from moto.glue.utils import validate_crawl_filters

from local_aws.glue.catalog import Backend
from local_aws.glue.crawler import validate

LOCK: Final = threading.RLock()
CRAWLER_FIELDS: Final = {
    "Role": "role",
    "DatabaseName": "database_name",
    "Description": "description",
    "Targets": "targets",
    "Schedule": "schedule",
    "Classifiers": "classifiers",
    "TablePrefix": "table_prefix",
    "SchemaChangePolicy": "schema_change_policy",
    "RecrawlPolicy": "recrawl_policy",
    "LineageConfiguration": "lineage_configuration",
    "Configuration": "configuration",
    "CrawlerSecurityConfiguration": "crawler_security_configuration",
}
Item = TypeVar("Item")


class Handler(GlueResponse):
    """One request to Glue."""

    @property
    def backend(self) -> Backend:
        found = glue_backends[self.current_account][self.region]
        assert isinstance(found, Backend)
        return found

    def call_action(self) -> TYPE_RESPONSE:
        with LOCK:
            return super().call_action()

    # --- the catalog ----------------------------------------------------------------------------------------

    def get_databases(self) -> ActionResult:
        databases = sorted(self.backend.get_databases(), key=lambda database: database.name)
        page, token = self._page(databases, 100, lambda database: database.name)
        return _listed("DatabaseList", [database.as_dict() for database in page], token)

    def get_tables(self) -> ActionResult:
        tables = self.backend.get_tables(self.parameters["DatabaseName"], self.parameters.get("Expression"))
        page, token = self._page(sorted(tables, key=lambda table: table.name), 100, lambda table: table.name)
        return _listed("TableList", [table.as_dict() for table in page], token)

    def get_table_versions(self) -> ActionResult:
        table = self.backend.get_table(self.parameters["DatabaseName"], self.parameters["TableName"])
        versions = sorted(table.versions, key=int, reverse=True)
        page, token = self._page(versions, 100, lambda version: -int(version))
        listed = [{"Table": table.as_dict(version), "VersionId": version} for version in page]
        return _listed("TableVersions", listed, token)

    def update_table(self) -> ActionResult:
        self.backend.replace_table(
            self.parameters["DatabaseName"],
            self.parameters["TableInput"],
            self.parameters.get("VersionId"),
            archive=not self.parameters.get("SkipArchive", False),
        )
        return EmptyResult()

    def get_partitions(self) -> str:  # type: ignore[override]  # moto takes a body as well
        """Written as JSON here: moto's serializer takes ten times as long, and pages hold a thousand."""
        partitions = self.backend.get_partitions(
            self.parameters["DatabaseName"],
            self.parameters["TableName"],
            self.parameters.get("Expression", ""),
        )
        segment = self.parameters.get("Segment") or {"SegmentNumber": 0, "TotalSegments": 1}
        ordered = sorted(partitions, key=_values)[segment["SegmentNumber"] :: segment["TotalSegments"]]
        page, token = self._page(ordered, 1000, _values)
        listed = [partition.as_dict() for partition in page]
        if self.parameters.get("ExcludeColumnSchema"):
            for entry in listed:
                storage = entry.get("StorageDescriptor", {})
                entry["StorageDescriptor"] = {name: storage[name] for name in storage if name != "Columns"}
        answer = {"Partitions": listed} | ({"NextToken": token} if token else {})
        return json.dumps(answer, default=_seconds)

    def batch_create_partition(self) -> ActionResult:
        self._at_most("PartitionInputList", 100)
        return super().batch_create_partition()

    def batch_update_partition(self) -> ActionResult:
        self._at_most("Entries", 100)
        return super().batch_update_partition()

    def batch_delete_partition(self) -> ActionResult:
        self._at_most("PartitionsToDelete", 25)
        return super().batch_delete_partition()

    def batch_get_partition(self) -> ActionResult:
        self._at_most("PartitionsToGet", 1000)
        return super().batch_get_partition()

    # --- crawlers -------------------------------------------------------------------------------------------

    def create_crawler(self) -> ActionResult:
        validate(self.parameters)
        fields = {field: self.parameters.get(name) for name, field in CRAWLER_FIELDS.items()}
        self.backend.create_crawler(name=self.parameters["Name"], tags=self.parameters.get("Tags"), **fields)
        return EmptyResult()

    def update_crawler(self) -> ActionResult:
        crawler = self.backend.crawler(self.parameters["Name"])
        current = {name: getattr(crawler, field) for name, field in CRAWLER_FIELDS.items()}
        changes = {name: self.parameters[name] for name in CRAWLER_FIELDS if name in self.parameters}
        validate({**current, **changes, "Name": crawler.name})
        crawler.update({CRAWLER_FIELDS[name]: value for name, value in changes.items()})
        return EmptyResult()

    def get_crawlers(self) -> ActionResult:
        names = sorted(self.backend.crawlers)
        page, token = self._page(names, 100, str)
        return _listed("Crawlers", [self.backend.crawler(name).as_dict() for name in page], token)

    def batch_get_crawlers(self) -> ActionResult:
        names = self.parameters["CrawlerNames"]
        known = [name for name in names if name in self.backend.crawlers]
        return ActionResult(
            {
                "Crawlers": [self.backend.crawler(name).as_dict() for name in known],
                "CrawlersNotFound": [name for name in names if name not in known],
            }
        )

    def get_crawler_metrics(self) -> ActionResult:
        names = self.parameters.get("CrawlerNameList") or sorted(self.backend.crawlers)
        page, token = self._page([name for name in names if name in self.backend.crawlers], 100, str)
        return _listed("CrawlerMetricsList", [self.backend.crawler(name).metrics() for name in page], token)

    def list_crawls(self) -> ActionResult:
        crawls = self.backend.crawler(self.parameters["CrawlerName"]).list_crawls()
        for wanted in validate_crawl_filters(self.parameters.get("Filters", [])):
            compare = _COMPARE[wanted.operator.value]
            name = _CRAWL_FIELDS[wanted.field_name.value]
            crawls = [crawl for crawl in crawls if compare(_comparable(crawl.get(name)), wanted.field_value)]
        # Newest first: a page goes on with the crawls that started before the last one told.
        page, token = self._page(crawls, 20, lambda crawl: -crawl["StartTime"].timestamp())
        return _listed("Crawls", page, token)

    # --- pages ----------------------------------------------------------------------------------------------

    def _page(
        self, items: Sequence[Item], most: int, key: Callable[[Item], Any]
    ) -> tuple[Sequence[Item], str | None]:
        """The page that the request asks for, and the token of the next. ``items`` are in the order of
        ``key``.

        The token names the last item told, so that a page is right also when others come or go meanwhile.
        """
        size = min(self.parameters.get("MaxResults") or most, most)
        if token := self.parameters.get("NextToken"):
            try:
                after = json.loads(base64.b64decode(token, validate=True))
            except ValueError:
                raise GlueClientError("InvalidInputException", "NextToken is not valid") from None
            items = [item for item in items if key(item) > after]
        page = items[:size]
        more = len(items) > size
        return page, base64.b64encode(json.dumps(key(page[-1])).encode()).decode() if more else None

    def _at_most(self, name: str, most: int) -> None:
        if len(self.parameters.get(name) or []) > most:
            field = name[0].lower() + name[1:]
            raise GlueClientError(
                "ValidationException",
                f"1 validation error detected: Value at '{field}' failed to satisfy constraint:"
                f" Member must have length less than or equal to {most}",
            )


_CRAWL_FIELDS: Final = {
    "CRAWL_ID": "CrawlId",
    "STATE": "State",
    "START_TIME": "StartTime",
    "END_TIME": "EndTime",
    "DPU_HOUR": "DPUHour",
}


def _comparable(value: Any) -> Any:
    """A crawl's field in the form a filter gives it: times as milliseconds since 1970."""
    if value is None:
        return None
    return int(value.timestamp() * 1000) if hasattr(value, "timestamp") else value


def _number(compare: Callable[[float, float], bool]) -> Callable[[Any, str], bool]:
    def compared(value: Any, wanted: str) -> bool:
        try:
            return value is not None and compare(float(value), float(wanted))
        except ValueError:
            raise GlueClientError("InvalidInputException", f"Invalid filter value: {wanted}") from None

    return compared


_COMPARE: Final[dict[str, Callable[[Any, str], bool]]] = {
    "EQ": lambda value, wanted: str(value) == wanted,
    "NE": lambda value, wanted: str(value) != wanted,
    "GT": _number(lambda value, wanted: value > wanted),
    "GE": _number(lambda value, wanted: value >= wanted),
    "LT": _number(lambda value, wanted: value < wanted),
    "LE": _number(lambda value, wanted: value <= wanted),
}


def _seconds(value: Any) -> float:
    """An instant as the JSON protocol writes it."""
    return float(value.timestamp())


def _values(partition: FakePartition) -> list[str]:
    return list(partition.values)


def _listed(name: str, items: Sequence[Any], token: str | None) -> ActionResult:
    return ActionResult({name: list(items)} | ({"NextToken": token} if token else {}))
