"""Crawlers: their definitions, their states and the threads that crawl."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from moto.glue.exceptions import (
    CrawlerNotRunningException,
    CrawlerRunningException,
    EntityNotFoundException,
    GlueClientError,
)
from moto.glue.models import FakeCrawler
from werkzeug.wrappers import Request, Response

from local_aws.context import Context
from local_aws.glue.crawl import CrawlFailed, CrawlStopped, Options, Target, read
from local_aws.glue.globs import GlobError, compile_glob
from local_aws.glue.writer import Summary, Writer
from local_aws.settings import seconds

if TYPE_CHECKING:
    from local_aws.glue.catalog import Backend

LOG_GROUP: Final = "/aws-glue/crawlers"
RUNNING_STATES: Final = ("RUNNING", "STOPPING")


@dataclass(frozen=True)
class Crawl:
    """A crawl, as ListCrawls and LastCrawl tell it. Times are seconds since 1970; ``end`` is 0 until then."""

    crawl_id: str
    state: str
    start: float
    end: float
    summary: dict[str, Any]
    message: str | None = None

    def as_dict(self, crawler: str) -> dict[str, Any]:
        result = {
            "CrawlId": self.crawl_id,
            "State": {"SUCCEEDED": "COMPLETED", "CANCELLED": "STOPPED"}.get(self.state, self.state),
            "StartTime": _instant(self.start),
            "EndTime": _instant(self.end),
            "Summary": json.dumps(self.summary),
            "DPUHour": round((self.end - self.start) / 3600, 3),
            "LogGroup": LOG_GROUP,
            "LogStream": crawler,
            "MessagePrefix": self.crawl_id,
        }
        if self.message:
            result["ErrorMessage"] = self.message
        return result

    def as_last_crawl(self, crawler: str) -> dict[str, Any]:
        result = {
            "Status": self.state,
            "StartTime": _instant(self.start),
            "LogGroup": LOG_GROUP,
            "LogStream": crawler,
            "MessagePrefix": self.crawl_id,
        }
        if self.message:
            result["ErrorMessage"] = self.message
        return result

    def count(self, action: str) -> int:
        """Tables added, updated or deleted."""
        return int(self.summary.get("TABLE", {}).get(action, {}).get("Count", 0))


class Engine:
    """What all crawlers of a server share: its context, the history of crawls and the settings."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.seconds = seconds("LOCAL_AWS_CRAWL_SECONDS")
        self._threads: dict[threading.Thread, threading.Event] = {}
        with context.store.write() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS glue_crawls"
                " (crawler TEXT, crawl_id TEXT, document TEXT, PRIMARY KEY (crawler, crawl_id)) WITHOUT ROWID"
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS glue_visited"
                " (crawler TEXT, folder TEXT, PRIMARY KEY (crawler, folder)) WITHOUT ROWID"
            )
        # A crawl is kept in the store and its writes are journaled one by one: it must not run again.
        context.own_actions |= {"AWSGlue.StartCrawler", "AWSGlue.StopCrawler"}
        context.routes["glue/settings"] = self._settings
        context.on_start.append(self._start)
        context.on_reset.append(self._cancel)
        context.on_stop.append(self._stop)

    def _settings(self, request: Request) -> Response:
        """POST ``{"crawl_seconds": 1.5}``: how long a crawl takes at least. GET tells it."""
        if request.method == "POST":
            value = (request.get_json(silent=True) or {}).get("crawl_seconds")
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 3600:
                return Response("crawl_seconds: a number from 0 to 3600 expected\n", status=400)
            self.seconds = float(value)
        return Response(json.dumps({"crawl_seconds": self.seconds}), mimetype="application/json")

    def _start(self) -> None:
        """Crawls that the server's end cut off have failed."""
        rows = self.context.store.read("SELECT crawler, document FROM glue_crawls")
        for crawler, document in rows:
            crawl = Crawl(**json.loads(document))
            if crawl.state == "RUNNING":
                message = "Internal Service Exception: the server ended while the crawler ran"
                self.record(crawler, replace(crawl, state="FAILED", end=crawl.start, message=message))

    def _stop(self) -> None:
        self._cancel()
        for thread in list(self._threads):
            thread.join(timeout=5)

    def _cancel(self) -> None:
        for stop in list(self._threads.values()):
            stop.set()

    def run(self, work: Callable[[threading.Event], None]) -> threading.Event:
        """Start ``work`` in a thread of its own; what it is given is set when it is to stop."""
        stop = threading.Event()

        def target() -> None:
            try:
                work(stop)
            finally:
                self._threads.pop(threading.current_thread(), None)

        thread = threading.Thread(target=target, name="glue-crawl", daemon=True)
        self._threads[thread] = stop
        thread.start()
        return stop

    def history(self, crawler: str) -> list[Crawl]:
        """The crawler's crawls that have ended, oldest first."""
        rows = self.context.store.read("SELECT document FROM glue_crawls WHERE crawler = ?", (crawler,))
        crawls = (Crawl(**json.loads(row[0])) for row in rows)
        return sorted((crawl for crawl in crawls if crawl.state != "RUNNING"), key=lambda crawl: crawl.start)

    def visited(self, crawler: str) -> frozenset[str]:
        """The folders that the crawler's successful crawls have seen."""
        rows = self.context.store.read("SELECT folder FROM glue_visited WHERE crawler = ?", (crawler,))
        return frozenset(row[0] for row in rows)

    def record(self, crawler: str, crawl: Crawl, visited: Iterable[str] = ()) -> None:
        """Keep what is known of a crawl, and the folders it has seen."""
        with self.context.store.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO glue_crawls VALUES (?, ?, ?)",
                (crawler, crawl.crawl_id, json.dumps(asdict(crawl))),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO glue_visited VALUES (?, ?)", [(crawler, folder) for folder in visited]
            )


