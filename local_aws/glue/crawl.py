"""One crawl: list the targets, sample the files, plan the tables, write them to the Data Catalog.

Reading and writing are two steps, so that a crawl that is stopped while it reads leaves the catalog as it
was.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_aws import objects
from local_aws.glue import formats
from local_aws.glue.globs import compile_glob
from local_aws.glue.grouping import File, Folder, Plan, plan_tables
from local_aws.glue.schema import from_columns, similarity
from local_aws.glue.tables import Entry, format_of


class CrawlFailed(Exception):  # noqa: N818  # it is a state's name
    """The crawl cannot go on; the text is its ErrorMessage."""


class CrawlStopped(Exception):  # noqa: N818  # it is a request, not an error
    """The crawl was asked to stop."""


@dataclass(frozen=True)
class Target:
    """An S3 target of a crawler."""

    bucket: str
    prefix: str
    exclusions: tuple[str, ...] = ()
    sample_size: int | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Target":
        """A target from the API's ``S3Target``; a path without a ``/`` at its end is a folder as well."""
        path = str(entry["Path"]).removeprefix("s3://")
        bucket, _, prefix = path.partition("/")
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        return cls(bucket, prefix, tuple(entry.get("Exclusions") or ()), entry.get("SampleSize"))

    @property
    def root(self) -> str:
        return f"{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class Options:
    """A crawler's ``Configuration`` JSON, policies and name (Developer Guide, "Customizing crawler
    behavior").
    """

    crawler: str
    database: str
    table_prefix: str = ""
    combine: bool = False
    level: int | None = None
    inherit: bool = False
    merge_new_columns: bool = False
    update: bool = True
    delete: str = "DEPRECATE_IN_DATABASE"
    new_folders_only: bool = False

    @classmethod
    def of(cls, crawler: Mapping[str, Any]) -> "Options":
        """The options of a crawler as GetCrawler describes it."""
        configuration = json.loads(crawler.get("Configuration") or "{}")
        grouping = configuration.get("Grouping", {})
        output = configuration.get("CrawlerOutput", {})
        policy = crawler.get("SchemaChangePolicy") or {}
        recrawl = crawler.get("RecrawlPolicy") or {}
        return cls(
            crawler=crawler["Name"],
            database=crawler.get("DatabaseName") or "default",
            table_prefix=crawler.get("TablePrefix") or "",
            combine=grouping.get("TableGroupingPolicy") == "CombineCompatibleSchemas",
            level=grouping.get("TableLevelConfiguration"),
            inherit=output.get("Partitions", {}).get("AddOrUpdateBehavior") == "InheritFromTable",
            merge_new_columns=output.get("Tables", {}).get("AddOrUpdateBehavior") == "MergeNewColumns",
            update=policy.get("UpdateBehavior", "UPDATE_IN_DATABASE") == "UPDATE_IN_DATABASE",
            delete=policy.get("DeleteBehavior", "DEPRECATE_IN_DATABASE"),
            new_folders_only=recrawl.get("RecrawlBehavior") == "CRAWL_NEW_FOLDERS_ONLY",
        )


@dataclass
class Found:
    """What a crawl read: tables to be, or with ``incremental`` the new folders of tables that exist."""

    incremental: bool
    plans: list[Plan] = field(default_factory=list)
    new_folders: list[Folder] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)


def read(
    targets: Sequence[Target], options: Options, visited: frozenset[str], stop: threading.Event
) -> Found:
    """Everything that is to be known of the targets. Raises CrawlFailed, CrawlStopped.

    ``visited`` are the folders of earlier crawls: with some, and ``new_folders_only``, those are left out.
    """
    found = Found(incremental=options.new_folders_only and bool(visited))
    for target in targets:
        folders = []
        for prefix, items in sorted(_listing(target).items()):
            place = f"{target.bucket}/{prefix}"
            found.visited.add(place)
            if found.incremental and place in visited:
                continue
            folders.append(_folder(target, prefix, items, stop))
        if found.incremental:
            found.new_folders += folders
        elif folders:
            found.plans += plan_tables(target.root, folders, combine=options.combine, level=options.level)
        else:
            found.messages.append(f"No files found in s3://{target.root}")
    return found


def _listing(target: Target) -> dict[str, list[objects.Object]]:
    """The target's objects by the folder they lie in, exclusions left out."""
    exclusions = [compile_glob(pattern) for pattern in target.exclusions]
    try:
        listed = objects.list_objects(target.bucket, target.prefix)
    except KeyError:
        raise CrawlFailed(f"The specified bucket does not exist: {target.bucket}") from None
    result: dict[str, list[objects.Object]] = defaultdict(list)
    for item in listed:
        relative = item.key[len(target.prefix) :]
        if item.key.endswith("/") or any(pattern.fullmatch(relative) for pattern in exclusions):
            continue
        folder, _, _ = item.key.rpartition("/")
        result[f"{folder}/" if folder else ""].append(item)
    return result


def _folder(target: Target, prefix: str, items: Iterable[objects.Object], stop: threading.Event) -> Folder:
    files: list[File] = []
    left = target.sample_size
    for item in items:
        if stop.is_set():
            raise CrawlStopped
        unread = item.size > 0 and left == 0
        try:
            sample = None if unread or not item.size else formats.sample(item)
        except KeyError:  # deleted since it was listed
            continue
        files.append(File(item.key, item.size, sample, unread))
        if left and item.size:
            left -= 1
    return Folder(target.bucket, prefix, tuple(files))


def table_of(folder: Folder, tables: Iterable[Entry], options: Options) -> tuple[Entry | None, str]:
    """The table of this crawler that a new folder is a partition of, or why there is none."""
    place = f"s3://{'/'.join(folder.parts)}/"
    for table in tables:
        location = table["StorageDescriptor"]["Location"].rstrip("/") + "/"
        keys = table.get("PartitionKeys", [])
        if not place.startswith(location) or place == location:
            continue
        if place[len(location) :].count("/") != len(keys):
            return None, f"{place} does not lie as deep as table {table['Name']} has partition keys"
        kinds = folder.formats
        if kinds and kinds != {format_of(table)}:
            return None, f"{place} is of another format than table {table['Name']}"
        ours = from_columns(table["StorageDescriptor"]["Columns"])
        if kinds and not options.combine and options.level is None and similarity(ours, folder.shape) < 0.7:
            return None, f"the schema of {place} is not like that of table {table['Name']}"
        return table, ""
    return None, f"{place} lies in no table of this crawler, and an incremental crawl adds none"
