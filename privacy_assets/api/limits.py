"""Rate limits that hold across processes: requests a minute, counted in DynamoDB.

A process takes requests from the shared count in lots of a twentieth of the limit, so that few requests wait
for a call; at most a lot of each process is never used. While DynamoDB can't be asked each process keeps the
limit by itself: an outage there is no reason to refuse people's events.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from starlette.concurrency import run_in_threadpool

SECONDS = 60
_PARTS = 20
_KEPT = 10_000


class Counts(Protocol):
    """Counters that all processes share."""

    def take(self, name: str, number: int, limit: int, expires_at: int) -> bool:
        """Add ``number`` to the counter unless that is more than ``limit``; whether it was added."""
        ...


@dataclass
class _Lot:
    window: int
    left: int = 0
    is_used_up: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimit:
    """``limit`` requests a minute for each key."""

    def __init__(
        self,
        name: str,
        limit: int,
        counts: Counts,
        failed: Callable[[Exception], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name, self._limit, self._counts, self._clock, self._failed = name, limit, counts, clock, failed
        self._lot_size = max(1, limit // _PARTS)
        self._lots: dict[str, _Lot] = {}

    async def wait(self, key: str) -> int:
        """0: go on. Otherwise the seconds until the next request of ``key`` is allowed."""
        now = self._clock()
        window = int(now // SECONDS)
        lot = self._lots.get(key)
        if lot is None or lot.window != window:
            if len(self._lots) >= _KEPT:
                self._lots = {name: one for name, one in self._lots.items() if one.window == window}
                if len(self._lots) >= _KEPT:
                    self._lots.clear()
            lot = self._lots[key] = _Lot(window)
        if lot.left <= 0 and not lot.is_used_up:
            async with lot.lock:
                if lot.left <= 0 and not lot.is_used_up:
                    await self._take(key, lot)
        if lot.left > 0:
            lot.left -= 1
            return 0
        return max(1, int((window + 1) * SECONDS - now) + 1)

    async def _take(self, key: str, lot: _Lot) -> None:
        name = f"rate#{self._name}#{key}#{lot.window}"
        try:
            given = await run_in_threadpool(
                self._counts.take, name, self._lot_size, self._limit, (lot.window + 2) * SECONDS
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, the limit is then this process's own
            self._failed(error)
            lot.left, lot.is_used_up = self._limit, True
        else:
            lot.left, lot.is_used_up = (self._lot_size, False) if given else (0, True)
