"""What the survey of a typed snapshot found, and what may be told of it."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from privacy_assets.masking import mask

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.:-]{0,62}$")
_FIELD = re.compile(r"(?<=[<,])[^<>,:]+(?=:)")
_SHOWN = 50


@dataclass
class Survey:
    """Counts of a day's snapshot; ``misfits`` and ``undeclared`` count rows by the attribute's name."""

    rows: int = 0
    missing_keys: int = 0
    repeated_keys: int = 0
    misfits: dict[str, int] = field(default_factory=dict)
    undeclared: dict[str, int] = field(default_factory=dict)

    @property
    def misfit_values(self) -> int:
        """How many values did not fit their column."""
        return sum(self.misfits.values())


def parameters(survey: Survey, column_name: Callable[[str], str]) -> dict[str, str]:
    """The survey as it is kept with the snapshot's partition: misfits by column, undeclared attributes."""
    misfits = {column_name(attribute): number for attribute, number in sorted(survey.misfits.items())}
    return {"misfits": json.dumps(misfits), "undeclared": json.dumps(shown_counts(survey.undeclared))}


def kept_counts(parameters: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]] | None:
    """Misfits by column and rows by undeclared attribute; None when no survey is kept with the partition."""
    if "misfits" not in parameters or "undeclared" not in parameters:
        return None
    return json.loads(parameters["misfits"]), json.loads(parameters["undeclared"])


def read_survey(rows: Iterable[Mapping[str, object]]) -> Survey:
    """The answer of the survey's query: rows of ``what``, ``name`` and ``number``."""
    survey = Survey()
    for row in rows:
        name, number = str(row["name"]), int(str(row["number"]))
        match row["what"]:
            case "rows":
                survey.rows = number
            case "missing key":
                survey.missing_keys = number
            case "repeated key":
                survey.repeated_keys = number
            case "misfit":
                survey.misfits[name] = number
            case "undeclared":
                survey.undeclared[name] = number
            case what:
                raise ValueError(f"survey: {what!r}, expected a row that the query makes")
    return survey


def shown_name(name: str) -> str:
    """An attribute's name, masked when it looks like a value.

    Attribute names are a table's own words, but nothing stops a writer from using an e-mail address as one.
    """
    return name if _NAME.match(name) else mask(name)


def shown_type(kind: str) -> str:
    """A Hive type such as ``struct<a:string>``, its fields' names as ``shown_name`` has them."""
    return _FIELD.sub(lambda match: shown_name(match.group()), kind)


def shown_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by attribute, the largest first and at most 50, names as ``shown_name`` has them."""
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    shown: dict[str, int] = {}
    for name, number in largest:
        label = shown_name(name)
        shown[label] = shown.get(label, 0) + number
    return shown
