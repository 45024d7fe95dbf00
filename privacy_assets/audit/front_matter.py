"""The front matter of an audit file: YAML in the leading comment, so that the whole file stays valid SQL.

Which fields there are and what they may hold is decided here; what they mean is ``definition``'s.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from privacy_assets.audit.errors import AuditError

DEFAULT_TABLES = ("privacy_logs",)
REQUIRED = ("id", "title", "severity", "regulation", "threshold", "owner", "description")
OPTIONAL = ("tables",)

_FENCE = re.compile(r"--\s*---\s*")
_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_OWNER = re.compile(r"team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+")  # what Dagster takes as an owner
_TABLE = re.compile(r"[a-z_][a-z0-9_]*")


class Severity(StrEnum):
    """How bad a violation is, mildest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Fields:
    """The fields' raw values, each with its line; a method hands one out once it has been checked."""

    path: Path
    values: dict[str, tuple[Any, int]]

    def text(self, name: str) -> str:
        """A text that isn't blank."""
        value = self.values[name][0]
        if not isinstance(value, str) or not value.strip():
            raise self._refuse(name, "text")
        return value.strip()

    def id(self) -> str:
        """Lower-case words joined by dots."""
        value = self.values["id"][0]
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise self._refuse("id", "lower-case words joined by dots, such as consent.missing")
        return value

    def owner(self) -> str:
        """A team or an e-mail address."""
        value = self.values["owner"][0]
        if not isinstance(value, str) or not _OWNER.fullmatch(value):
            raise self._refuse("owner", "team:<name> or an e-mail address")
        return value

    def severity(self) -> Severity:
        """One of the severities."""
        value = self.values["severity"][0]
        if value not in list(Severity):
            raise self._refuse("severity", f"one of {', '.join(Severity)}")
        return Severity(value)

    def threshold(self) -> int:
        """The number of violations that is still accepted."""
        value = self.values["threshold"][0]
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._refuse("threshold", "a whole number of violations, 0 or more")
        return value

    def tables(self) -> tuple[str, ...]:
        """The tables the query reads, each once."""
        if "tables" not in self.values:
            return DEFAULT_TABLES
        value = self.values["tables"][0]
        if not isinstance(value, list) or not value:
            raise self._refuse("tables", "a list of table names, such as [privacy_logs]")
        if not all(isinstance(name, str) and _TABLE.fullmatch(name) for name in value):
            raise self._refuse("tables", "table names of lower-case letters, digits and underscores")
        return tuple(dict.fromkeys(value))

    def _refuse(self, name: str, expected: str) -> AuditError:
        value, line = self.values[name]
        return AuditError(self.path, line, f"field {name!r} is {value!r}; expected {expected}")


def read(path: Path, text: str) -> tuple[Fields, int]:
    """The fields of an audit file's text, and the number of the front matter's last line.

    Raises AuditError unless every required field is there, and none that is unknown or stands twice.
    """
    first, last = _fences(path, text.split("\n"))
    lines = text.split("\n")[first : last - 1]
    # Empty lines before it keep YAML's line numbers those of the file.
    document = "\n" * first + "\n".join(re.sub(r"^-- ?", "", line) for line in lines)
    values = _mapping(path, first, document)
    known = (*REQUIRED, *OPTIONAL)
    for name, (_, line) in values.items():
        if name not in known:
            raise AuditError(path, line, f"unknown field {name!r}; expected only {', '.join(known)}")
    for name in REQUIRED:
        if name not in values:
            raise AuditError(path, first, f"field {name!r} is missing; expected it in the front matter")
    return Fields(path, values), last


def _fences(path: Path, lines: list[str]) -> tuple[int, int]:
    """The numbers of the lines that open and close the front matter."""
    first = next((n for n, line in enumerate(lines, 1) if line.strip()), None)
    if first is None:
        raise AuditError(path, 1, "the file is empty; expected a front matter and a query")
    if not _FENCE.fullmatch(lines[first - 1]):
        raise AuditError(path, first, "no front matter; expected the file to begin with '-- ---'")
    for number, line in enumerate(lines[first:], first + 1):
        if _FENCE.fullmatch(line):
            return first, number
        if not line.startswith("--"):
            raise AuditError(path, number, "the front matter has no end; expected '-- ---' above this line")
    raise AuditError(path, first, "the front matter has no end; expected a second '-- ---'")


def _mapping(path: Path, first_line: int, document: str) -> dict[str, tuple[Any, int]]:
    """The YAML mapping's values, each with its key's line."""
    loader = yaml.SafeLoader(document)
    values: dict[str, tuple[Any, int]] = {}
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise AuditError(
                path, first_line, "the front matter has no fields; expected 'field: value' lines"
            )
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in values:
                raise AuditError(path, line, f"field {name!r} stands twice; expected it once")
            values[name] = (loader.construct_object(value, deep=True), line)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else first_line
        what = f"the front matter is no YAML: {error.problem}"
        raise AuditError(path, line, f"{what}; expected 'field: value' lines") from None
    except yaml.YAMLError:
        what = "the front matter is no YAML"
        raise AuditError(path, first_line, f"{what}; expected 'field: value' lines") from None
    finally:
        loader.dispose()
    return values
