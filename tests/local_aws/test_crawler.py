"""Crawlers over HTTP: their definitions, their states and what they tell of their crawls."""

import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_aws.process import running
from tests.local_aws.lake import EXCLUSIONS, ROLE, Lake


@pytest.fixture
def lake(aws: str, unique: str) -> Lake:
    return Lake(unique)


@contextmanager
def crawl_seconds(endpoint: str, seconds: float) -> Iterator[None]:
    """Crawls take at least so long within the block."""

    def post(value: float) -> None:
        body = json.dumps({"crawl_seconds": value}).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{endpoint}/_local/glue/settings", body, headers)
        ).close()

    post(seconds)
    try:
        yield
    finally:
        post(0)


def refused(code: str, call: Any, **arguments: Any) -> str:
    """The message of the error that the call must end in."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    assert raised.value.response["Error"]["Code"] == code
    return str(raised.value.response["Error"]["Message"])


def test_a_crawler_tells_its_definition(lake: Lake) -> None:
    configuration = {"Version": 1.0, "Grouping": {"TableLevelConfiguration": 3}}
    name = lake.crawler(
        "logs", exclusions=["**.tmp"], TablePrefix="raw_", Description="d", Configuration=configuration
    )
    crawler = lake.glue.get_crawler(Name=name)["Crawler"]
    assert crawler["Role"] == ROLE
    assert crawler["Targets"]["S3Targets"][0] == {
        "Path": f"s3://{lake.bucket}/logs",
        "Exclusions": ["**.tmp"],
    }
    assert crawler["State"] == "READY"
    assert json.loads(crawler["Configuration"]) == configuration
    assert "LastCrawl" not in crawler
    assert name in lake.glue.list_crawlers()["CrawlerNames"]
    with pytest.raises(lake.glue.exceptions.AlreadyExistsException):
        lake.crawler("logs", name=name)


def test_update_changes_what_is_named_and_nothing_else(lake: Lake) -> None:
    name = lake.crawler("logs", TablePrefix="a_", Description="kept")
    lake.glue.update_crawler(Name=name, TablePrefix="b_")
    crawler = lake.glue.get_crawler(Name=name)["Crawler"]
    assert (crawler["TablePrefix"], crawler["Description"], crawler["Version"]) == ("b_", "kept", 2)
    lake.put_lines("logs/a.json", {"a": 1})
    lake.crawl(name)
    assert list(lake.tables()) == ["b_logs"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"Targets": {"S3Targets": []}}, "targets cannot be empty"),
        ({"Targets": {"JdbcTargets": [{"Path": "x"}]}}, "S3Targets alone"),
        ({"Targets": {"S3Targets": [{"Path": "s3://"}]}}, "Include path is not valid"),
        ({"Targets": {"S3Targets": [{"Path": "s3://b/p", "Exclusions": ["{a,b"]}]}}, "never closed"),
        ({"Configuration": "{"}, "configuration is not valid"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}}, "can have only LOG"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}, "CRAWL_EVENT_MODE"),
    ],
)
def test_a_definition_that_cannot_work_is_refused(lake: Lake, options: dict[str, Any], said: str) -> None:
    definition: dict[str, Any] = {"Targets": {"S3Targets": [{"Path": f"s3://{lake.bucket}/x"}]}, **options}
    create = lake.glue.create_crawler
    message = refused(
        "InvalidInputException", create, Name=lake.name, Role=ROLE, DatabaseName=lake.database, **definition
    )
    assert said in message


def test_unknown_crawlers_are_not_found(lake: Lake) -> None:
    glue = lake.glue
    for call in (
        glue.start_crawler, glue.get_crawler, glue.stop_crawler, glue.delete_crawler, glue.update_crawler,
    ):  # fmt: skip
        refused("EntityNotFoundException", call, Name=lake.name)
    refused("EntityNotFoundException", glue.list_crawls, CrawlerName=lake.name)
    answer = glue.batch_get_crawlers(CrawlerNames=[lake.name])
    assert (answer["Crawlers"], answer["CrawlersNotFound"]) == ([], [lake.name])


def test_a_running_crawler_refuses_everything_but_to_stop(aws: str, lake: Lake) -> None:
    lake.put_lines("logs/a.json", {"a": 1})
    name = lake.crawler("logs")
    refused("CrawlerNotRunningException", lake.glue.stop_crawler, Name=name)
    with crawl_seconds(aws, 600):
        lake.glue.start_crawler(Name=name)
        assert lake.glue.get_crawler(Name=name)["Crawler"]["State"] == "RUNNING"
        refused("CrawlerRunningException", lake.glue.start_crawler, Name=name)
        refused("CrawlerRunningException", lake.glue.update_crawler, Name=name, TablePrefix="x")
        refused("CrawlerRunningException", lake.glue.delete_crawler, Name=name)
        crawls = lake.glue.list_crawls(CrawlerName=name)["Crawls"]
        assert [crawl["State"] for crawl in crawls] == ["RUNNING"]
        lake.glue.stop_crawler(Name=name)
        last = lake.wait(name)["LastCrawl"]
    assert last["Status"] == "CANCELLED"
    assert lake.tables() == {}
    assert lake.recrawl(name) == {"TABLE ADD": 1}


def test_one_of_many_starts_wins(aws: str, lake: Lake) -> None:
    lake.put_lines("logs/a.json", {"a": 1})
    name, won = lake.crawler("logs"), []

    def start() -> None:
        try:
            lake.glue.start_crawler(Name=name)
            won.append(True)
        except lake.glue.exceptions.CrawlerRunningException:
            won.append(False)

    with crawl_seconds(aws, 600):
        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lake.glue.stop_crawler(Name=name)
        lake.wait(name)
    assert sorted(won) == [False] * 7 + [True]


def test_last_crawl_list_crawls_and_metrics_tell_what_was_done(lake: Lake) -> None:
    lake.put_lines("logs/day=1/a.json", {"a": 1})
    name = lake.crawler("logs")
    last = lake.crawl(name)
    assert last["Status"] == "SUCCEEDED"
    assert (last["LogGroup"], last["LogStream"]) == ("/aws-glue/crawlers", name)
    assert last["Summary"] == {
        "TABLE": {"ADD": {"Details": {"names": ["logs"]}, "Count": 1}},
        "PARTITION": {"ADD": {"Details": {"names": []}, "Count": 1}},
    }
    metrics = lake.glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["TablesUpdated"], metrics["TablesDeleted"]) == (1, 0, 0)
    assert lake.recrawl(name) == {}
    crawls = lake.glue.list_crawls(CrawlerName=name)["Crawls"]
    assert [crawl["State"] for crawl in crawls] == ["COMPLETED"] * 2
    assert crawls[0]["StartTime"] >= crawls[1]["EndTime"]
    assert any("SUCCEEDED" in line for line in lake.log(name))


def test_list_crawls_filters_and_pages(lake: Lake) -> None:
    name = lake.crawler("logs")
    for _ in range(3):
        lake.crawl(name)
    crawls = lake.glue.list_crawls(CrawlerName=name)["Crawls"]
    first = lake.glue.list_crawls(CrawlerName=name, MaxResults=2)
    rest = lake.glue.list_crawls(CrawlerName=name, MaxResults=2, NextToken=first["NextToken"])
    ids = [crawl["CrawlId"] for crawl in first["Crawls"] + rest["Crawls"]]
    assert ids == [crawl["CrawlId"] for crawl in crawls]
    assert "NextToken" not in rest
    for field, operator, value, count in (
        ("CRAWL_ID", "EQ", ids[1], 1),
        ("STATE", "NE", "COMPLETED", 0),
        ("START_TIME", "GE", str(int(crawls[1]["StartTime"].timestamp() * 1000)), 2),
    ):
        wanted = [{"FieldName": field, "FilterOperator": operator, "FieldValue": value}]
        assert len(lake.glue.list_crawls(CrawlerName=name, Filters=wanted)["Crawls"]) == count


def test_a_crawl_without_its_bucket_fails_and_says_so(lake: Lake) -> None:
    name = lake.crawler("logs")
    lake.s3.delete_bucket(Bucket=lake.bucket)
    last = lake.crawl(name)
    assert last["Status"] == "FAILED"
    assert last["ErrorMessage"] == f"The specified bucket does not exist: {lake.bucket}"
    assert lake.glue.list_crawls(CrawlerName=name)["Crawls"][0]["State"] == "FAILED"


def test_a_crawl_without_its_database_fails_and_says_so(lake: Lake) -> None:
    lake.put_lines("logs/a.json", {"a": 1})
    name = lake.crawler("logs")
    lake.glue.delete_database(Name=lake.database)
    assert lake.crawl(name)["ErrorMessage"] == f"Database {lake.database} not found"


def test_a_crawler_that_is_made_again_has_no_past(lake: Lake) -> None:
    lake.put_lines("logs/day=1/a.json", {"a": 1})
    options: dict[str, Any] = {
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"},
        "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
    }
    name = lake.crawler("logs", **options)
    lake.crawl(name)
    lake.glue.delete_crawler(Name=name)
    lake.glue.delete_table(DatabaseName=lake.database, Name="logs")
    lake.crawler("logs", name=name, **options)
    assert "LastCrawl" not in lake.glue.get_crawler(Name=name)["Crawler"]
    assert lake.recrawl(name) == {"TABLE ADD": 1, "PARTITION ADD": 1}


def test_crawls_and_tables_survive_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def point(environment: dict[str, str]) -> None:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)

    with running(state=tmp_path) as server:
        point(server.environment)
        lake = Lake("state")
        lake.put_lines("logs/day=1/a.json", {"a": 1})
        name = lake.crawler("logs", exclusions=EXCLUSIONS)
        last = lake.crawl(name)
    with running(state=tmp_path) as server:
        point(server.environment)
        lake.glue = boto3.client("glue")
        crawler = lake.glue.get_crawler(Name=name)["Crawler"]
        assert crawler["State"] == "READY"
        assert crawler["LastCrawl"]["MessagePrefix"] == last["MessagePrefix"]
        assert list(lake.partitions("logs")) == [("1",)]
        assert len(lake.glue.list_crawls(CrawlerName=name)["Crawls"]) == 1


def test_a_crawl_that_the_servers_end_cuts_off_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_AWS_CRAWL_SECONDS", "600")
    with running(state=tmp_path) as server:
        for key, value in server.environment.items():
            monkeypatch.setenv(key, value)
        lake = Lake("cut")
        lake.put_lines("logs/a.json", {"a": 1})
        name = lake.crawler("logs")
        lake.glue.start_crawler(Name=name)
        os.kill(server.pid, 9)
    with running(state=tmp_path) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        crawler = boto3.client("glue").get_crawler(Name=name)["Crawler"]
    assert crawler["State"] == "READY"
    assert crawler["LastCrawl"]["Status"] == "FAILED"


def test_settings_refuse_nonsense(aws: str) -> None:
    request = urllib.request.Request(f"{aws}/_local/glue/settings", b'{"crawl_seconds": -1}')
    request.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
