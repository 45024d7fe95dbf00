"""What the server gives each engine: the store, a way to call itself, routes of its own, its life cycle."""

import sqlite3
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from werkzeug.wrappers import Request, Response

from local_aws import replay
from local_aws.process import environment
from local_aws.store import Store

Handler = Callable[[Request], Response]
Answer = tuple[int, dict[str, str], bytes]
Action = Callable[[Mapping[str, Any], bytes], Answer | None]


@dataclass
class Context:
    """Shared by the engines of one server.

    ``routes`` maps a path below ``/_local/`` to a handler: calls that exist on local AWS alone.
    ``on_reset`` runs when the state is emptied, ``on_start`` once the server answers (work that a stop cut
    off is taken up there), ``on_stop`` before it ends.

    ``actions`` maps an X-Amz-Target to what answers in moto's place, from the WSGI environ and the body;
    None hands the request on to moto. ``own_actions`` names the actions whose effects the engine keeps in the
    store itself, as an X-Amz-Target or ``service:Action``: they are neither journaled nor put in line behind
    other changes. ``counts`` are figures for ``/_local/health``.

    ``persistent`` says whether the state is kept. Then every other change is journaled, and replayed when the
    server starts again: ``replaying`` is true meanwhile, no background work may start, and what the store
    keeps must not be written again. Within a journaled request an engine must not call the server (see
    ``client``): the server takes one change at a time. It does so from a thread of its own.
    """

    store: Store
    endpoint: str = ""
    persistent: bool = False
    scratch: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    routes: dict[str, Handler] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    own_actions: set[str] = field(default_factory=set)
    intercept: Callable[[dict[str, Any]], Response | None] = lambda _: None
    """Asked before a request is looked at: what it answers is the answer."""
    observe: Callable[[Mapping[str, Any]], None] | None = None
    """Told of each request's environ while somebody records calls."""
    counts: dict[str, Callable[[], int]] = field(default_factory=dict)
    on_reset: list[Callable[[], None]] = field(default_factory=list)
    on_start: list[Callable[[], None]] = field(default_factory=list)
    on_stop: list[Callable[[], None]] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)
    _making_clients: threading.Lock = field(default_factory=threading.Lock)

    @property
    def replaying(self) -> bool:
        """Whether the journal is being replayed."""
        return replay.replaying()

    def commit(
        self, write: Callable[[sqlite3.Connection], None], then: Callable[[], None] | None = None
    ) -> None:
        """Write to the store together with the change that is being made.

        Within a journaled request ``write`` runs in the transaction that journals it, and not at all when
        the request fails; elsewhere it runs at once, in a transaction of its own. While the journal is
        replayed it doesn't run: the store has it already. ``then`` runs once it is committed.
        """
        if replay.replaying():
            return
        if replay.defer(write, then):
            return
        with self.store.write() as connection:
            write(connection)
        if then is not None:
            then()

    def client(self, service: str) -> Any:
        """A boto3 client that talks to this server, so that an engine's own writes pass the front door.

        It is shared: boto3's clients may be used by many threads, and take long to make.
        """
        with self._making_clients:
            client = self._clients.get(service)
            if client is None:
                names = environment(self.endpoint)
                create: Any = boto3.client  # the name of the service is not known when types are checked
                client = create(
                    service,
                    endpoint_url=self.endpoint,
                    region_name=names["AWS_REGION"],
                    aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
                    config=Config(max_pool_connections=50, proxies={}),
                )
                client.meta.events.register_first("before-send", _refuse_in_journaled_request)
                self._clients[service] = client
            return client


def _refuse_in_journaled_request(**_: Any) -> None:
    if replay.active():
        raise RuntimeError("an engine called the server from within a journaled request: do it in a thread")
