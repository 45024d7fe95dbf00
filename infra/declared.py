"""What the product declares of an account (``resources.provision``), as a stage has it."""

from dataclasses import dataclass
from functools import cached_property

from infra.stages import Stage
from privacy_assets.governed import governed_estate, table_shapes
from resources.provision import Names, Resource, TableShape, shapes


@dataclass(frozen=True)
class Declared:
    """The names, tables and resources of one stage."""

    stage: Stage

    @cached_property
    def names(self) -> Names:
        with self.stage.in_environment():
            return Names.from_settings()

    @cached_property
    def tables(self) -> list[TableShape]:
        with self.stage.in_environment():
            return table_shapes(governed_estate())

    @cached_property
    def buckets_read(self) -> list[str]:
        """The buckets of others that are scanned."""
        with self.stage.in_environment():
            return [bucket.name for bucket in governed_estate().buckets]

    @cached_property
    def resources(self) -> list[Resource]:
        """All that is declared, but for the governed tables that others have made."""
        with self.stage.in_environment():
            declared = shapes(self.names, self.tables, self.stage.place)
        return [
            each
            for each in declared
            if not (each.kind == "table" and each.name in self.stage.existing_tables)
        ]

    def of(self, kind: str) -> list[str]:
        """The names of all resources of a kind."""
        return [each.name for each in self.resources if each.kind == kind]
