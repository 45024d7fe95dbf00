"""A value that is kept: one reading for all who wait, and nobody waits long while there is a value."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from privacy_assets.api.cached import STALE_SECONDS, Cached

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Source:
    """Something that is read: it answers at once, fails, or is slow, and time passes by its clock."""

    def __init__(self) -> None:
        self.now, self.reads, self.error = 1000.0, 0, False
        self.takes = 0.0
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self) -> int:
        self.reads += 1
        number = self.reads
        assert self.answers.wait(60)
        self.now += self.takes
        if self.error:
            raise OSError(f"read {number}")
        return number

    def cached(self, *, patience: float = 60.0, stale: float = STALE_SECONDS) -> Cached[int]:
        return Cached(self, 30.0, 5.0, patience=patience, stale=stale, clock=lambda: self.now)


@pytest.fixture
def source() -> Source:
    return Source()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


async def test_all_who_wait_wait_for_one_reading(source: Source) -> None:
    cached = source.cached()
    source.answers.clear()
    waiting = [asyncio.create_task(cached.get()) for _ in range(10)]
    await until(lambda: source.reads == 1)
    source.answers.set()
    assert await asyncio.gather(*waiting) == [1] * 10
    source.now += 29
    assert await cached.get() == 1
    source.now += 1
    assert await cached.get() == 2
    assert await cached.again() == 2
    source.now += 5
    assert await cached.again() == 3


async def test_a_slow_reading_holds_nobody_up_and_is_used_when_it_is_there(source: Source) -> None:
    cached = source.cached(patience=0.01)
    assert await cached.get() == 1
    source.now += 30
    source.answers.clear()
    assert await asyncio.gather(*(cached.get() for _ in range(5)), cached.again()) == [1] * 6
    assert await cached.get() == 1
    assert source.reads == 2
    source.answers.set()
    await until(lambda: cached._loading is None)
    assert await cached.get() == 2


async def test_patience_counts_from_the_start_of_the_reading(source: Source) -> None:
    cached = source.cached(patience=60.0)
    assert await cached.get() == 1
    source.now += 30
    source.answers.clear()
    first = asyncio.create_task(cached.get())
    await until(lambda: source.reads == 2)
    source.now += 60
    assert await cached.get() == 1  # who comes late doesn't wait for as long again
    source.answers.set()
    assert await first == 2


async def test_the_cool_down_counts_from_the_end_of_a_failure(source: Source) -> None:
    cached = source.cached()
    assert await cached.get() == 1
    source.now += 30
    source.error, source.takes = True, 10.0
    assert await cached.get() == 1
    assert (await cached.get(), await cached.again(), source.reads) == (1, 1, 2)
    source.now += 5
    source.error = False
    assert (await cached.get(), source.reads) == (3, 3)


async def test_without_a_value_the_failure_is_told_to_all_and_cools_down(source: Source) -> None:
    cached = source.cached()
    source.error = True
    for _ in range(3):
        with pytest.raises(OSError, match="read 1"):
            await cached.get()
    source.now += 5
    source.error = False
    assert await cached.get() == 2


async def test_a_value_serves_for_an_hour(source: Source) -> None:
    cached = source.cached(patience=0.01)
    assert await cached.get() == 1
    source.error = True
    source.now += STALE_SECONDS
    assert await cached.get() == 1
    source.now += 1
    with pytest.raises(OSError, match="read 2"):
        await cached.get()  # within the cool-down of what has just failed
    source.now += 5
    source.answers.clear()
    asked = asyncio.create_task(cached.get())
    await until(lambda: source.reads == 3)
    source.answers.set()
    with pytest.raises(OSError, match="read 3"):
        await asked


async def test_who_stops_waiting_stops_no_reading(source: Source) -> None:
    cached = source.cached()
    source.answers.clear()
    asked = asyncio.create_task(cached.get())
    await until(lambda: source.reads == 1)
    asked.cancel()
    source.answers.set()
    assert await cached.get() == 1
    assert source.reads == 1


async def test_a_value_that_may_not_be_stale_is_not_served_after_a_failure(source: Source) -> None:
    cached = source.cached(stale=0.0, patience=0.01)
    assert await cached.get() == 1
    source.now += 30
    source.error = True
    with pytest.raises(OSError, match="read 2"):
        await cached.get()
    with pytest.raises(OSError, match="read 2"):
        await cached.get()
    source.now += 5
    source.error = False
    assert await cached.get() == 3
