"""From text to findings: one pass over windows of a MiB, and a close look at the few places that may hold a
value.

A window is searched for literals (``literals``) and runs of digits (``numbers``). At each hit the detector's
pattern is tried on a few bytes, its rule on the value, its words on what stands around. What is found
depends on the text alone, never on how it was cut: a window keeps the end of the one before, and takes only
values that start early enough to be seen whole.

**Of values that overlap, one is found**: the one of higher confidence; of equal ones that of the detector
that knows its value and not only its place (``generic``); then the longer; then the more severe; then by
name. All ``detectors`` compete, even where ``only`` some are asked for, so a scan for one detector finds
exactly what a scan for all finds of it.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, Protocol

import numpy as np

from privacy_assets.masking import DOTS
from privacy_assets.scan.detectors import ALL, Confidence, Detector, Severity
from privacy_assets.scan.detectors.shape import MAX_VALUE, Anywhere, Colons, Form, Literals, Numbers
from privacy_assets.scan.engine.findings import Finding
from privacy_assets.scan.engine.literals import Literal, matcher
from privacy_assets.scan.engine.numbers import Runs, colons
from privacy_assets.scan.engine.surroundings import (
    Header,
    Words,
    called_before,
    label,
    line_before,
    shown,
    sixty_after,
    sixty_before,
    tells,
)
from privacy_assets.scan.text import Segment, Unread

WINDOW = 1 << 20
"""Bytes searched at once: the arrays of a window fit the processor's cache."""
MAX_DISTANCE = 1024
"""The most bytes between a value and a word that supports it."""
_SEEN_WHOLE = MAX_VALUE + MAX_DISTANCE
"""A value that starts so many bytes before a window's end is seen whole, with what stands around it."""
_AHEAD = 2 * _SEEN_WHOLE
"""A value is taken where all that may overlap it or stand in its context is seen whole, too."""
_BEHIND = _SEEN_WHOLE
"""Bytes kept before the first value to take."""
_MANY = 500
"""From so many hits on, it is sooner to look for the words first."""
_SLACK = 128
"""More bytes than stand between a hit and the farthest word after its value, or its value's start."""
_DOTS = DOTS.encode()
_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Allowing(Protocol):
    """What is known and accepted."""

    def reason(self, detector: str, value: str, path: str, member: str) -> str | None:
        """Why this value of this detector is, at this path; None: it is not."""


