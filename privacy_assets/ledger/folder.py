"""A log as a folder: what is handed to an auditor, and verified without a network."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from privacy_assets.errors import UserError
from privacy_assets.ledger import checkpoint, tiles
from privacy_assets.ledger.log import CHECKPOINT
from privacy_assets.ledger.verify import GetHead, Source

KEPT = "checkpoints"
"""Where checkpoints are put aside, one a day, in a folder as in the bucket."""
INDEX = "index.jsonl"


class Folder:
    """A folder with a log's bundles, tiles and checkpoints, under the paths that they have in the bucket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, path: str) -> bytes:
        """An object. Raises FileNotFoundError."""
        return (self._path / path).read_bytes()

    def many(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Objects in the order of ``paths``, None for one that is missing."""
        for path in paths:
            try:
                yield self.read(path)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                yield None

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """The checkpoints that were put aside."""
        for path in sorted((self._path / KEPT).glob("*")):
            yield f"{KEPT}/{path.name}", path.read_bytes()

    def write(self, path: str, body: bytes) -> None:
        """Write a file, with the folders that it is in."""
        where = self._path / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(body)

    def index(self) -> list[tuple[str, int]] | None:
        """The rows of the index; None where there is none. Raises UserError."""
        try:
            lines = self.read(INDEX).decode().splitlines()
            rows = [json.loads(line) for line in lines]
            return [(str(row["stream"]), int(row["leaf"])) for row in rows]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise UserError(f'{self._path / INDEX}: expected lines of {{"stream": "…", "leaf": 0}}') from None


def copy(source: Source, index: Iterable[tuple[str, int]], head: GetHead, to: Path) -> int:
    """Copy a published log into ``to``; answers its size. Raises FileNotFoundError for what is missing there
    and UserError for a folder that holds something.

    What tells of a longer log than there is, is copied too: it shows that an end was cut off. Only index rows
    of entries that were appended meanwhile, which ``head`` has, are left out.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to}: is there and not empty, expected a folder that is, or a name for a new one")
    folder = Folder(to)
    kept = list(source.kept())  # before the checkpoint: later, one of a log that goes on may be larger
    signed = source.read(CHECKPOINT)
    size = checkpoint.parse(signed).size
    paths = [tiles.path(*place) for place in tiles.layout(size)]
    for path, body in zip(paths, source.many(paths), strict=True):
        if body is None:
            raise FileNotFoundError(path)
        folder.write(path, body)
    for number, (key, old) in enumerate(kept):
        name = f"{KEPT}/{key.removeprefix(f'{KEPT}/').replace('/', '_')}"  # no key leads out of the folder
        taken = (to / name).exists()  # another version of the same name
        folder.write(f"{name}-{number}" if taken else name, old)
    rows = sorted(index, key=lambda row: row[1])
    committed = head()  # after the index: it has every row's entry, unless its end was cut off
    meanwhile = range(size, committed.size if committed else 0)
    lines = [
        json.dumps({"stream": stream, "leaf": leaf}) + "\n" for stream, leaf in rows if leaf not in meanwhile
    ]
    folder.write(INDEX, "".join(lines).encode())
    folder.write(CHECKPOINT, signed)
    return size
