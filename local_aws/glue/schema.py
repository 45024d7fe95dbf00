"""Types as a crawler infers them: observed from values, merged over files and folders, written as Hive types.

The rules (AWS Glue Developer Guide, "How crawlers work" and "Built-in classifiers"): integers widen to
bigint, to double and at last to string; structs merge field by field; anything else that disagrees becomes
string. Names are lower-cased, as the Data Catalog keeps them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WIDENING: Final = ("tinyint", "smallint", "int", "bigint", "float", "double")
"""Numeric types, each able to hold those before it."""

MAX_TYPE_LENGTH: Final = 131_072
"""Glue's limit on the text of a column's type (API reference, Column)."""

_INT_MAX: Final = 2**31 - 1
_BIGINT_MAX: Final = 2**63 - 1
_UNSAFE_IN_TYPE = re.compile(r"[<>:,()\s]")


@dataclass(slots=True)
class Shape:
    """Everything seen at one place of the data: scalar types, a struct's fields, an array's elements.

    A shape that saw nothing but nulls has none of them and is written as string.
    """

    scalars: set[str] = field(default_factory=set)
    fields: dict[str, "Shape"] | None = None
    element: "Shape | None" = None

    def observe(self, values: Sequence[Any]) -> None:
        """Take in parsed JSON values that stand at this place, field by field rather than record by record:
        most fields hold one type throughout, which is then told from all their values at once.
        """
        kinds = set(map(type, values))
        if dict in kinds:
            by_name: dict[str, list[Any]] = defaultdict(list)
            for value in values:
                if type(value) is dict:
                    for name, inner in value.items():
                        by_name[name].append(inner)
            if self.fields is None:
                self.fields = {}
            for name, inner in by_name.items():
                self.fields.setdefault(name.lower(), Shape()).observe(inner)
        if list in kinds:
            if self.element is None:
                self.element = Shape()
            self.element.observe([inner for value in values if type(value) is list for inner in value])
        if int in kinds:
            numbers = [value for value in values if type(value) is int]
            self.scalars.add(_integer(max(max(numbers), -min(numbers))))
        self.scalars.update(name for kind, name in _SCALARS.items() if kind in kinds)

    def merge(self, other: "Shape") -> None:
        """Take in everything that ``other`` saw."""
        self.scalars |= other.scalars
        if other.fields is not None:
            if self.fields is None:
                self.fields = {}
            for name, shape in other.fields.items():
                self.fields.setdefault(name, Shape()).merge(shape)
        if other.element is not None:
            if self.element is None:
                self.element = Shape()
            self.element.merge(other.element)

    @property
    def type(self) -> str:
        """The Hive type that holds everything seen."""
        kinds = bool(self.scalars) + (self.fields is not None) + (self.element is not None)
        if kinds != 1:
            return "string"
        if self.element is not None:
            return f"array<{self.element.type}>"
        if self.fields is None:
            return _widest(self.scalars)
        if not self.fields:
            return "string"  # an empty struct cannot be declared in Hive
        inner = ",".join(
            f"{_UNSAFE_IN_TYPE.sub('_', name)}:{shape.type}" for name, shape in self.fields.items()
        )
        return f"struct<{inner}>"

    def ordered_like(self, other: "Shape") -> "Shape":
        """The same shape with its fields in the order of ``other``, new ones last, so that a crawl that saw
        the same attributes in another order changes nothing.
        """
        fields = None
        if self.fields is not None:
            known = other.fields or {}
            names = [name for name in known if name in self.fields]
            names += [name for name in self.fields if name not in known]
            fields = {name: self.fields[name].ordered_like(known.get(name, Shape())) for name in names}
        element = None if self.element is None else self.element.ordered_like(other.element or Shape())
        return Shape(set(self.scalars), fields, element)


def merged(shapes: Iterable[Shape]) -> Shape:
    """One shape that holds all of ``shapes``."""
    result = Shape()
    for shape in shapes:
        result.merge(shape)
    return result


def columns(shape: Shape) -> list[dict[str, str]]:
    """The catalog's columns for records of ``shape``."""
    result = []
    for name, inner in (shape.fields or {}).items():
        text = inner.type
        result.append({"Name": name, "Type": text if len(text) <= MAX_TYPE_LENGTH else "string"})
    return result


def from_columns(catalog_columns: Iterable[Mapping[str, str]]) -> Shape:
    """The shape that a table's columns declare."""
    return Shape(fields={column["Name"]: parse(column.get("Type", "string")) for column in catalog_columns})


def similarity(left: Shape, right: Shape) -> float:
    """The share of columns, of the schema that has more, that both have with types of one kind (0 to 1)."""
    ours, theirs = left.fields or {}, right.fields or {}
    larger = max(len(ours), len(theirs))
    if larger == 0:
        return 1.0
    return sum(name in theirs and _agree(shape, theirs[name]) for name, shape in ours.items()) / larger


def parse(text: str) -> Shape:
    """The shape of a Hive type; maps, decimals and the like are leaves."""
    text = text.strip()
    if text.startswith("array<") and text.endswith(">"):
        return Shape(element=parse(text[len("array<") : -1]))
    if text.startswith("struct<") and text.endswith(">"):
        pairs = (part.partition(":") for part in _split(text[len("struct<") : -1]))
        return Shape(fields={name.strip(): parse(inner) for name, _, inner in pairs})
    return Shape(scalars={text})


_SCALARS: Final[dict[type, str]] = {str: "string", bool: "boolean", float: "double"}


def _integer(largest: int) -> str:
    if largest <= _INT_MAX:
        return "int"
    return "bigint" if largest <= _BIGINT_MAX else "double"


def _widest(scalars: set[str]) -> str:
    if len(scalars) == 1:
        return next(iter(scalars))
    if all(scalar in WIDENING for scalar in scalars):
        return max(scalars, key=WIDENING.index)
    return "string"


def _kind(shape: Shape) -> str:
    text = shape.type
    if text in WIDENING:
        return "number"
    return text.partition("<")[0].partition("(")[0]


def _agree(left: Shape, right: Shape) -> bool:
    nothing_seen = Shape()
    return left == nothing_seen or right == nothing_seen or _kind(left) == _kind(right)


def _split(text: str) -> list[str]:
    """The parts of a comma-separated list, commas inside brackets left alone."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "<(":
            depth += 1
        elif character in ">)":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part for part in parts if part]
