"""Where runs of digits stand in the groups that detectors ask for: vectors over a window, no loop over bytes.

A regular expression of digit classes looks at every digit of the text again for every detector. Here the
runs are found once (their starts, lengths and gaps as NumPy arrays), and a group of runs is a comparison of
small integers.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from privacy_assets.scan.detectors.shape import Mask, Numbers

Positions = NDArray[np.int64]


class Runs:
    """The runs of digits of ``text``."""

    def __init__(self, text: bytes) -> None:
        self.bytes = np.frombuffer(text, np.uint8)
        is_digit = np.empty(len(text) + 2, np.bool_)
        is_digit[0] = is_digit[-1] = False
        np.less(self.bytes - np.uint8(ord("0")), 10, out=is_digit[1:-1])
        edges = np.flatnonzero(is_digit[1:] != is_digit[:-1])
        self.starts: Positions = edges[::2]
        self.ends: Positions = edges[1::2]
        # Lengths of runs and of the gaps after them, alternating; 255 stands for all that are longer.
        widths = np.minimum(np.diff(edges), 255).astype(np.uint8)
        self.lengths = np.ascontiguousarray(widths[::2])
        self.gaps = np.ascontiguousarray(widths[1::2])
        self._of_length: dict[tuple[int, int], Mask] = {}
        self._small_gap: dict[int, Mask] = {}

    def matching(self, numbers: Numbers) -> list[int]:
        """The byte at which each hit of ``numbers`` starts, in rising order."""
        count = len(numbers.groups)
        if len(self.starts) < count:
            return []
        last = len(self.starts) - count + 1
        found = self._length(numbers.groups[0])[:last]
        for index in range(1, count):
            found = found & self._gap(numbers.gap)[index - 1 : index - 1 + last]
            found &= self._length(numbers.groups[index])[index : index + last]
        hits = np.flatnonzero(found)
        for index in range(count - 1):
            if len(hits):
                hits = hits[_any_of(numbers.separators)[self.bytes[self.ends[hits + index]]]]
        if numbers.preceded and len(hits):
            starts = self.starts[hits]
            hits = hits[_matching(numbers.preceded)[self.bytes[starts - 1]] & (starts > 0)]
        if numbers.plausible and len(hits):
            hits = np.sort(np.concatenate(list(self._plausible(numbers, hits))))
        found_at: list[int] = self.starts[hits].tolist()
        return found_at

    def _plausible(self, numbers: Numbers, hits: Positions) -> Iterator[Positions]:
        assert numbers.plausible is not None
        for lengths in product(*(range(least, most + 1) for least, most in numbers.groups)):
            same = hits
            if any(least != most for least, most in numbers.groups):
                for index, length in enumerate(lengths):
                    same = same[self.lengths[same + index] == length]
            if len(same):
                digits = np.concatenate(
                    [
                        self.bytes[self.starts[same + index][:, None] + np.arange(length)]
                        for index, length in enumerate(lengths)
                    ],
                    axis=1,
                )
                yield same[numbers.plausible(digits - np.uint8(ord("0")))]
            else:
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


def colons(text: bytes) -> list[int]:
    """The first of two colons in a row, and of six that are at most five bytes apart, each followed by the
    next."""
    at = np.flatnonzero(np.frombuffer(text, np.uint8) == ord(":"))
    if len(at) < 2:
        return []
    gaps = np.diff(at)
    hits = gaps == 1
    if len(gaps) > 5:
        close = gaps <= 5
        row = close[:-4] & close[1:-3] & close[2:-2] & close[3:-1] & close[4:]
        hits[:-4] |= row
    found: list[int] = at[:-1][hits].tolist()
    return found


@cache
def _any_of(characters: bytes) -> Mask:
    return np.isin(np.arange(256), list(characters))


@cache
def _matching(character: re.Pattern[bytes]) -> Mask:
    return np.array([character.fullmatch(bytes([number])) is not None for number in range(256)])
