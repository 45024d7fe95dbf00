"""Trino's types: parsed from SQL and from Hive's type strings, and what each is in DuckDB and in Hive.

Three types are held in DuckDB as something simpler, which the static type makes safe: a timestamp with
time zone
is its UTC timestamp, an interval day to second its milliseconds, an interval year to month its months.
"""

import re
from dataclasses import dataclass, field, replace

TIMESTAMP_TZ = "timestamp with time zone"
DAY_SECOND = "interval day to second"
YEAR_MONTH = "interval year to month"


@dataclass(frozen=True)
class Type:
    """A Trino type. ``params`` are numbers (length, precision, scale), ``items`` the types inside.

    ``zone`` is the time zone that a timestamp with time zone is shown in, where the query names it.
    """

    base: str
    params: tuple[int, ...] = ()
    items: tuple["Type", ...] = ()
    names: tuple[str | None, ...] = ()
    zone: str = field(default="UTC", compare=False)

    def __str__(self) -> str:
        if self.base == "row":
            parts = (f"{n} {t}" if n else str(t) for n, t in zip(self.names, self.items, strict=True))
            return f"row({', '.join(parts)})"
        if self.items:
            return f"{self.base}({', '.join(map(str, self.items))})"
        if self.base == TIMESTAMP_TZ:
            return f"timestamp({self.precision}) with time zone"
        if self.params:
            return f"{self.base}({','.join(map(str, self.params))})"
        return self.base

    @property
    def precision(self) -> int:
        """The first parameter; timestamps have 3 digits of a second unless they say otherwise."""
        return self.params[0] if self.params else 3

    @property
    def scale(self) -> int:
        return self.params[1] if len(self.params) > 1 else 0

    @property
    def element(self) -> "Type":
        return self.items[0]

    @property
    def is_integer(self) -> bool:
        return self.base in INTEGERS

    @property
    def is_float(self) -> bool:
        return self.base in ("real", "double")

    @property
    def is_numeric(self) -> bool:
        return self.is_integer or self.is_float or self.base == "decimal"

    @property
    def is_text(self) -> bool:
        return self.base in ("varchar", "char")

    @property
    def is_timestamp(self) -> bool:
        return self.base in ("timestamp", TIMESTAMP_TZ)


INTEGERS = ("tinyint", "smallint", "integer", "bigint")
DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}

UNKNOWN, BOOLEAN, INTEGER, BIGINT = Type("unknown"), Type("boolean"), Type("integer"), Type("bigint")
REAL, DOUBLE, VARCHAR, VARBINARY = Type("real"), Type("double"), Type("varchar"), Type("varbinary")
DATE, TIME, TIMESTAMP, JSON = Type("date"), Type("time", (3,)), Type("timestamp", (3,)), Type("json")
TIMESTAMPTZ = Type(TIMESTAMP_TZ, (3,))
INTERVAL_DAY, INTERVAL_MONTH = Type(DAY_SECOND), Type(YEAR_MONTH)


