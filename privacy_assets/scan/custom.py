"""Detectors and allow lists of the house, from a YAML file: what to look for besides, and what is known and
accepted.

    detectors:
      - name: employee_id
        title: Employee number
        pattern: 'EMP-[0-9]{6}'
        keywords: [employee, staff]     # optional: then one of them must stand near
        distance: 80                    # bytes
        validator: luhn                 # optional: one of VALIDATORS
        severity: high
        examples: ['EMP-104417']
    allow:
      - pattern: '.*@example\\.com'
        detectors: [email]              # all if missing
        reason: reserved domain, nobody's mailbox
        expires: 2027-01-31             # optional: from the day after it counts no more
      - path: '*/fixtures/*'
        reason: test data, made up

A value, pattern and path of one entry must all fit; a pattern must fit the whole value.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from stdnum import luhn, verhoeff
from stdnum.iso7064 import mod_11_10, mod_37_36, mod_97_10

from privacy_assets import yaml_model
from privacy_assets.errors import UserError
from privacy_assets.scan.detectors import ALL, Confidence, Detector, Severity
from privacy_assets.scan.detectors.masks import ends
from privacy_assets.scan.detectors.shape import Anywhere, Form, Literals
from privacy_assets.scan.engine.scanner import MAX_DISTANCE, Scanner
from privacy_assets.scan.text import Place
from privacy_assets.yaml_model import line_of

VALIDATORS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "luhn": luhn.is_valid,
        "verhoeff": verhoeff.is_valid,
        "mod_11_10": mod_11_10.is_valid,
        "mod_37_36": mod_37_36.is_valid,
        "mod_97_10": mod_97_10.is_valid,
        **{name: detector.valid for name, detector in ALL.items()},
    }
)
"""Checksums by name (``stdnum``; letters and digits of the value alone), and the rules of the detectors."""
_CHECKSUMS = frozenset({"luhn", "verhoeff", "mod_11_10", "mod_37_36", "mod_97_10"})


class CustomError(UserError):
    """The file can't be used. Each problem is a line: file, line, path, what, what was expected."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _expression(text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(text.encode())
    except (re.error, FutureWarning, DeprecationWarning) as error:
        raise ValueError(f"{text!r}: {error}, expected a regular expression of Python's re") from None
    if compiled.match(b""):
        raise ValueError(
            f"{text!r} fits nothing at all, expected a regular expression that needs a character"
        )
    return text


class CustomDetector(_Model):
    """One entry of ``detectors``."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    title: Annotated[str, Field(min_length=1)]
    pattern: Annotated[str, Field(min_length=1, max_length=2000)]
    """Python's ``re`` on UTF-8 bytes; the value is the group ``value`` where there is one."""
    keywords: tuple[Annotated[str, Field(min_length=2, max_length=100)], ...] = ()
    distance: Annotated[int, Field(ge=1, le=MAX_DISTANCE)] = 60
    validator: str | None = None
    severity: Severity = Severity.MEDIUM
    examples: tuple[str, ...] = ()
    """Texts in which it must find something; they are tried when the file is read."""

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, text: str) -> str:
        return _expression(text)

    @field_validator("validator")
    @classmethod
    def _validator(cls, name: str | None) -> str | None:
        if name is not None and name not in VALIDATORS:
            raise ValueError(f"{name!r}, expected one of {', '.join(sorted(VALIDATORS))}")
        return name

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if name in ALL:
            raise ValueError(f"{name!r} is there already, expected another name")
        return name

    @property
    def _version(self) -> int:
        """Another one whenever it may find something else, so that nobody need remember to raise it."""
        rule = self.model_dump_json(exclude={"title", "severity", "examples"})
        return 1 + int(sha256(rule.encode()).hexdigest()[:7], 16)

    def detector(self) -> Detector:
        """What the scanner takes."""
        form = Form(Anywhere(), re.compile(self.pattern.encode()))
        if self.keywords:
            words = tuple(word.encode() for word in self.keywords)
            near = Literals(
                words,
                before=self.distance + 256,
                after=self.distance + 512,
                ignore_case=True,
                around=True,
                within=self.distance,
            )
            form = Form(near, form.pattern, alone=Confidence.HIGH)
        return Detector(
            name=self.name,
            version=self._version,
            title=self.title,
            severity=self.severity,
            forms=(form,),
            mask=ends,
            valid=partial(_obeys, self.validator) if self.validator else _always,
            generic=True,
            examples=self.examples,
        )


