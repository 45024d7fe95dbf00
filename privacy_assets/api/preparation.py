"""What the first calls would wait for: it is made at the start, before the API says that it is ready.

It is only about time. What can't be made now is made when it is needed, and the call that needs it says what
is wrong; a part that hangs keeps the others from nobody for longer than half a minute.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from starlette.concurrency import run_in_threadpool

from privacy_assets.api import logs

PATIENCE_SECONDS = 30.0


class Preparation:
    """``works``, done once, one after the other in a thread, and ``reads``. Raises nothing."""

    def __init__(
        self,
        works: Sequence[Callable[[], object]],
        reads: Sequence[Callable[[], Awaitable[object]]] = (),
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._works, self._reads, self._patience = works, reads, patience
        self._begun: tuple[float, asyncio.Task[None]] | None = None

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if self._begun is None:
            self._begun = time.monotonic(), asyncio.create_task(self._do())

    async def over(self, seconds: float) -> bool:
        """Whether it is done within ``seconds``, or nobody waits for it any more."""
        self.begin()
        assert self._begun is not None
        began, task = self._begun
        left = began + self._patience - time.monotonic()
        await asyncio.wait({task}, timeout=max(0.0, min(left, seconds)))
        return task.done() or left <= seconds

    async def _do(self) -> None:
        for work in self._works:
            await self._try(partial(run_in_threadpool, work))
        for read in self._reads:
            await self._try(read)

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # who needs it will be told
            logs.failed("what a first call needs is made when it comes", error)
