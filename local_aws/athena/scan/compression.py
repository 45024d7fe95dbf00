"""Compressed text files, told by their name, as Athena does."""

import bz2
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from local_aws.athena.errors import QueryError
from local_aws.objects import Object

_DUCK = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd"}
_REFUSED = (".lzo", ".lz4", ".snappy", ".deflate")


def readable(objects: list[Object], run: Any) -> Iterable[tuple[str, list[Object]]]:
    """The objects by DuckDB's name of their compression; bzip2 is unpacked first. Raises QueryError for
    others.
    """
    groups: dict[str, list[Object]] = {}
    for item in objects:
        suffix = Path(item.key).suffix.lower()
        if suffix in _REFUSED:
            raise QueryError(
                "HIVE_UNSUPPORTED_FORMAT",
                f"the compression of s3://{item.bucket}/{item.key} is not supported",
            )
        if suffix == ".bz2":
            run.unpack(item, bz2.decompress)
        groups.setdefault(_DUCK.get(suffix, "none"), []).append(item)
    return groups.items()
