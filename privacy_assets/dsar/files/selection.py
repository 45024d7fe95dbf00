"""Which records of a file are the subject's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from privacy_assets.dsar.stores.rules import Fields, text


@dataclass(frozen=True)
class Selection:
    """Records with one of the ``wanted`` values in a field, or all of a file whose partition says so.

    ``constants`` are the partition columns' values, the same in all records of a file. ``fields`` are the
    names that the estate uses: the catalog knows no capitals, files do.
    """

    wanted: Fields
    constants: Mapping[str, Any] = field(default_factory=dict)
    fields: Iterable[str] = ()

    @property
    def everything(self) -> bool:
        """Whether the partition itself is the subject's."""
        return any(self.constants.get(name) in values for name, values in self.wanted.items())

    def record(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """A record of the file with the estate's names and the partition's values."""
        names = {name.lower(): name for name in (*self.fields, *self.wanted)}
        return {**self.constants, **{names.get(name.lower(), name): value for name, value in found.items()}}

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether a record, with the estate's names, is the subject's."""
        return any(text(record.get(name)) in values for name, values in self.wanted.items())