class Scanner:
    """Finds what ``detectors`` describe. Make one for each process or thread; it may be pickled."""

    def __init__(
        self,
        detectors: Iterable[Detector] = tuple(ALL.values()),
        *,
        only: Collection[str] | None = None,
        allow: Allowing | None = None,
        native: bool | None = None,
        window: int = WINDOW,
    ) -> None:
        """``only``: the names of those to report, all if None. ``allow``: what is known and accepted.
        ``native``: False for the engine without Hyperscan, True to insist on it. ``window``: bytes searched
        at once.

        Raises ValueError for two detectors of one name and for unknown names in ``only``; ImportError for
        ``native`` True where Hyperscan is missing.
        """
        self.detectors = tuple(detectors)
        self.window = window
        self.allow = allow
        self._arguments = (self.detectors, only, allow, native, window)
        names = [detector.name for detector in self.detectors]
        if len(set(names)) < len(names):
            raise ValueError(f"detectors: {', '.join(sorted(names))}, expected each name once")
        if unknown := set(only or ()) - set(names):
            raise ValueError(f"only: {', '.join(sorted(unknown))}, expected some of {', '.join(names)}")
        self._reported = [only is None or name in only for name in names]
        self._words = [(Words(detector.words), Words(detector.unless)) for detector in self.detectors]
        self._uses = [
            _Use.of(number, form) for number, detector in enumerate(self.detectors) for form in detector.forms
        ]
        by_literal: dict[Literal, list[int]] = defaultdict(list)
        for number, use in enumerate(self._uses):
            if isinstance(use.form.anchor, Literals):
                for word in use.form.anchor.words:
                    by_literal[Literal(word, use.form.anchor.ignore_case)].append(number)
        self._literals = [(len(literal.text), uses) for literal, uses in by_literal.items()]
        self._matcher = matcher(list(by_literal), native=native)
        # The words of the detectors that have a form which is nothing without one.
        needing = {use.detector for use in self._uses if use.form.alone is None}
        by_word: dict[Literal, list[int]] = defaultdict(list)
        for number in sorted(needing):
            for word in Words.literals(self.detectors[number].words):
                by_word[Literal(word, ignore_case=True)].append(number)
        self._word_owners = list(by_word.values())
        self._word_matcher = matcher(list(by_word), native=native)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, self._arguments

    def narrowed(self, only: Collection[str]) -> "Scanner":
        """The same, reporting ``only`` these detectors. Raises ValueError for unknown names."""
        detectors, _, allow, native, window = self._arguments
        return Scanner(detectors, only=only, allow=allow, native=native, window=window)

    def scan(self, segments: Iterable[Segment | Unread], path: str = "") -> Iterator[Finding | Unread]:
        """The findings of each text in the order in which they stand, and what could not be read as it comes.

        ``path`` is the object's, for allow lists. Needs memory for a window or the largest segment.
        """
        text: _Text | None = None
        for segment in segments:
            if isinstance(segment, Unread):
                yield segment
                continue
            if text is None or not segment.continues:
                if text is not None:
                    yield from text.end()
                text = _Text(self, path)
            yield from text.add(segment)
        if text is not None:
            yield from text.end()

    def values(
        self,
        window: bytes,
        base: int,
        first: int,
        last: int,
        header: Header | None,
        resume: dict[int, int],
        taken: int,
    ) -> list["_Value"]:
        """The values that start in ``window[first:last]``, overlapping ones too; they count ``base`` bytes
        more. Those before ``taken`` won't be asked for again; ``resume`` says from where on a form
        without an anchor is tried next.
        """
        found: dict[tuple[int, int, int], Confidence] = {}
        judged: dict[tuple[int, int, int], tuple[bool | None, str]] = {}
        near: _Near | None = None
        for number, hits in self._hits(window):
            use = self._uses[number]
            if isinstance(use.form.anchor, Anywhere):
                if use.column and not (header and header.mentions(use.column)):
                    continue
                found_spans = use.anywhere(window, max(first, resume.get(number, 0)), last)
                resume[number] = max((end for start, end in found_spans if start < taken), default=0)
                spans: Iterable[tuple[int, int]] = found_spans
                if use.column and header:
                    spans = [
                        span for span in found_spans if use.column.named(header.at(window, span[0]) or b"")
                    ]
            else:
                words = self._words[use.detector][0]
                if use.form.alone is None and len(hits) > _MANY and not (header and header.mentions(words)):
                    near = near or _Near(self._word_matcher.find(window), self._word_owners)
                    hits = near.those(hits, use.detector, self.detectors[use.detector].distance)
                spans = use.spans(window, hits)
            not_after = use.form.not_after
            for start, end in spans:
                if first <= start < last and 0 < end - start <= MAX_VALUE:
                    if not_after and not_after.search(window, max(0, start - 80), start):
                        continue
                    key = start, end, use.detector
                    judgement = judged.get(key)
                    if judgement is None:
                        text = window[start:end].decode("utf-8", "replace")
                        supported = self._supported(use.detector, text, window, start, end, header)
                        judgement = judged[key] = supported, text
                    supported = judgement[0]
                    confidence = use.form.supported if supported else use.form.alone
                    if supported is not None and confidence is not None and confidence > found.get(key, 0):
                        found[key] = confidence
        return [
            _Value(key[0] + base, key[1] + base, key[2], confidence, judged[key][1])
            for key, confidence in found.items()
        ]

    def _hits(self, window: bytes) -> Iterator[tuple[int, Sequence[int]]]:
        """Each use and where its anchor stands."""
        by_use: dict[int, list[int]] = defaultdict(list)
        for literal, end in self._matcher.find(window):
            length, uses = self._literals[literal]
            for number in uses:
                by_use[number].append(end - length)
        yield from by_use.items()
        runs: Runs | None = None
        for number, use in enumerate(self._uses):
            anchor = use.form.anchor
            if isinstance(anchor, Numbers):
                runs = runs or Runs(window)
                yield number, runs.matching(anchor)
            elif isinstance(anchor, Colons):
                yield number, colons(window)
            elif isinstance(anchor, Anywhere):
                yield number, ()

    def _supported(
        self, number: int, text: str, window: bytes, start: int, end: int, header: Header | None
    ) -> bool | None:
        """Whether a word supports ``text`` as a value of the detector with the number; None if it is none."""
        detector = self.detectors[number]
        if not detector.valid(text):
            return None
        supported = self._named(number, text, window, start, end, header)
        return None if supported is False and detector.doubtful(text) else supported

    def _named(
        self, number: int, text: str, window: bytes, start: int, end: int, header: Header | None
    ) -> bool | None:
        """Whether a word supports the value; None if one says that it is something else."""
        words, unless = self._words[number]
        if not (words or unless):
            return False
        detector = self.detectors[number]
        before = window[max(0, start - detector.distance) : start]
        named = label(before)
        if named is None and header is not None:
            named = tells(header.at(window, start))
        if named is not None:
            if unless.named(named):
                return words.among(unless.removed(named)) or None
            return words.named(named)
        called = called_before(before) if unless and text.isdigit() else None
        if called and unless.named(called) and not words.named(called):
            return None
        return words.before(line_before(before)) or (
            window[end : end + 2].lstrip().startswith(b"(") and words.among(window[end : end + 24])
        )

    def winners(self, values: Sequence["_Value"]) -> list["_Value"]:
        """Of values that overlap, the one that the module's rule names; in the order in which they stand."""
        kept: list[_Value] = []
        cluster: list[_Value] = []
        end = -1
        for value in sorted(values):
            if value.start >= end:
                kept += cluster if len(cluster) < 2 else self._best(cluster)
                cluster = []
            cluster.append(value)
            end = max(end, value.end)
        return kept + (cluster if len(cluster) < 2 else self._best(cluster))

    def _best(self, cluster: list["_Value"]) -> list["_Value"]:
        chosen: list[_Value] = []
        for value in sorted(cluster, key=self._specific):
            if all(value.end <= other.start or other.end <= value.start for other in chosen):
                chosen.append(value)
        return sorted(chosen)

    def _specific(self, value: "_Value") -> tuple[Any, ...]:
        detector = self.detectors[value.detector]
        return (
            -value.confidence,
            detector.generic,
            value.start - value.end,
            _RANK[detector.severity],
            detector.name,
            value.start,
        )

    def reports(self, value: "_Value") -> bool:
        """Whether it was asked for."""
        return self._reported[value.detector]


