"""What the API is made of besides its own code: settings, and Protocols for what AWS does for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ParamSpec, Protocol, TypeVar

from starlette.concurrency import run_in_threadpool

from privacy_assets.api import logs
from privacy_assets.api.cached import COOL_DOWN_SECONDS, FRESH_SECONDS, PATIENCE_SECONDS, Cached
from privacy_assets.api.clients import Registry, parse_registry
from privacy_assets.api.limits import Counts, RateLimit
from privacy_assets.api.preparation import Preparation
from privacy_assets.api.problems import busy
from privacy_assets.api.tokens import KeysUnavailable, Oidc, SigningKeys, parse_keys, utc_now

P = ParamSpec("P")
T = TypeVar("T")

Where = Mapping[str, Collection[Any]]

TALLY_SECONDS = 10.0


class Secrets(Protocol):
    """The two documents in Secrets Manager that the API reads."""

    def registry(self) -> str: ...

    def signing_keys(self) -> str: ...


class State(Counts, Protocol):
    """What processes share, in DynamoDB: counts, and answers by Idempotency-Key."""

    def begin(
        self, name: str, owner: str, body_hash: str, now: int, lease: int, keep: int
    ) -> Mapping[str, Any] | None:
        """Claim ``name``: None when it is ``owner``'s now, else what stands there."""
        ...

    def finish(self, name: str, owner: str, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Store an answer; whether the claim still was ``owner``'s."""
        ...

    def abandon(self, name: str, owner: str) -> None:
        """Give the claim up, unless it is another's by now."""
        ...

    def add(self, name: str, number: int) -> None:
        """Add to a counter that is kept."""
        ...

    def ready(self) -> None:
        """Raises when DynamoDB doesn't answer."""
        ...


class EventQueue(Protocol):
    """The queue of accepted events."""

    def send(self, bodies: Sequence[str]) -> None:
        """Return when all are durable. Raises when it is not known that they are."""
        ...


class ScanJobs(Protocol):
    """Scans and their progress."""

    def record(self, job_id: str, bucket: str, prefix: str) -> dict[str, Any]:
        """The job of this id, made if there is none."""
        ...

    def get(self, job_id: str) -> dict[str, Any] | None: ...


class ScanQueue(Protocol):
    """The queue of scans that are asked for."""

    def send(self, body: str) -> None: ...


class Findings(Protocol):
    """The findings of all scans, as of a snapshot; one that is gone raises ``Services.snapshot_gone``, and
    one that can't be read as another engine has deleted from it ``Services.rows_hidden``.

    ``where`` names the values that columns may have.
    """

    def snapshot(self) -> int | None:
        """The current one; None before anything was found."""
        ...

    def count(self, snapshot: int, where: Where) -> int: ...

    def rows(self, snapshot: int, where: Where, start: int, limit: int) -> list[dict[str, Any]]: ...

    def stream(self, snapshot: int, where: Where) -> Iterator[list[dict[str, Any]]]: ...


@dataclass(frozen=True)
class Options:
    """How the API behaves; what is counted is a minute's requests."""

    issuer: str = "privacy-assets"
    audience: str = "privacy-assets"
    requests_a_client: int = 12_000
    requests_an_address: int = 24_000
    in_flight: int = 256
    fresh_seconds: float = FRESH_SECONDS
    cool_down_seconds: float = COOL_DOWN_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    ready_seconds: float = 5.0


@dataclass
class Services:
    """Everything that routes need, by name. ``troubles`` are the exceptions by which resources say that AWS
    did not do it.
    """

    secrets: Secrets
    state: State
    events: EventQueue
    scan_jobs: ScanJobs
    scan_queue: ScanQueue
    buckets: Callable[[], Mapping[str, str]]
    """The estate's buckets, each with the prefix that is governed."""
    findings: Findings
    titles: Callable[[], Mapping[str, str]] = dict
    """What each detector finds, in words."""
    requests: Any = None
    """What requests of subjects stand on (``routes.dsar.Requests``)."""
    first_needs: Sequence[Callable[[], object]] = ()
    """What makes that which a first call would wait for."""
    options: Options = field(default_factory=Options)
    oidc: Oidc | None = None
    snapshot_gone: type[Exception] = LookupError
    rows_hidden: tuple[type[Exception], ...] = ()
    """By which findings say that another engine hides rows from them."""
    troubles: tuple[type[Exception], ...] = (OSError,)
    now: Callable[[], datetime] = utc_now

    @cached_property
    def registry(self) -> Cached[Registry]:
        """The clients."""
        return self._cached(lambda: parse_registry(self.secrets.registry()))

    @cached_property
    def keys(self) -> Cached[SigningKeys]:
        """The signing keys: one at least."""
        return self._cached(lambda: _some(parse_keys(self.secrets.signing_keys())))

    @cached_property
    def readiness(self) -> Cached[None]:
        """Whether DynamoDB answers, as it was some seconds ago: whoever probes asks it no more often."""
        seconds = self.options.ready_seconds
        return Cached(self.state.ready, seconds, seconds, stale=0.0)

    @cached_property
    def preparation(self) -> Preparation:
        """What is made at the start."""
        return Preparation(self.first_needs, [self.oidc.keys.get] if self.oidc is not None else [])

    def _cached(self, load: Callable[[], T]) -> Cached[T]:
        def loaded() -> T:
            try:
                return load()
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise Unreadable(type(error).__name__) from None  # its words may hold what was read

        options = self.options
        return Cached(
            loaded, options.fresh_seconds, options.cool_down_seconds, patience=options.patience_seconds
        )

    @cached_property
    def client_limit(self) -> RateLimit:
        return RateLimit("client", self.options.requests_a_client, self.state, self._limit_failed)

    @cached_property
    def address_limit(self) -> RateLimit:
        return RateLimit("address", self.options.requests_an_address, self.state, self._limit_failed)

    @cached_property
    def tally(self) -> "Tally":
        return Tally(self.state)

    def _limit_failed(self, error: Exception) -> None:
        logs.failed("rate limits are this process's own for a minute", error)

    async def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """A blocking call in a thread. What AWS did not do raises Problem 503."""
        return await self.known(run_in_threadpool(function, *arguments, **named))

    async def known(self, answer: Awaitable[T]) -> T:
        """The answer. What AWS did not do raises Problem 503."""
        troubles: tuple[type[Exception], ...] = (*self.troubles, Unreadable)
        try:
            return await answer
        except KeysUnavailable as error:
            logs.failed("the OIDC issuer's keys can't be fetched", error)
            raise busy("the issuer of this token does not answer; try again", error.seconds) from None
        except troubles as error:
            logs.failed("AWS did not do it", error)
            raise busy("a service behind this one does not answer; nothing was lost, try again") from None


class Unreadable(Exception):  # noqa: N818  # what it is
    """A document in Secrets Manager is not what it should be: it has no signing key, or is no JSON."""


def _some(keys: SigningKeys) -> SigningKeys:
    if not keys.keys:
        raise LookupError("no signing key")
    return keys


class Tally:
    """Counts how often something old is still used, a call every ten seconds and not for each use."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._counts: dict[str, int] = {}
        self._told = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str) -> None:
        """One more use of ``name``."""
        self._counts[name] = self._counts.get(name, 0) + 1
        if time.monotonic() - self._told >= TALLY_SECONDS:
            task = asyncio.create_task(self.tell())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def tell(self) -> None:
        """Write down what was counted; what can't be is counted on."""
        self._told = time.monotonic()
        counts, self._counts = self._counts, {}
        for name, number in counts.items():
            try:
                await run_in_threadpool(self._state.add, name, number)
            except Exception as error:  # noqa: BLE001  # a count is worth no request
                self._counts[name] = self._counts.get(name, 0) + number
                logs.failed("uses of old secrets are counted later", error)
