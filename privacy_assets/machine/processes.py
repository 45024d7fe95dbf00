"""Child processes that end with us, whatever ends us.

Each child leads a process group of its own, so that a terminal's Ctrl-C reaches us alone and we end the
children in order; a group that does not end in time is killed, with whatever it had started.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from privacy_assets.errors import Stopped, UserError

LINES_SHOWN = 3
KILL_SECONDS = 5.0
ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Failed|Failure|Interrupt|Warning|Timeout)\w*(:|$)")
CAUSES = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)


class ChildError(UserError):
    """A child ended when it should not have; the message holds the last lines of its log."""


@dataclass
class Child:
    """A running child; ``log`` holds what it printed (stdout too, unless that is a pipe to us)."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    patience: float = 10.0

    @property
    def output(self) -> IO[str]:
        """The child's stdout, when it was started to be ``heard``."""
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def input(self) -> IO[str]:
        """The child's stdin, when it was started to be ``fed``."""
        assert self.process.stdin is not None
        return self.process.stdin

    def check(self) -> None:
        """Raises ChildError when the child has ended."""
        code = self.process.poll()
        if code is not None:
            raise ChildError(f"{self.name} ended with code {code}: {self.last_words()}")

    def last_words(self) -> str:
        """Why it ended, by its log: the innermost error of the last traceback, or else its last lines."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        said = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        return _innermost_error(text) or " | ".join(said[-LINES_SHOWN:]) or f"it said nothing ({self.log})"

    def ask_to_end(self) -> None:
        """Tell every process of the child's group to end."""
        _signal_group(self.process.pid, signal.SIGTERM)

    def end(self) -> None:
        """Wait for the group's end as long as our patience lasts, then kill what is left of it."""
        try:
            if not self._wait_for_group(self.patience):
                _signal_group(self.process.pid, signal.SIGKILL)
                self._wait_for_group(KILL_SECONDS)
        finally:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def _wait_for_group(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None and not _signal_group(self.process.pid, 0):
                return True
            time.sleep(0.02)
        return False


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """In the child, before it is the program: have the kernel end it when we are killed (prctl(2))."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _innermost_error(log: str) -> str:
    """The error that the last traceback of ``log`` began with; Python prints causes before their effects."""
    parts = log.split("Traceback (most recent call last):\n")
    number = len(parts) - 1
    while number > 1 and parts[number - 1].rstrip().endswith(CAUSES):
        number -= 1
    errors = [line for line in parts[number].splitlines() if ERROR.match(line)] if number else []
    return errors[0] if errors else ""


def _signal_group(leader: int, number: int) -> bool:
    """Signal every process of the group; false when there is none left."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Children:
    """The children of a command. The first-started is ended last, as the others need it."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._starting = False
        self._told: int | None = None

    def hear(self, number: int, _frame: FrameType | None = None) -> None:
        """The signal handler: raises Stopped, but not between a child's birth and our knowing it."""
        if self._starting:
            self._told = number
        else:
            raise Stopped(number)

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        fed: bool = False,
        heard: bool = False,
        patience: float = 10.0,
    ) -> Child:
        """Start a child with ``environment`` added to ours.

        ``fed`` connects its stdin to us. ``heard`` connects its stdout: for a child that says little there,
        as one that we stop listening to waits for ever once the pipe is full.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        self._starting = True
        with log.open("w") as file:
            process = subprocess.Popen(  # noqa: S603  # our own commands
                list(command),
                stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
                stdout=subprocess.PIPE if heard else file,
                stderr=file,
                text=True,
                env={**os.environ, **environment},
                start_new_session=True,
                preexec_fn=_end_with_parent,  # no thread of ours runs while children start
            )
        child = Child(name, process, log, patience)
        self._children.append(child)
        self._starting = False
        if self._told is not None:
            raise Stopped(self._told)
        return child

    def check(self) -> None:
        """Raises ChildError when any child has ended."""
        for child in self._children:
            child.check()

    def stop(self) -> None:
        """End them all, the first-started last, as the others need it; meanwhile no signal is heard."""
        with _deaf():
            for needed_by_others in (False, True):
                ending = self._children[:1] if needed_by_others else self._children[1:]
                for child in ending:
                    child.ask_to_end()
                for child in ending:
                    child.end()
            self._children.clear()


@contextmanager
def children(logs: Path) -> Iterator[Children]:
    """Children for the length of the block; SIGINT, SIGTERM and SIGHUP end the block with Stopped."""
    group = Children(logs)
    before = {number: signal.signal(number, group.hear) for number in _SIGNALS}
    try:
        yield group
    finally:
        group.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _deaf() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
