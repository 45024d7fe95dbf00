"""A bucket and a Glue database of one test, and what tests of crawlers do with them."""

import gzip
import json
import time
from collections.abc import Iterable
from typing import Any

import boto3

ROLE = "arn:aws:iam::123456789012:role/crawler"
EXCLUSIONS = ["**/manifest-*", "**/_started", "**.checksum"]
SECONDS = 120


class Lake:
    """Named by the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bucket, self.database = f"lake-{name}", f"db_{name}"
        self.s3, self.glue = boto3.client("s3"), boto3.client("glue")
        self.s3.create_bucket(Bucket=self.bucket)
        self.glue.create_database(DatabaseInput={"Name": self.database})

    def put(self, key: str, body: bytes | str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def put_lines(self, key: str, *records: Any) -> None:
        """JSON lines, gzip-compressed when the key says so."""
        text = "".join(json.dumps(record) + "\n" for record in records)
        self.put(key, gzip.compress(text.encode()) if key.endswith(".gz") else text)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def crawler(self, *paths: str, name: str = "", exclusions: Iterable[str] = (), **options: Any) -> str:
        """Create a crawler over paths of the bucket and return its name."""
        name = name or f"crawler-{self.name}"
        targets = [{"Path": f"s3://{self.bucket}/{path}", "Exclusions": list(exclusions)} for path in paths]
        if "sample_size" in options:
            targets = [{**target, "SampleSize": options["sample_size"]} for target in targets]
            del options["sample_size"]
        if isinstance(options.get("Configuration"), dict):
            options["Configuration"] = json.dumps({"Version": 1.0, **options["Configuration"]})
        self.glue.create_crawler(
            Name=name, Role=ROLE, DatabaseName=self.database, Targets={"S3Targets": targets}, **options
        )
        return name

    def wait(self, name: str, state: str = "READY") -> dict[str, Any]:
        """The crawler once it is in ``state``."""
        deadline = time.monotonic() + SECONDS
        while True:
            crawler: dict[str, Any] = self.glue.get_crawler(Name=name)["Crawler"]
            if crawler["State"] == state:
                return crawler
            assert time.monotonic() < deadline, crawler
            time.sleep(0.02)  # Glue has no event for it

    def crawl(self, name: str) -> dict[str, Any]:
        """Run the crawler to its end; its last crawl, with the summary."""
        self.glue.start_crawler(Name=name)
        last: dict[str, Any] = self.wait(name)["LastCrawl"]
        crawls = self.glue.list_crawls(CrawlerName=name)["Crawls"]
        return {**last, "Summary": json.loads(crawls[0]["Summary"])}

    def recrawl(self, name: str) -> dict[str, Any]:
        """Run the crawler; what it changed: counts by ``TABLE ADD`` and the like."""
        last = self.crawl(name)
        assert last["Status"] == "SUCCEEDED", last
        return {
            f"{kind} {action}": entry["Count"]
            for kind, actions in last["Summary"].items()
            for action, entry in actions.items()
        }

    def crawled(self, *paths: str, **options: Any) -> dict[str, dict[str, Any]]:
        """The tables that a new crawler makes of the paths."""
        self.recrawl(self.crawler(*paths, **options))
        return self.tables()

    def tables(self) -> dict[str, dict[str, Any]]:
        pages = self.glue.get_paginator("get_tables").paginate(DatabaseName=self.database)
        return {table["Name"]: table for page in pages for table in page["TableList"]}

    def columns(self, table: str) -> dict[str, str]:
        """Types by name."""
        return columns(self.tables()[table])

    def partitions(self, table: str, expression: str = "") -> dict[tuple[str, ...], dict[str, Any]]:
        """Partitions by their values."""
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=table, Expression=expression
        )
        return {tuple(entry["Values"]): entry for page in pages for entry in page["Partitions"]}

    def log(self, name: str) -> list[str]:
        """What the crawler wrote to CloudWatch Logs."""
        events = boto3.client("logs").get_log_events(
            logGroupName="/aws-glue/crawlers", logStreamName=name, startFromHead=True
        )["events"]
        return [event["message"] for event in events]


def columns(entry: dict[str, Any]) -> dict[str, str]:
    """Types by name, of a table or a partition."""
    return {column["Name"]: column["Type"] for column in entry["StorageDescriptor"]["Columns"]}


def keys(table: dict[str, Any]) -> list[tuple[str, str]]:
    """The partition keys with their types."""
    return [(key["Name"], key["Type"]) for key in table.get("PartitionKeys", [])]