def array(element: Type) -> Type:
    return Type("array", items=(element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", items=(key, value))


def row(names: tuple[str | None, ...], items: tuple[Type, ...]) -> Type:
    return Type("row", items=items, names=names)


def decimal(precision: int, scale: int) -> Type:
    return Type("decimal", (precision, scale))


def varchar(length: int) -> Type:
    return Type("varchar", (length,))


def field_name(kind: Type, position: int) -> str:
    """The name a row's field has in DuckDB and is printed with; an unnamed one is ``field<position>``."""
    return kind.names[position] or f"field{position}"


# -- common types ----------------------------------------------------------------------------------


def as_decimal(kind: Type) -> Type:
    """The decimal that holds every value of an integer type."""
    return kind if kind.base == "decimal" else decimal(DIGITS[kind.base], 0)


def common(left: Type, right: Type) -> Type | None:  # a table of cases
    """The type both convert to without being told; None when there is none."""
    if left == right or right.base == "unknown":
        return left
    if left.base == "unknown":
        return right
    if left.is_numeric and right.is_numeric:
        return _common_number(left, right)
    if left.is_text and right.is_text:
        if left.base == right.base == "varchar" and left.params and right.params:
            return varchar(max(left.params[0], right.params[0]))
        return VARCHAR
    times = ("date", "timestamp", TIMESTAMP_TZ)
    if left.base in times and right.base in times:
        later = max(left, right, key=lambda kind: times.index(kind.base))
        if later.base == "date":
            return later
        digits = max(k.precision for k in (left, right) if k.base != "date")
        zone = left.zone if left.base == TIMESTAMP_TZ else right.zone
        return replace(later, params=(digits,), zone=zone)
    if left.base == right.base and left.items and len(left.items) == len(right.items):
        items = tuple(common(a, b) for a, b in zip(left.items, right.items, strict=True))
        if any(item is None for item in items):
            return None
        names = tuple(a if a == b else None for a, b in zip(left.names, right.names, strict=True))
        return replace(left, items=tuple(i for i in items if i), names=names)
    if left.base == right.base == "time":
        return replace(left, params=(max(left.precision, right.precision),))
    return None


def _common_number(left: Type, right: Type) -> Type:
    if left.is_integer and right.is_integer:
        return max(left, right, key=lambda kind: INTEGERS.index(kind.base))
    if "double" in (left.base, right.base):
        return DOUBLE
    if "real" in (left.base, right.base):
        return REAL
    a, b = as_decimal(left), as_decimal(right)
    scale = max(a.scale, b.scale)
    whole = max(a.precision - a.scale, b.precision - b.scale)
    return decimal(min(38, whole + scale), scale)


def converts(source: Type, target: Type) -> bool:
    """Whether a value of ``source`` is taken where ``target`` is wanted."""
    if source == target:
        return True
    if source.base in ("varchar", "char") and target == VARCHAR:
        return True
    if source.is_integer and target.base == "decimal":
        return as_decimal(source).precision <= target.precision - target.scale
    shared = common(source, target)
    return shared is not None and (shared == target or shared.base == target.base != "decimal")


# -- what a type is elsewhere ----------------------------------------------------------------------

_DUCK = {
    "unknown": "INTEGER", "boolean": "BOOLEAN", "tinyint": "TINYINT", "smallint": "SMALLINT",
    "integer": "INTEGER", "bigint": "BIGINT", "real": "FLOAT", "double": "DOUBLE", "varchar": "VARCHAR",
    "char": "VARCHAR", "varbinary": "BLOB", "json": "JSON", "date": "DATE", "time": "TIME",
    "timestamp": "TIMESTAMP", TIMESTAMP_TZ: "TIMESTAMP", DAY_SECOND: "BIGINT", YEAR_MONTH: "BIGINT",
    "uuid": "UUID",
}  # fmt: skip


def duck(kind: Type) -> str:
    """DuckDB's name of the type that holds it."""
    if kind.base == "decimal":
        return f"DECIMAL({kind.precision},{kind.scale})"
    if kind.base == "array":
        return f"{duck(kind.element)}[]"
    if kind.base == "map":
        return f"MAP({duck(kind.items[0])}, {duck(kind.items[1])})"
    if kind.base == "row":
        fields = (f"{quote(field_name(kind, i))} {duck(item)}" for i, item in enumerate(kind.items))
        return f"STRUCT({', '.join(fields)})"
    return _DUCK[kind.base]


def quote(identifier: str) -> str:
    """An identifier of DuckDB's SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string literal of DuckDB's SQL."""
    return "'" + text.replace("'", "''") + "'"


_HIVE = {
    "varchar": "string",
    "integer": "int",
    "varbinary": "binary",
    "real": "float",
    "timestamp": "timestamp",
}


def hive(kind: Type) -> str:
    """Glue's and Hive's name of the type. Raises KeyError for one that Hive does not have."""
    if kind.base == "decimal":
        return f"decimal({kind.precision},{kind.scale})"
    if kind.base == "array":
        return f"array<{hive(kind.element)}>"
    if kind.base == "map":
        return f"map<{hive(kind.items[0])},{hive(kind.items[1])}>"
    if kind.base == "row":
        return f"struct<{','.join(f'{field_name(kind, i)}:{hive(t)}' for i, t in enumerate(kind.items))}>"
    if kind.base in (TIMESTAMP_TZ, DAY_SECOND, YEAR_MONTH, "json", "time", "unknown", "uuid"):
        raise KeyError(kind.base)
    return _HIVE.get(kind.base, kind.base)


# -- parsing ---------------------------------------------------------------------------------------

_NAMES = {
    "int": INTEGER, "integer": INTEGER, "bigint": BIGINT, "long": BIGINT, "tinyint": Type("tinyint"),
    "smallint": Type("smallint"), "boolean": BOOLEAN, "float": REAL, "real": REAL, "double": DOUBLE,
    "string": VARCHAR, "varchar": VARCHAR, "char": Type("char", (1,)), "binary": VARBINARY,
    "varbinary": VARBINARY, "date": DATE, "timestamp": TIMESTAMP, "time": TIME, "json": JSON,
    "decimal": decimal(38, 0), "uuid": Type("uuid"), "unknown": UNKNOWN,
}  # fmt: skip
_TOKEN = re.compile(r'\s*("[^"]*"|`[^`]*`|[\w$ -]+?(?=\s*[<>(),:]|\s*$)|[<>(),:])')


class TypeReader:
    """Reads ``struct<a:int,b:array<string>>`` and ``row(a integer, b array(varchar))``. Raises ValueError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def read(self) -> Type:
        kind = self._type()
        if self._text[self._position :].strip():
            raise ValueError(f"type expected, found {self._text!r}")
        return kind

    def _peek(self) -> str:
        match = _TOKEN.match(self._text, self._position)
        return match.group(1).strip() if match else ""

    def _next(self) -> str:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise ValueError(f"type expected, found {self._text!r}")
        self._position = match.end()
        return match.group(1).strip()

    def _expect(self, *wanted: str) -> str:
        found = self._next()
        if found not in wanted:
            raise ValueError(f"{' or '.join(wanted)} expected in type {self._text!r}, found {found!r}")
        return found

    def _type(self) -> Type:
        name = self._next().lower()
        if name in ("array", "map", "struct", "row", "uniontype"):
            return self._nested(name)
        with_zone = name.endswith("with time zone")
        name = name.removesuffix("with time zone").strip()
        params = self._numbers() if self._peek() == "(" else ()
        if self._peek().lower() == "with time zone":
            self._next()
            with_zone = True
        if name == "double precision":
            name = "double"
        if name not in _NAMES:
            raise ValueError(f"unknown type {name!r}")
        kind = _NAMES[name]
        if with_zone:
            return Type(TIMESTAMP_TZ, params or (3,))
        if kind.base == "decimal" and params:
            return decimal(params[0], params[1] if len(params) > 1 else 0)
        return replace(kind, params=params) if params else kind

    def _numbers(self) -> tuple[int, ...]:
        self._expect("(")
        numbers = [int(self._next())]
        while self._expect(",", ")") == ",":
            numbers.append(int(self._next()))
        return tuple(numbers)

    def _nested(self, name: str) -> Type:
        self._expect("<", "(")
        names: list[str | None] = []
        items: list[Type] = []
        while True:
            label, item = self._field() if name in ("struct", "row") else (None, self._type())
            names.append(label)
            items.append(item)
            if self._expect(",", ">", ")") != ",":
                break
        if name in ("struct", "row"):
            return row(tuple(names), tuple(items))
        return Type(name, items=tuple(items))

    def _field(self) -> tuple[str | None, Type]:
        start = self._position
        first = self._next()
        if self._peek() == ":":
            self._next()
            return first.strip('"`').lower(), self._type()
        # Trino's form: `name type`, or a bare type
        self._position = start
        match = re.match(r'\s*("[^"]*"|\w+)\s+(?=\w)', self._text[start:])
        if match and not (match.group(1) + " ").lower().startswith(("timestamp ", "double ", "time ")):
            self._position = start + match.end()
            return match.group(1).strip('"').lower(), self._type()
        return None, self._type()


def parse(text: str) -> Type:
    """The type that a Hive or Trino type string names. Raises ValueError."""
    return TypeReader(text).read()
