"""What runs on this machine on behalf of a test."""

from pathlib import Path


def processes_of(directory: Path) -> dict[int, str]:
    """The command lines, by number, of processes that have ``directory`` in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory.resolve()).encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found
