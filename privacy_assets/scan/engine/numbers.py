"""Where runs of digits stand in the groups that detectors ask for: vectors over a window, no loop over bytes.

A regular expression of digit classes looks at every digit of the text again for every detector. Here a window
becomes one bit a byte, set where a digit stands; *three digits, another byte, two digits* is then a few ands
of an eighth of the window's bytes. The window is laid in eight strips of which byte ``i`` of ``Bits`` holds
the ``i``-th bytes, a bit each: so what stands ``n`` bytes after every byte is ``bits[n:]``, and nothing need
be shifted. Behind a strip, ``Bits`` goes on with the beginning of the next one.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy_assets.scan.detectors.shape import Digits, Mask, Numbers

Bits: TypeAlias = NDArray[np.uint8]
Positions: TypeAlias = NDArray[np.signedinteger[Any]]
_Key: TypeAlias = tuple[tuple[tuple[int, int], ...], int, frozenset[int], Callable[[Digits], Mask] | None]

_STRIPS = 8
_MORE = 96
"""How far ``Bits`` go on behind a strip, which is more than all groups of a number take up."""
_FEW = 32
"""So many hits are sooner judged one by one."""


class Runs:
    """The runs of digits of ``text``."""

    def __init__(self, text: bytes) -> None:
        self.bytes = np.frombuffer(text, np.uint8)
        self._strip = max(_MORE, -(-len(text) // (_STRIPS * 8)) * 8)
        self._digits = self._is_digit()
        self._starts = self._digits.copy()
        self._starts[1:] &= ~self._digits[:-1]
        self._starts[0] &= ~(self._digits[self._strip - 1] << 1)
        self._at_least: dict[int, Bits] = {1: self._digits}
        self._of_length: dict[tuple[int, int], Bits] = {}
        self._of_groups: dict[_Key, _Hits] = {}

    def matching(self, numbers: Numbers) -> list[int]:
        """The byte at which each hit of ``numbers`` starts, in rising order."""
        key = numbers.groups, numbers.gap, numbers.leading, numbers.plausible
        if key not in self._of_groups:
            self._of_groups[key] = self._grouped(numbers)
        runs = self._of_groups[key]
        starts = runs[0][0]
        if len(runs) > 1 and len(starts):
            separated = _any_of(numbers.separators)
            starts = starts[np.logical_and.reduce([separated[self.bytes[ends]] for _, ends in runs[:-1]])]
        for back, character in enumerate(numbers.preceded, 1):
            if len(starts):
                before = starts - back
                # Before a text there is nothing, as before a line.
                fits = _fitting(character)
                starts = starts[
                    np.where(before >= 0, fits[self.bytes[np.maximum(before, 0)]], fits[ord("\n")])
                ]
        found: list[int] = starts.tolist()
        return found

    def _grouped(self, numbers: Numbers) -> "_Hits":
        """The hits, whatever is between their runs."""
        bits = self._runs(*numbers.groups[-1])
        for group in reversed(numbers.groups[:-1]):
            bits = self._followed(group, numbers.gap, bits)
        starts = self._positions(bits)
        if numbers.leading:
            starts = starts[self._leading(starts, numbers.leading)]
        if len(numbers.groups) == 1 and not numbers.plausible:
            return [(starts, starts)]  # of one run, nobody asks where it is over
        runs = [(starts, self._end(starts, numbers.groups[0]))]
        for group in numbers.groups[1:]:
            begins = self._next(runs[-1][1], numbers.gap)
            runs.append((begins, self._end(begins, group)))
        if numbers.plausible and len(starts) > _FEW:
            good = self._plausible(numbers, runs, numbers.plausible)
            runs = [(begins[good], ends[good]) for begins, ends in runs]
        return runs

    def _leading(self, starts: Positions, leading: frozenset[int]) -> Mask:
        """Whether the first two digits are among ``leading``."""
        first, second = self.bytes[starts] - np.uint8(ord("0")), self.bytes[starts + 1] - np.uint8(ord("0"))
        return _pairs(leading)[first * np.uint8(10) + second]

    def _plausible(self, numbers: Numbers, runs: "_Hits", plausible: Callable[[Digits], Mask]) -> Mask:
        good = np.ones(len(runs[0][0]), np.bool_)
        # The first run of the text may have fewer bytes before its end than a row needs: it is let pass.
        whole = slice(int(np.searchsorted(runs[0][1], numbers.groups[0][1])), None)
        digits = [
            self._values(begins[whole], ends[whole], group)
            for (begins, ends), group in zip(runs, numbers.groups, strict=True)
        ]
        good[whole] = plausible(np.concatenate(digits, axis=1) if len(digits) > 1 else digits[0])
        return good

    def _followed(self, group: tuple[int, int], gap: int, then: Bits) -> Bits:
        """Runs of ``group`` that end at most ``gap`` bytes before one of those that start at ``then``."""
        least, most = group
        return _any(
            _all(self._runs(length, length), self._before(then, length, gap))
            for length in range(least, most + 1)
        )

    def _before(self, then: Bits, length: int, gap: int) -> Bits:
        """Where after ``length`` bytes there are up to ``gap`` without digits, and then one of ``then``."""
        near = [then[length + 1 :]]
        # Before the first and the last byte of a gap a run is over, so they are no digits.
        between = self._digits[length + 1 :]
        for more in range(2, gap + 1):
            if more > 3:
                between = _any((between, self._digits[length + more - 2 :]))
            near.append(_all(then[length + more :], ~between) if more > 2 else then[length + more :])
        return _any(near)

    def _runs(self, least: int, most: int) -> Bits:
        """Where runs of ``least`` to ``most`` digits start."""
        if (least, most) not in self._of_length:
            longer = self._digits_from(most + 1)
            self._of_length[least, most] = _all(self._starts, self._digits_from(least), ~longer)
        return self._of_length[least, most]

    def _digits_from(self, count: int) -> Bits:
        """Where ``count`` digits stand in a row."""
        if count not in self._at_least:
            half = self._digits_from((count + 1) // 2)
            self._at_least[count] = _all(half, half[count // 2 :])
        return self._at_least[count]

    def _is_digit(self) -> Bits:
        bits = np.zeros(self._strip + _MORE, np.uint8)
        for strip in reversed(range(_STRIPS)):
            bits += bits  # what is there moves up by one bit
            part = self.bytes[strip * self._strip : (strip + 1) * self._strip]
            bits[: len(part)] |= (part - np.uint8(ord("0")) < 10).view(np.uint8)
        bits[self._strip :] = bits[:_MORE] >> 1
        return bits

    def _positions(self, bits: Bits) -> Positions:
        """The bytes whose bit is set, in rising order."""
        # Eight bytes at a time, then one, then one bit: most are zero.
        words = bits[: self._strip].view(np.uint64)
        some = np.flatnonzero(words != 0)
        inside = words[some].view(np.uint8)
        few = np.flatnonzero(inside != 0)
        bit = np.flatnonzero(np.unpackbits(inside[few], bitorder="little").view(np.bool_))
        which = few[bit >> 3]
        found: Positions = some[which >> 3] * 8 + (which & 7) + (bit & 7) * self._strip
        found.sort()
        return found

    def _end(self, starts: Positions, group: tuple[int, int]) -> Positions:
        """Where the runs at ``starts`` are over."""
        least, most = group
        if least == most:
            return starts + most
        more: Positions = np.argmin(self._digit_at(starts[:, None] + np.arange(least, most + 1)), axis=1)
        return starts + least + more

    def _next(self, ends: Positions, gap: int) -> Positions:
        """Where the next run starts after each of ``ends``, at most ``gap`` bytes on."""
        if gap == 1:
            return ends + 1
        more: Positions = np.argmax(self._digit_at(ends[:, None] + np.arange(1, gap + 1)), axis=1)
        return ends + 1 + more

    def _digit_at(self, at: Positions) -> Mask:
        is_digit: Mask = self.bytes[np.minimum(at, len(self.bytes) - 1)] - np.uint8(ord("0")) < 10
        return is_digit & (at < len(self.bytes))

    def _values(self, starts: Positions, ends: Positions, group: tuple[int, int]) -> Digits:
        """The digits of runs; of shorter ones, zeros stand before them."""
        least, most = group
        # A row is copied at once, which takes a tenth of the time that its bytes take.
        rows = np.ndarray(len(self.bytes) - most + 1, f"V{most}", self.bytes, strides=(1,))
        digits = rows[ends - most].view(np.uint8).reshape(-1, most) - np.uint8(ord("0"))
        if least < most:
            digits[np.arange(most) < (most - ends + starts)[:, None]] = 0
        return digits


def _all(*each: Bits) -> Bits:
    """Where all of ``each`` are, as far as the shortest goes."""
    size = min(map(len, each))
    found = each[0][:size] & each[1][:size]
    for more in each[2:]:
        found &= more[:size]
    return found


def _any(each: Iterable[Bits]) -> Bits:
    """Where any of ``each`` is, as far as the shortest goes."""
    first, *rest = each
    if not rest:
        return first
    size = min(len(first), *map(len, rest))
    found = first[:size] | rest[0][:size]
    for more in rest[1:]:
        found |= more[:size]
    return found


_Hits: TypeAlias = list[tuple[Positions, Positions]]
"""Where the first runs of hits start and are over, then the second ones."""


def colons(text: bytes) -> list[int]:
    """Where two colons stand in a row, and where the first of six that are at most five bytes apart."""
    at = np.flatnonzero(np.frombuffer(text, np.uint8) == ord(":"))
    if len(at) < 2:
        return []
    gaps = np.diff(at)
    hits = gaps == 1
    if len(gaps) > 4:
        close = gaps <= 5
        hits[:-4] |= close[:-4] & close[1:-3] & close[2:-2] & close[3:-1] & close[4:]
    found: list[int] = at[:-1][hits].tolist()
    return found


@cache
def _any_of(characters: bytes) -> Mask:
    return np.isin(np.arange(256), list(characters))


@cache
def _pairs(leading: frozenset[int]) -> Mask:
    return np.isin(np.arange(100), list(leading))


@cache
def _fitting(character: re.Pattern[bytes]) -> Mask:
    return np.array([character.fullmatch(bytes([number])) is not None for number in range(256)])