def _again(
    detectors: tuple[Detector, ...],
    only: Collection[str] | None,
    allow: Allowing | None,
    native: bool | None,
    window: int,
) -> Scanner:
    return Scanner(detectors, only=only, allow=allow, native=native, window=window)


class _Value(NamedTuple):
    """Bytes that obey a detector's rule."""

    start: int
    end: int
    detector: int
    confidence: Confidence
    text: str


class _Use(NamedTuple):
    """A form as the scanner uses it."""

    detector: int
    form: Form
    group: int
    before: int
    after: int
    around: bool
    lead: bytes
    needs: re.Pattern[bytes] | None
    within: int
    column: Words

    @classmethod
    def of(cls, detector: int, form: Form) -> "_Use":
        """``form`` of the detector with this number."""
        anchor = form.anchor
        around = isinstance(anchor, Literals) and anchor.around
        before, after = (0, 0) if isinstance(anchor, Anywhere) else (anchor.before, anchor.after)
        lead = anchor.lead if isinstance(anchor, Literals | Colons) else b""
        needs = anchor.needs if isinstance(anchor, Literals) else None
        within = anchor.within if isinstance(anchor, Literals) else 0
        column = Words(anchor.column if isinstance(anchor, Anywhere) else ())
        group = form.pattern.groupindex.get("value", 0)
        return cls(detector, form, group, before, after, around, lead, needs, within, column)

    def spans(self, window: bytes, hits: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Where values stand that belong to the hits."""
        pattern, group = self.form.pattern, self.group
        if not self.before and not self.around:
            matches = map(pattern.match, repeat(window), hits)
            yield from [match.span(group) for match in matches if match]
            return
        for hit in hits:
            low = max(0, hit - self.before)
            if self.lead:
                low += len(window[low:hit].rstrip(self.lead))
            high = min(len(window), hit + self.after)
            if self.needs and not self.needs.search(window, low, high):
                continue
            for match in pattern.finditer(window, low, high):
                if self.around:
                    if match.start() - hit <= self.within and hit - match.end() <= self.within:
                        yield match.span(group)
                elif match.end() > hit:
                    if match.start() <= hit:
                        yield match.span(group)
                    break

    def anywhere(self, window: bytes, first: int, last: int) -> list[tuple[int, int]]:
        """Where values stand from ``first`` on, one after the other."""
        spans = []
        for match in self.form.pattern.finditer(window, first):
            if match.start() >= last:
                break
            spans.append(match.span(self.group))
        return spans


class _Near:
    """Where the words stand that detectors need, to pass over numbers that have none near them."""

    def __init__(self, found: Iterable[tuple[int, int]], owners: Sequence[Sequence[int]]) -> None:
        ends: dict[int, list[int]] = defaultdict(list)
        for word, end in found:
            for detector in owners[word]:
                ends[detector].append(end)
        self._ends = {detector: np.sort(np.array(where)) for detector, where in ends.items()}

    def those(self, hits: Sequence[int], detector: int, distance: int) -> Sequence[int]:
        """Those of ``hits`` that may have a word of the detector near enough; few too many, none too few."""
        if detector not in self._ends:
            return ()
        at, ends = np.array(hits), self._ends[detector]
        first = np.searchsorted(ends, at - distance - _SLACK)
        last = np.searchsorted(ends, at + _SLACK, side="right")
        kept: list[int] = at[first < last].tolist()
        return kept


class _Text:
    """One text as it comes in: what of it is still needed. Bytes count from its start."""

    def __init__(self, scanner: Scanner, path: str) -> None:
        self._scanner = scanner
        self._path = path
        self._segments: list[tuple[int, int, Segment]] = []  # first byte, end, segment
        self._kept = b""
        self._base = 0  # of the first byte kept
        self._added: list[memoryview] = []
        self._size = 0  # of what is kept and added
        self._next = 0  # values before it are taken
        self._before: list[_Value] = []  # the last values taken, for those that follow
        self._header: Header | None = None
        self._resume: dict[int, int] = {}

    def add(self, segment: Segment) -> Iterator[Finding]:
        """Findings that can be told now that ``segment`` follows."""
        data = segment.data
        if not data:
            return
        begin = self._base + self._size
        self._segments.append((begin, begin + len(data), segment))
        window, whole = self._scanner.window, memoryview(data)
        for at in range(0, len(data), window):
            piece = whole[at : at + window]
            self._added.append(piece)
            self._size += len(piece)
            if self._size >= _BEHIND + _AHEAD + window:
                yield from self._take(final=False)

    def end(self) -> Iterator[Finding]:
        """The findings of the rest."""
        if self._size:
            yield from self._take(final=True)

    def _take(self, *, final: bool) -> Iterator[Finding]:
        text, base = b"".join((self._kept, *self._added)), self._base
        if self._next == 0:
            self._header = Header.of(text, self._segments[0][2].place(0, 0).column)
        last = len(text) if final else len(text) - _SEEN_WHOLE
        until = len(text) if final else len(text) - _AHEAD
        resume = {number: at - base for number, at in self._resume.items()}
        values = self._scanner.values(text, base, self._next - base, last, self._header, resume, until)
        self._resume = {number: at + base for number, at in resume.items()}
        taken_to = self._before[-1].end if self._before else 0
        values = self._before + self._scanner.winners([value for value in values if value.start >= taken_to])
        chosen = [
            index
            for index in range(len(self._before), len(values))
            if values[index].start - base < until and self._scanner.reports(values[index])
        ]
        yield from self._findings(values, chosen, text, base)
        self._next = base + until
        self._keep(text, values)

    def _keep(self, text: bytes, values: list[_Value]) -> None:
        keep = max(0, self._next - self._base - _BEHIND)
        self._base += keep
        self._kept, self._added, self._size = text[keep:], [], len(text) - keep
        self._before = [value for value in values if value.start < self._next and value.end > self._base]
        self._segments = [entry for entry in self._segments if entry[1] > self._base]

    def _findings(
        self, values: Sequence[_Value], chosen: Iterable[int], text: bytes, base: int
    ) -> Iterator[Finding]:
        allow = self._scanner.allow
        masked: dict[int, str] = {}
        at = 0
        for index in chosen:
            start, end, number, confidence, raw = values[index]
            while self._segments[at][1] <= start:
                at += 1
            first, past, segment = self._segments[at]
            detector = self._scanner.detectors[number]
            if confidence is not Confidence.LOW and detector.sample(raw):
                confidence = Confidence.LOW
            member = segment.member
            place = segment.place(start - first, min(end, past) - first)
            length = place.length or end - start
            if end > past:
                length = self._length(start, end, at)
            context = self._context(values, index, text, base, masked)
            yield Finding(
                detector.name,
                detector.version,
                detector.severity,
                confidence,
                member,
                place,
                length,
                masked[index],
                context,
                raw,
                allowed=allow.reason(detector.name, raw, self._path, member) if allow else None,
            )

    def _length(self, start: int, end: int, at: int) -> int:
        """Bytes that a value over several segments takes up, from the segment ``at`` on."""
        length = 0
        for first, past, segment in self._segments[at:]:
            if start >= end:
                break
            length += segment.place(start - first, min(end, past) - first).length or min(end, past) - start
            start = past
        return length

    def _context(
        self, values: Sequence[_Value], index: int, text: bytes, base: int, masked: dict[int, str]
    ) -> str:
        """What stands around a value, with masks; ``masked`` remembers them, since neighbours share them."""
        start, end = values[index].start - base, values[index].end - base
        low, high = sixty_before(text, start), sixty_after(text, end)
        first, last = index, index + 1
        while first and values[first - 1].end - base > low:
            first -= 1
        while last < len(values) and values[last].start - base < high:
            last += 1
        if last - first == 1:
            mask = masked[index] = self._scanner.detectors[values[index].detector].mask(values[index].text)
            return shown(b"%b%b%b" % (text[low:start], mask.encode(), text[end:high]), _DOTS)
        pieces: list[bytes] = []
        at = low
        for number in range(first, last):
            value = values[number]
            start, end = value.start - base, value.end - base
            if number == index or (low <= start and end <= high):
                if number not in masked:
                    masked[number] = self._scanner.detectors[value.detector].mask(value.text)
                pieces += text[at:start], masked[number].encode()
            else:  # of a value that is cut off, a mask would show what the context does not
                pieces += text[at:start], _DOTS
            at = end
        pieces.append(text[at:high])
        return shown(b"".join(pieces), _DOTS)
