"""What processes use, from /proc: peak memory and processor time, seen until they end."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS = 0.1


@dataclass
class Watch:
    """Follows the process groups of ``leaders`` (by name); one that ends keeps what it had used by then."""

    leaders: dict[str, int]
    peaks: dict[str, dict[int, int]] = field(default_factory=dict)
    """For each leader the peak resident memory of each process of its group, in bytes, by process id."""
    seconds: dict[str, dict[int, float]] = field(default_factory=dict)
    """The same for processor time since the watch began, in seconds."""
    parents: dict[int, int] = field(default_factory=dict)
    """The process that each was started by, of those in the groups."""
    _before: dict[int, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.peaks = {name: {} for name in self.leaders}
        self.seconds = {name: {} for name in self.leaders}
        self._look_at_all()
        self._before = {pid: used for group in self.seconds.values() for pid, used in group.items()}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def started_by(self, process: int) -> set[int]:
        """The process and those that it, or they, have started."""
        found, size = {process}, 0
        while size < len(found):
            size = len(found)
            found |= {pid for pid, parent in self.parents.items() if parent in found}
        return found

    def _follow(self) -> None:
        while not self._end.wait(SECONDS):
            self._look_at_all()

    def _look_at_all(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            self._look(process)

    def _look(self, process: Path) -> None:
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            name = next(name for name, leader in self.leaders.items() if leader == int(fields[2]))
            status = (process / "status").read_text()
        except (OSError, StopIteration):
            return
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), "0")
        pid, used = int(process.name), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        # One that has ended and is not yet waited for has no memory left to tell of.
        self.parents.setdefault(pid, int(fields[1]))  # it has another when that one ends first
        self.peaks[name][pid] = max(int(peak) * 1024, self.peaks[name].get(pid, 0))
        self.seconds[name][pid] = used - self._before.get(pid, 0.0)
