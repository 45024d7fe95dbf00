"""What runs on this machine on behalf of a test."""

from pathlib import Path


def processes_of(directory: Path) -> list[str]:
    """The command lines of processes that were started with ``directory`` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory.resolve()).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