def _obeys(validator: str, value: str) -> bool:
    if validator in _CHECKSUMS:
        value = "".join(character for character in value if character.isalnum())
    try:
        return VALIDATORS[validator](value)
    except (ValueError, IndexError):  # the rule was made for values of another form
        return False


def _always(_: str) -> bool:
    return True


class Allowed(_Model):
    """One entry of ``allow``: a value that may stand where it does."""

    value: str | None = None
    pattern: str | None = None
    path: str | None = None
    """A shell pattern of the object's path, or of ``path/member`` inside containers; ``*`` fits ``/`` too."""
    detectors: tuple[str, ...] = ()
    reason: Annotated[str, Field(min_length=3)]
    expires: date | None = None

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, text: str | None) -> str | None:
        return text if text is None else _expression(text)

    @model_validator(mode="after")
    def _something(self) -> "Allowed":
        if self.value is None and self.pattern is None and self.path is None:
            raise ValueError("allows everything, expected value, pattern or path")
        return self

    @cached_property
    def _compiled(self) -> re.Pattern[str] | None:
        return re.compile(self.pattern) if self.pattern is not None else None

    def fits(self, detector: str, value: str, path: str, member: str) -> bool:
        """Whether it is about this value."""
        return (
            (not self.detectors or detector in self.detectors)
            and (self.value is None or self.value == value)
            and (self._compiled is None or self._compiled.fullmatch(value) is not None)
            and (
                self.path is None
                or fnmatchcase(path, self.path)
                or (member != "" and fnmatchcase(f"{path}/{member}", self.path))
            )
        )


class _File(_Model):
    detectors: tuple[CustomDetector, ...] = ()
    allow: tuple[Allowed, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> "_File":
        names = [detector.name for detector in self.detectors]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"detectors: the name {name!r} is there twice, expected once")
        for index, entry in enumerate(self.allow):
            for name in entry.detectors:
                if name not in ALL and name not in names:
                    raise ValueError(f"allow.{index}.detectors: {name!r}, expected the name of a detector")
        return self


@dataclass(frozen=True)
class AllowList:
    """What is allowed on a day; fits ``engine.Scanner(allow=…)``."""

    entries: tuple[Allowed, ...]
    expired: tuple[Allowed, ...] = ()
    """Entries that count no more; a person should renew or remove them."""

    def reason(self, detector: str, value: str, path: str, member: str) -> str | None:
        """Why the value is accepted there; None where no entry in force says so."""
        return next(
            (entry.reason for entry in self.entries if entry.fits(detector, value, path, member)), None
        )

    @property
    def fingerprint(self) -> str:
        """Changes when the entries in force do: findings are then judged again."""
        entries = sorted(entry.model_dump_json() for entry in self.entries)
        return sha256("\n".join(entries).encode()).hexdigest()[:16] if entries else ""


@dataclass(frozen=True)
class Custom:
    """What a file says."""

    detectors: tuple[Detector, ...]
    allow: AllowList


def load_custom(path: Path, today: date | None = None) -> Custom:
    """Read ``path``; allow entries that expired before ``today`` (now, in UTC, if None) are set aside.

    Raises CustomError with every mistake found, one line each.
    """
    try:
        read, root = yaml_model.read(path, _File, "a YAML file with 'detectors:' and 'allow:'")
    except yaml_model.ProblemsError as problems:
        raise CustomError(problems.lines) from None
    detectors = tuple(entry.detector() for entry in read.detectors)
    if unfound := [
        f"{path}:{line_of(root, ('detectors', index, 'examples'))}: detectors.{index}.examples: "
        f"nothing found in {example!r}, expected a value"
        for index, detector in enumerate(detectors)
        for example in detector.examples
        if not _finds(detector, example)
    ]:
        raise CustomError(unfound)
    day = today or datetime.now(UTC).date()
    current = tuple(entry for entry in read.allow if entry.expires is None or entry.expires >= day)
    expired = tuple(entry for entry in read.allow if entry not in current)
    return Custom(detectors, AllowList(current, expired))


def _finds(detector: Detector, text: str) -> bool:
    return any(True for _ in Scanner([detector]).scan([_Example(text.encode())]))


@dataclass(frozen=True)
class _Example:
    """A text of one segment."""

    data: bytes
    member: str = ""
    continues: bool = False

    def place(self, start: int, end: int) -> Place:  # noqa: ARG002  # the protocol's shape
        return Place(start)
