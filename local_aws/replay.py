"""One change at a time, with a clock that stands still and chance that can be had again.

While a journaled request runs, the thread has a random generator of its own, seeded from the journal's entry,
behind moto's random ids and ``os.urandom`` (and so ``uuid.uuid4``), and the clock shows the entry's time. Run
again with the same seed and time, the request makes the same ids and timestamps.
"""

import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.moto_random import MotoRandom

Write = Callable[[sqlite3.Connection], None]
Then = Callable[[], None] | None
Deferred = list[tuple[Write, Then]]

_system_urandom = os.urandom


class _Current(threading.local):
    generator: random.Random | None = None
    writes: Deferred | None = None


_current = _Current()
_replaying = threading.Event()


class _ThreadRandom(MotoRandom):
    """Moto's generator, which all threads share, handing over to this thread's own where there is one."""

    def random(self) -> float:
        own = _current.generator
        return super().random() if own is None else own.random()

    def getrandbits(self, k: int, /) -> int:
        own = _current.generator
        return super().getrandbits(k) if own is None else own.getrandbits(k)


def _urandom(size: int, /) -> bytes:
    own = _current.generator
    return _system_urandom(size) if own is None else own.randbytes(size)


def install() -> None:
    """Put the generators in place. Moto's modules hold the object, so the object's class is changed."""
    mock_random.__class__ = _ThreadRandom
    os.urandom = _urandom
    BackendDict.__init__ = _begun  # type: ignore[method-assign]  # no other way in
    AccountSpecificBackend.__init__ = _created  # type: ignore[method-assign]  # no other way in
    AccountSpecificBackend.__getitem__ = _of_region  # type: ignore[method-assign]  # as above


@contextmanager
def _aside(name: str) -> Iterator[None]:
    """What moto makes when a service or an account is first asked takes nothing from the chance of who asks:
    that may be a question that no journal has, and in the replay it is then the first change.
    """
    own = _current.generator
    if own is not None:
        _current.generator = random.Random(name)  # noqa: S311 - it must repeat itself
    try:
        yield
    finally:
        _current.generator = own


_moto_begun = BackendDict.__init__
_moto_created = AccountSpecificBackend.__init__
_moto_of_region = AccountSpecificBackend.__getitem__


def _begun(self: Any, backend: Any, service_name: str, *args: Any, **kwargs: Any) -> None:
    with _aside(service_name):
        _moto_begun(self, backend, service_name, *args, **kwargs)


def _created(self: Any, service_name: str, account_id: str, *args: Any, **kwargs: Any) -> None:
    with _aside(f"{service_name} {account_id}"):
        _moto_created(self, service_name, account_id, *args, **kwargs)


def _of_region(self: Any, region_name: str) -> Any:
    found = dict.get(self, region_name)
    if found is not None:
        return found
    with _aside(f"{self.service_name} {self.account_id} {region_name}"):
        return _moto_of_region(self, region_name)


def fresh_seed() -> int:
    """A seed that no one can have guessed."""
    return int.from_bytes(_system_urandom(7))


@contextmanager
def reproducible(seed: int, microseconds: int) -> Iterator[Deferred]:
    """Run the block as an entry of ``seed``, ``microseconds`` after 1970; gives its deferred writes."""
    import time_machine  # costs a good part of the start, and is of use only where the state is kept

    _current.generator = random.Random(seed)  # noqa: S311 - it must repeat itself
    _current.writes = []
    try:
        with time_machine.travel(microseconds / 1e6, tick=False):
            yield _current.writes
    finally:
        _current.generator = None
        _current.writes = None


@contextmanager
def again() -> Iterator[None]:
    """The block replays the journal; nothing else runs beside it."""
    _replaying.set()
    try:
        yield
    finally:
        _replaying.clear()


def active() -> bool:
    """Whether this thread is within a journaled request."""
    return _current.generator is not None


def replaying() -> bool:
    """Whether the journal is being replayed."""
    return _replaying.is_set()


def defer(write: Write, then: Then) -> bool:
    """Keep ``write`` for the transaction that journals this thread's request; False when it is in none."""
    if _current.writes is None:
        return False
    _current.writes.append((write, then))
    return True
