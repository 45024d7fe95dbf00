"""Where runs of digits stand in the groups that detectors ask for: vectors over a window, no loop over bytes.

A regular expression of digit classes looks at every digit of the text again for every detector. Here the runs
are found once (their starts, lengths and gaps as NumPy arrays), and a group of runs is a comparison of small
integers.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy_assets.scan.detectors.shape import Digits, Mask, Numbers

Positions: TypeAlias = NDArray[np.int64]
_Groups: TypeAlias = tuple[tuple[int, int], ...]

_BLOCK = 1 << 16
"""Bytes whose edges are looked for at once: what is made of them stays in the processor's cache."""
_LONG = 6
"""Runs of so many digits are few; those of one form are looked for among them."""


class Runs:
    """The runs of digits of ``text``."""

    def __init__(self, text: bytes) -> None:
        self.bytes = np.frombuffer(text, np.uint8)
        edges = _edges(self.bytes)
        self.starts: Positions = edges[::2]
        self.ends: Positions = edges[1::2]
        # Lengths of runs and of the gaps after them, alternating; 255 stands for all that are longer.
        widths = np.minimum(edges[1:] - edges[:-1], 255).astype(np.uint8)
        self.lengths = np.ascontiguousarray(widths[::2])
        self.gaps = np.ascontiguousarray(widths[1::2])
        self._long: Positions | None = None
        self._of_length: dict[tuple[int, int], Mask] = {}
        self._small_gap: dict[int, Mask] = {}
        self._of_groups: dict[tuple[_Groups, int, Callable[[Digits], Mask] | None], Positions] = {}

    def matching(self, numbers: Numbers) -> list[int]:
        """The byte at which each hit of ``numbers`` starts, in rising order."""
        key = numbers.groups, numbers.gap, numbers.plausible
        if key not in self._of_groups:
            self._of_groups[key] = self._grouped(numbers)
        hits = self._of_groups[key]
        for index in range(len(numbers.groups) - 1):
            if len(hits):
                hits = hits[_any_of(numbers.separators)[self.bytes[self.ends[hits + index]]]]
        for back, character in enumerate(numbers.preceded, 1):
            if len(hits):
                before = self.starts[hits] - back
                # Before a text there is nothing, as before a line.
                fits = _fitting(character)
                hits = hits[np.where(before >= 0, fits[self.bytes[before]], fits[ord("\n")])]
        found: list[int] = self.starts[hits].tolist()
        return found

    def _grouped(self, numbers: Numbers) -> Positions:
        """The number of the first run of each hit, whatever is between the runs."""
        count = len(numbers.groups)
        last = len(self.lengths) - count + 1
        if last < 1:
            return np.empty(0, np.int64)
        if count == 1 and numbers.groups[0][0] >= _LONG:
            if self._long is None:
                self._long = np.flatnonzero(self.lengths >= _LONG)
            least, most = numbers.groups[0]
            hits = self._long[self.lengths[self._long] - np.uint8(least) <= most - least]
        else:
            found = self._length(numbers.groups[0])[:last]
            for index in range(1, count):
                found = found & self._gap(numbers.gap)[index - 1 : index - 1 + last]
                found &= self._length(numbers.groups[index])[index : index + last]
            hits = np.flatnonzero(found)
        if numbers.plausible and len(hits):
            hits = np.sort(np.concatenate(list(self._plausible(numbers, hits, numbers.plausible))))
        return hits

    def _plausible(
        self, numbers: Numbers, hits: Positions, plausible: Callable[[Digits], Mask]
    ) -> Iterator[Positions]:
        for lengths in product(*(range(least, most + 1) for least, most in numbers.groups)):
            same = hits
            for index, length in enumerate(lengths):
                if numbers.groups[index][0] != numbers.groups[index][1]:
                    same = same[self.lengths[same + index] == length]
            if len(same):
                digits = np.concatenate(
                    [
                        self.bytes[self.starts[same + index][:, None] + np.arange(length)]
                        for index, length in enumerate(lengths)
                    ],
                    axis=1,
                )
                same = same[plausible(digits - np.uint8(ord("0")))]
            yield same

    def _length(self, group: tuple[int, int]) -> Mask:
        if group not in self._of_length:
            least, most = group
            # Unsigned: a shorter run wraps round to a great number.
            self._of_length[group] = (self.lengths - np.uint8(least)) <= most - least
        return self._of_length[group]

    def _gap(self, most: int) -> Mask:
        if most not in self._small_gap:
            self._small_gap[most] = self.gaps <= most
        return self._small_gap[most]


def _edges(text: NDArray[np.uint8]) -> Positions:
    """Where a run of digits begins and, next, where it is over; and so on."""
    found = []
    inside = False
    for at in range(0, len(text), _BLOCK):
        is_digit = (text[at : at + _BLOCK] - np.uint8(ord("0"))) < 10
        if is_digit[0] != inside:
            found.append(np.array([at]))
        found.append(np.flatnonzero(is_digit[1:] != is_digit[:-1]) + (at + 1))
        inside = bool(is_digit[-1])
    if inside:
        found.append(np.array([len(text)]))
    return np.concatenate(found) if found else np.empty(0, np.int64)


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
def _fitting(character: re.Pattern[bytes]) -> Mask:
    return np.array([character.fullmatch(bytes([number])) is not None for number in range(256)])