class Crawler(FakeCrawler):
    """A crawler that crawls."""

    def __init__(self, engine: Engine, incarnation: int, **definition: Any) -> None:
        super().__init__(**definition)
        self._engine = engine
        # A crawler that is deleted and made again under its name has no past.
        self._history_key = f"{self.backend.region_name}/{self.name}/{incarnation}"
        self._lock = threading.Lock()
        self._state = "READY"
        self._crawl_id = ""
        self._started = 0.0
        self._stop: threading.Event | None = None

    @property
    def status(self) -> str:
        return self._state

    def as_dict(self) -> dict[str, Any]:
        with self._lock:
            result = super().as_dict()
            history = self._engine.history(self._history_key)
            running = self._state != "READY"
            result["CrawlElapsedTime"] = int((time.time() - self._started) * 1000) if running else 0
            if history:
                result["LastCrawl"] = history[-1].as_last_crawl(self.name)
            return {name: value for name, value in result.items() if value is not None}

    def update(self, changes: dict[str, Any]) -> None:
        """UpdateCrawler: what is named is changed. Raises CrawlerRunningException."""
        self.refuse_when_running()
        for name, value in changes.items():
            setattr(self, name, value)
        self.version += 1
        self.last_updated = datetime.now(UTC)

    def refuse_when_running(self) -> None:
        if self._state != "READY":
            raise CrawlerRunningException(f"Crawler with name {self.name} is currently running")

    def start_crawler(self) -> None:
        with self._lock:
            if self._state != "READY":
                raise CrawlerRunningException(f"Crawler with name {self.name} has already started")
            self._state = "RUNNING"
            self._crawl_id, self._started = str(uuid.uuid4()), time.time()
            running = Crawl(self._crawl_id, "RUNNING", self._started, 0.0, {})
            self._engine.record(self._history_key, running)
            self._stop = self._engine.run(self._crawl)

    def stop_crawler(self) -> None:
        with self._lock:
            if self._state == "READY":
                raise CrawlerNotRunningException(f"Crawler with name {self.name} isn't running")
            if self._state == "STOPPING":
                raise GlueClientError(
                    "CrawlerStoppingException", f"Crawler with name {self.name} is stopping"
                )
            self._state = "STOPPING"
            if self._stop is not None:
                self._stop.set()

    def list_crawls(self) -> list[dict[str, Any]]:
        """All crawls, newest first, the one under way included."""
        with self._lock:
            result = [crawl.as_dict(self.name) for crawl in reversed(self._engine.history(self._history_key))]
            if self._state != "READY":
                running = {
                    "CrawlId": self._crawl_id,
                    "State": "RUNNING",
                    "StartTime": _instant(self._started),
                    "LogGroup": LOG_GROUP,
                    "LogStream": self.name,
                    "MessagePrefix": self._crawl_id,
                }
                result.insert(0, running)
            return result

    def metrics(self) -> dict[str, Any]:
        """What GetCrawlerMetrics tells of this crawler."""
        with self._lock:
            history = self._engine.history(self._history_key)
            running = self._state != "READY"
            left = max(0.0, self._engine.seconds - (time.time() - self._started)) if running else 0.0
        times = [crawl.end - crawl.start for crawl in history]
        last = history[-1] if history else None
        return {
            "CrawlerName": self.name,
            "TimeLeftSeconds": left,
            "StillEstimating": running and not history,
            "LastRuntimeSeconds": times[-1] if times else 0.0,
            "MedianRuntimeSeconds": median(times) if times else 0.0,
            "TablesCreated": last.count("ADD") if last else 0,
            "TablesUpdated": last.count("UPDATE") if last else 0,
            "TablesDeleted": last.count("DELETE") if last else 0,
        }

    # --- the crawl itself, in its own thread ----------------------------------------------------------------

    def _crawl(self, stop: threading.Event) -> None:
        state, message, visited, messages = "SUCCEEDED", None, set[str](), list[str]()
        summary = Summary()
        try:
            visited, messages = self._read_and_write(stop, summary)
        except CrawlStopped:
            state = "CANCELLED"
        except CrawlFailed as error:
            state, message = "FAILED", str(error)
        except (BotoCoreError, ClientError) as error:
            state, message = "FAILED", str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not leave the crawler running for ever
            state, message = "FAILED", f"Internal Service Exception: {type(error).__name__}: {error}"
        crawl = Crawl(self._crawl_id, state, self._started, time.time(), summary.as_dict(), message)
        self._log([*messages, message or f"Crawl {state}: {json.dumps(crawl.summary)}"])
        with self._lock:
            backend: Backend = self.backend  # type: ignore[assignment]  # ours, which moto does not know
            if backend.crawlers.get(self.name) is self:
                self._engine.record(self._history_key, crawl, visited if state == "SUCCEEDED" else set())
            self._state, self._stop = "READY", None

    def _read_and_write(self, stop: threading.Event, summary: Summary) -> tuple[set[str], list[str]]:
        options = Options.of(self._definition())
        targets = [Target.of(entry) for entry in (self.targets or {}).get("S3Targets", [])]
        visited = self._engine.visited(self._history_key)
        found = read(targets, options, visited, stop)
        left = self._engine.seconds - (time.time() - self._started)
        if stop.wait(max(0.0, left)) if left > 0 else stop.is_set():
            raise CrawlStopped
        with self._lock:
            if self._state == "STOPPING":
                raise CrawlStopped
            self._state = "STOPPING"  # as Glue shows a crawler that has read all and is writing
        backend: Backend = self.backend  # type: ignore[assignment]  # ours, which moto does not know
        existing = backend.tables(options.database)
        if existing is None:
            raise CrawlFailed(f"Database {options.database} not found")
        writer = Writer(self._engine.context.client("glue"), backend, options, existing)
        writer.summary = summary
        try:
            writer.write(found, targets)
        finally:
            found.messages += writer.messages
        return found.visited, found.messages

    def _definition(self) -> dict[str, Any]:
        return {
            "Name": self.name,
            "DatabaseName": self.database_name,
            "TablePrefix": self.table_prefix,
            "Configuration": self.configuration,
            "SchemaChangePolicy": self.schema_change_policy,
            "RecrawlPolicy": self.recrawl_policy,
        }

    def _log(self, messages: list[str]) -> None:
        """To CloudWatch Logs, where Glue writes what a crawler saw and left alone."""
        logs = self._engine.context.client("logs")
        now = int(time.time() * 1000)
        with suppress(BotoCoreError, ClientError):
            for create, names in (
                (logs.create_log_group, {"logGroupName": LOG_GROUP}),
                (logs.create_log_stream, {"logGroupName": LOG_GROUP, "logStreamName": self.name}),
            ):
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    create(**names)
            events = [{"timestamp": now, "message": f"[{self._crawl_id}] {text}"} for text in messages]
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=self.name, logEvents=events)


