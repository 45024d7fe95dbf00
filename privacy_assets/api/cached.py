"""A value that is read again when it has become old; everybody who waits for it waits for one reading."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")

FRESH_SECONDS = 30.0
"""How old a client's or a key's record may be: a revocation holds everywhere after this time."""
COOL_DOWN_SECONDS = 1.0
"""What was read this recently is not read again, whatever was not found in it; nor is what failed."""
PATIENCE_SECONDS = 1.0
"""How long a reading may take before the last value serves in its place."""
STALE_SECONDS = 3600.0
"""How long the last value serves while it can't be read again."""


class Cached(Generic[T]):
    """``load``'s last value. A reading that has begun goes on, whoever stops waiting for it."""

    def __init__(
        self,
        load: Callable[[], T],
        fresh: float = FRESH_SECONDS,
        cool_down: float = COOL_DOWN_SECONDS,
        *,
        patience: float = PATIENCE_SECONDS,
        stale: float = STALE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._fresh, self._cool_down = load, fresh, cool_down
        self._patience, self._stale, self._clock = patience, stale, clock
        self._held: tuple[float, T] | None = None
        self._failed: tuple[float, Exception] | None = None
        self._loading: tuple[float, asyncio.Task[None]] | None = None

    async def get(self) -> T:
        """The value, at most ``fresh`` seconds old; an hour while reading fails or takes long. Raises what
        reading does.
        """
        held = self._held
        if held is not None and self._clock() - held[0] < self._fresh:
            return held[1]
        return await self._read(self._fresh)

    async def again(self) -> T:
        """The value as it is now, or as it was within the cool-down."""
        return await self._read(self._cool_down)

    async def _read(self, old_enough: float) -> T:
        now, held = self._clock(), self._held
        if held is not None and now - held[0] < old_enough:
            return held[1]
        if self._failed is None or now - self._failed[0] >= self._cool_down:
            if self._loading is None:
                self._loading = now, asyncio.create_task(self._do_read(now))
            began, task = self._loading
            serves = held is not None and now - held[0] <= self._stale
            await asyncio.wait({task}, timeout=max(0.0, began + self._patience - now) if serves else None)
        held, failed = self._held, self._failed
        if held is not None and (failed is None or now - held[0] <= self._stale):
            return held[1]
        assert failed is not None
        raise failed[1].with_traceback(None)

    async def _do_read(self, began: float) -> None:
        try:
            value = await run_in_threadpool(self._load)
        except Exception as error:  # noqa: BLE001  # it is raised to who waits for the value
            self._failed = self._clock(), error
        else:
            self._held, self._failed = (began, value), None
        finally:
            self._loading = None
