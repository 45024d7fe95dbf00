"""A value that is read again when it has become old; everybody who waits for it waits for one reading."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")

FRESH_SECONDS = 30.0
"""How old a client's or a key's record may be: a revocation holds everywhere after this time."""
COOL_DOWN_SECONDS = 5.0
"""What was read this recently is not read again, whatever was not found in it."""
STALE_SECONDS = 3600.0
"""How long the last value serves while it can't be read again."""


class Cached(Generic[T]):
    """``load``'s last value."""

    def __init__(
        self,
        load: Callable[[], T],
        fresh: float = FRESH_SECONDS,
        cool_down: float = COOL_DOWN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._fresh, self._cool_down, self._clock = load, fresh, cool_down, clock
        self._held: tuple[float, T] | None = None
        self._tried = -float("inf")
        self._lock = asyncio.Lock()

    async def get(self) -> T:
        """The value, at most ``fresh`` seconds old; an hour while reading fails. Raises what reading does."""
        held = self._held
        if held is not None and self._clock() - held[0] < self._fresh:
            return held[1]
        return await self._read(self._fresh)

    async def again(self) -> T:
        """The value as it is now, or as it was within the cool-down."""
        return await self._read(self._cool_down)

    async def _read(self, old_enough: float) -> T:
        async with self._lock:
            now, held = self._clock(), self._held
            if held is not None and (now - held[0] < old_enough or now - self._tried < self._cool_down):
                return held[1]
            self._tried = now
            try:
                value = await run_in_threadpool(self._load)
            except Exception:
                if held is None or now - held[0] > STALE_SECONDS:
                    raise
                return held[1]
            self._held = (now, value)
            return value
