"""Messages of a busy queue, taken in bites: as much at a time as can be written while the queue hides it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

BITE_SECONDS = 45.0
"""How long writing a bite should take: a message is held for up to three bites, and the queue hides it for
five minutes. What is held for longer comes again, is written again, and makes the next bite slower still."""
BITE_BYTES = 48 << 20
RECEIVERS = 12
_FIRST, _LEAST = 5_000, 50


class Message(Protocol):
    """A message of a queue."""

    @property
    def id(self) -> str: ...
    @property
    def body(self) -> str: ...


M = TypeVar("M", bound=Message)


@dataclass
class Bite(Generic[M]):
    """Messages that are written together; ``full`` when more may wait."""

    messages: list[M] = field(default_factory=list)
    size: int = 0
    full: bool = False


class Bites(Generic[M]):
    """Takes bites of at most ``most`` messages; ``receive`` answers some messages, none when none wait."""

    def __init__(self, receive: Callable[[], Sequence[M]], *, most: int, receivers: int = RECEIVERS) -> None:
        self._receive, self._most, self._receivers = receive, most, receivers
        self._wanted = min(most, _FIRST)

    @property
    def wanted(self) -> int:
        """How many messages the next bite should have."""
        return self._wanted

    def take(self, before: Sequence[M] = ()) -> Bite[M]:
        """A bite, of which ``before`` is the beginning: until nothing waits, or it is full."""
        bite = Bite(list(before), sum(len(each.body) for each in before))
        seen = {each.id for each in before}

        def full() -> bool:
            return len(bite.messages) >= self._wanted or bite.size >= BITE_BYTES

        def receive(_: int) -> None:
            while not full():
                found = [each for each in self._receive() if each.id not in seen]
                if not found:
                    return
                for each in found:
                    seen.add(each.id)
                    bite.messages.append(each)
                    bite.size += len(each.body)

        with ThreadPoolExecutor(self._receivers) as receivers:
            list(receivers.map(receive, range(self._receivers)))
        bite.full = full()
        return bite

    def took(self, messages: int, seconds: float) -> None:
        """Have the next bites as large as can be written in time, and no more than twice this one."""
        fits = int(messages * BITE_SECONDS / max(seconds, 0.001))
        self._wanted = max(_LEAST, min(fits, 2 * self._wanted, self._most))


def tens(messages: Sequence[Any]) -> list[Sequence[Any]]:
    """As many as one call takes."""
    return [messages[start : start + 10] for start in range(0, len(messages), 10)]