def validate(definition: dict[str, Any]) -> None:
    """What CreateCrawler and UpdateCrawler refuse. Raises InvalidInputException."""
    name = definition.get("Name")
    if not name:
        raise _invalid("Crawler name cannot be null or empty")
    targets = definition.get("Targets") or {}
    if not any(targets.values()):
        raise _invalid("Crawler targets cannot be empty")
    unsupported = [kind for kind, entries in targets.items() if entries and kind != "S3Targets"]
    if unsupported:
        raise _invalid(f"{', '.join(unsupported)}: local AWS crawls S3Targets alone")
    for entry in targets["S3Targets"]:
        _validate_target(entry)
    try:
        Options.of({**definition, "Name": name})
    except (ValueError, AttributeError, TypeError) as error:
        raise _invalid(f"Crawler configuration is not valid: {error}") from None
    recrawl = (definition.get("RecrawlPolicy") or {}).get("RecrawlBehavior", "CRAWL_EVERYTHING")
    policy = definition.get("SchemaChangePolicy") or {}
    behaviours = {policy.get("UpdateBehavior"), policy.get("DeleteBehavior")}
    if recrawl == "CRAWL_NEW_FOLDERS_ONLY" and behaviours != {"LOG"}:
        raise _invalid(
            'The SchemaChangePolicy for "Crawl new folders only" Amazon S3 target can have only LOG'
            " DeleteBehavior value and LOG UpdateBehavior value."
        )
    if recrawl == "CRAWL_EVENT_MODE":
        raise _invalid("CRAWL_EVENT_MODE: local AWS crawls with CRAWL_EVERYTHING or CRAWL_NEW_FOLDERS_ONLY")


def _validate_target(entry: dict[str, Any]) -> None:
    if not Target.of(entry).bucket:
        raise _invalid(f"Include path is not valid: {entry.get('Path')!r}")
    for pattern in entry.get("Exclusions") or ():
        try:
            compile_glob(pattern)
        except GlobError as error:
            raise _invalid(str(error)) from None


def _invalid(message: str) -> GlueClientError:
    return GlueClientError("InvalidInputException", message)


def not_found(name: str) -> EntityNotFoundException:
    return EntityNotFoundException(f"Crawler with name {name} not found")


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
