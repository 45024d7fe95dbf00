"""The one shape that all detectors have.

A detector is data: where to look (``anchor``), what must stand there (``pattern``), which rule a value obeys
(``valid``), which words around it raise the confidence, how it is shown. The engine does the work; it costs
what the anchors cost, because patterns and rules see only the few bytes around an anchor's hit.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

MAX_VALUE = 4096
"""Bytes of the longest value. A longer one is not found, or only its beginning where the pattern allows
it.
"""

Digits: TypeAlias = NDArray[np.uint8]
"""One candidate a row, one digit (0 to 9) a column; runs shorter than others have zeros before them."""
Mask: TypeAlias = NDArray[np.bool_]

NOT_INSIDE = r"(?:(?<![A-Za-z0-9])|(?<=%[2-57][0-9A-F])|(?<=\\[nrt]))"
"""For ``pattern``: here no longer word goes on, unless it ends with an escape of a URL or of a string."""


class Severity(StrEnum):
    """What a leak of the value would mean. The words are stored; don't change them."""

    CRITICAL = "critical"
    """Opens something by itself: a secret."""
    HIGH = "high"
    """Identifies a person before the state or a bank."""
    MEDIUM = "medium"
    """Reaches a person."""
    LOW = "low"
    """Points to a person or a machine only together with other data."""


class Confidence(IntEnum):
    """How sure it is that the value is what the detector says. The numbers are stored; don't change them."""

    LOW = 1
    """It obeys the rule, but so do many other values; or it is published as an example."""
    MEDIUM = 2
    """It obeys a rule that few other values obey, or has the unmistakable format, but nothing around says
    so.
    """
    HIGH = 3
    """Its issuer's prefix or a checksum and a word around it say so."""


@dataclass(frozen=True)
class Literals:
    """Hits are the places of any of ``words``; the pattern is looked for in the bytes around each."""

    words: tuple[bytes, ...]
    before: int = 0
    """How many bytes before the word the match may start. 0: it starts with the word."""
    lead: bytes = b""
    """The only bytes that may stand before the word in a match, where it is known: they are found sooner."""
    after: int = MAX_VALUE
    """How many bytes after the word's start are looked at, where ``before`` isn't 0."""
    ignore_case: bool = False
    around: bool = False
    """Whether the match may stand beside the word; otherwise it includes the word's first byte."""
    needs: re.Pattern[bytes] | None = None
    """What must stand in the bytes around the word, where ``before`` isn't 0: cheaper than the pattern."""
    within: int = MAX_VALUE
    """How many bytes a match beside the word may be away from the word's first byte."""


@dataclass(frozen=True)
class Numbers:
    """Hits are the first digits of consecutive runs of digits, as long as ``groups`` says, with gaps
    between.
    """

    groups: tuple[tuple[int, int], ...]
    """The least and the most digits of each run, at most 40."""
    separators: bytes = b""
    """What a gap may start with."""
    gap: int = 1
    """The most bytes of a gap."""
    leading: frozenset[int] = frozenset()
    """The first two digits, of which the first run has at least two; empty: any."""
    plausible: Callable[[Digits], Mask] | None = None
    """Refuses many at once, where it would be too many to look at one by one. What passes is still judged."""
    preceded: tuple[re.Pattern[bytes], ...] = ()
    """The bytes that must stand before the first digit, the nearest first; cheaper than the pattern."""
    before: int = 0
    """How many bytes before the first digit the match may start."""
    after: int = 64
    """How many bytes after the first digit are looked at, where ``before`` isn't 0."""


@dataclass(frozen=True)
class Colons:
    """Hits are ``::`` and the first of six colons that are at most five bytes apart: IPv6 addresses."""

    before: int = 40
    lead: bytes = b"0123456789abcdefABCDEF:"
    after: int = 64


@dataclass(frozen=True)
class Anywhere:
    """No hits: the pattern is tried at every byte. Slow; only for patterns that have nothing to hold on
    to.
    """

    column: tuple[str, ...] = ()
    """Where there are words: only in columns with one of them in their names, which costs other texts
    nothing.
    """


Anchor: TypeAlias = Literals | Numbers | Colons | Anywhere


@dataclass(frozen=True)
class Form:
    """One way in which a value is written."""

    anchor: Anchor
    pattern: re.Pattern[bytes]
    """The value is the group ``value`` where there is one, else the whole match."""
    alone: Confidence | None = Confidence.MEDIUM
    """The confidence where no word around supports it; None: then it is no finding."""
    supported: Confidence = Confidence.HIGH
    """The confidence where a word around supports it."""
    not_after: re.Pattern[bytes] | None = None
    """What must not end just before the value, in the 80 bytes there."""


def _always(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Detector:
    """What one kind of sensitive value looks like."""

    name: str
    version: int
    """Raised whenever the same bytes may give other findings; they are then scanned again, for it alone."""
    title: str
    severity: Severity
    forms: tuple[Form, ...]
    mask: Callable[[str], str]
    valid: Callable[[str], bool] = _always
    """Whether the value obeys its issuer's rule. Must not raise."""
    doubtful: Callable[[str], bool] = _never
    """Whether it obeys the rule, but nobody is known to have got it: no finding without a word."""
    sample: Callable[[str], bool] = _never
    """Whether the value is published for documentation or tests: still a finding, but of low confidence."""
    words: tuple[str, ...] = ()
    """Words that support a value. ``social security`` also means ``socialSecurity``, ``Social-Security``."""
    unless: tuple[str, ...] = ()
    """Words that say that the value is something else. They count only where none of ``words`` does, and
    only as the value's own label, ``order: 4…``, or as the word before plain digits, ``order no. 4…``."""
    distance: int = 60
    """How many bytes before the value a word may stand."""
    generic: bool = False
    """Gives way to any other detector of the same confidence: it knows the place, not the value."""
    examples: tuple[str, ...] = ()
    """Texts with one value each, between ``⟦`` and ``⟧``."""
    decoys: tuple[str, ...] = ()
    """Texts without any."""


def pattern(text: str, *, ignore_case: bool = False) -> re.Pattern[bytes]:
    """``text`` compiled for bytes. White space in it is ignored, so that it can be laid out; write ``[
    ]``.
    """
    return re.compile(text.encode(), re.VERBOSE | (re.IGNORECASE if ignore_case else 0))


def groups(*lengths: int | tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """``Numbers.groups`` from fixed lengths and (least, most) pairs."""
    return tuple((length, length) if isinstance(length, int) else length for length in lengths)


def digits_of(value: str) -> str:
    """The digits of ``value``.

    >>> digits_of("536-90-4399")
    '536904399'
    """
    return value.encode().translate(None, _NO_DIGITS).decode()


_NO_DIGITS = bytes(number for number in range(256) if not 48 <= number < 58)


def listed(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())
