"""Which folders make which tables, and how tables and partition keys are named.

Rules (AWS Glue Developer Guide, "How does a crawler determine when to create partitions?" and "Customizing
crawler behavior"): folders are one table when their files are of one format, lie equally deep, and more
than 70 % of the folders have similar schemas in no more than five kinds; ``CombineCompatibleSchemas`` asks
for the format alone; ``TableLevelConfiguration`` says how deep a table's folder lies, the bucket being
level 1. A level of ``k=v`` folders with one ``k`` is the partition key ``k``, any other ``partition_N``.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import unquote

from local_aws.glue.formats import Format, Sample
from local_aws.glue.schema import Shape, merged, similarity

PARTITION_THRESHOLD: Final = 0.7
MAX_KINDS: Final = 5
_NOT_IN_NAME = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True)
class File:
    """An object that was found; ``sample`` is None when it was left unread or holds nothing."""

    key: str
    size: int
    sample: Sample | None
    unread: bool = False


@dataclass(frozen=True)
class Folder:
    """The files that lie directly in one folder; ``prefix`` ends with ``/`` unless that is the bucket."""

    bucket: str
    prefix: str
    files: tuple[File, ...]

    @cached_property
    def formats(self) -> set[Format]:
        return {file.sample.format for file in self.files if file.sample is not None}

    @cached_property
    def shape(self) -> Shape:
        return merged(file.sample.shape for file in self.files if file.sample is not None)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Bucket and folder names, outermost first."""
        return (self.bucket, *self.prefix.split("/")[:-1])


@dataclass(frozen=True)
class Plan:
    """A table to be: its place and the folders whose files it holds (one of them, when it has no
    partitions).
    """

    root: tuple[str, ...]
    folders: tuple[Folder, ...]
    file: str | None = None
    """Set when the table is this one object."""

    @property
    def location(self) -> str:
        path = "/".join(self.root)
        return f"s3://{path}/" if self.file is None else f"s3://{path}/{self.file}"

    @property
    def format(self) -> Format | None:
        """None when nothing is in any of the files."""
        return next((found for folder in self.folders for found in folder.formats), None)

    @property
    def base_name(self) -> str:
        """The table's name before prefix and collisions."""
        return sanitised(self.file or self.root[-1])

    def values(self, folder: Folder) -> tuple[str, ...]:
        """The partition that ``folder`` is."""
        return tuple(_pair(part)[1] for part in folder.parts[len(self.root) :])

    @property
    def partition_keys(self) -> tuple[str, ...]:
        levels = zip(*(folder.parts[len(self.root) :] for folder in self.folders), strict=True)
        keys = []
        for position, level in enumerate(levels):
            named = {_pair(part)[0] for part in level}
            key = named.pop() if len(named) == 1 else None
            keys.append(sanitised(key) if key else f"partition_{position}")
        return tuple(keys)


def sanitised(name: str) -> str:
    """A name as the Data Catalog takes it: lower case, everything but letters, digits and ``_`` replaced."""
    return _NOT_IN_NAME.sub("_", name.lower())


def collision_name(name: str, location: str) -> str:
    """The name of a second table that would be called ``name``: a hash of its place tells them apart."""
    return f"{name}_{hashlib.md5(location.encode(), usedforsecurity=False).hexdigest()}"


def plan_tables(root: str, folders: Sequence[Folder], *, combine: bool, level: int | None) -> list[Plan]:
    """The tables below the include path ``bucket/prefix``, in order of their places."""
    if level is None:
        return _plan(_parts(root), folders, combine=combine)
    by_root: dict[tuple[str, ...], list[Folder]] = defaultdict(list)
    for folder in folders:
        by_root[folder.parts[:level]].append(folder)
    plans = []
    for place, below in sorted(by_root.items()):
        # A table level is the user's word that this is a table: schemas that differ are columns of it.
        plans += _plan(place, below, combine=combine or len(place) == level)
    return plans


def _plan(root: tuple[str, ...], folders: Sequence[Folder], *, combine: bool) -> list[Plan]:
    if _one_table(folders, combine=combine):
        return [Plan(root, tuple(folders))]
    plans: list[Plan] = []
    children: dict[str, list[Folder]] = defaultdict(list)
    for folder in folders:
        below = folder.parts[len(root) :]
        if below:
            children[below[0]].append(folder)
        else:
            plans += _direct(root, folder, combine=combine)
    for name, inner in sorted(children.items()):
        plans += _plan((*root, name), inner, combine=combine)
    return plans


def _direct(root: tuple[str, ...], folder: Folder, *, combine: bool) -> list[Plan]:
    """The tables of the files that lie in ``root`` itself."""
    if _one_table([folder], combine=combine):
        return [Plan(root, (folder,))]
    return [
        Plan(root, (_alone(folder, file),), file=file.key.rsplit("/", 1)[-1])
        for file in folder.files
        if file.sample is not None
    ]


def _alone(folder: Folder, file: File) -> Folder:
    return Folder(folder.bucket, folder.prefix, (file,))


def _one_table(folders: Sequence[Folder], *, combine: bool) -> bool:
    formats = set().union(*(folder.formats for folder in folders))
    depths = {len(folder.parts) for folder in folders}
    if len(formats) > 1 or len(depths) > 1:
        return False
    if combine:
        return True
    # Within one folder the files are compared, else the folders.
    units = [_alone(folders[0], file) for file in folders[0].files] if len(folders) == 1 else folders
    return _similar(units)


def _similar(folders: Sequence[Folder]) -> bool:
    kinds: list[Shape] = []
    sizes: Counter[int] = Counter()
    for folder in folders:
        shape = folder.shape
        if not shape.fields:
            continue
        for index, kind in enumerate(kinds):
            if similarity(kind, shape) >= PARTITION_THRESHOLD:
                kind.merge(shape)
                sizes[index] += 1
                break
        else:
            sizes[len(kinds)] += 1
            kinds.append(merged([shape]))
    if not sizes:
        return True
    return len(kinds) <= MAX_KINDS and max(sizes.values()) / sizes.total() > PARTITION_THRESHOLD


def _parts(root: str) -> tuple[str, ...]:
    return tuple(part for part in root.split("/") if part)


def _pair(part: str) -> tuple[str | None, str]:
    name, equals, value = part.partition("=")
    return (unquote(name), unquote(value)) if equals and name else (None, part)
