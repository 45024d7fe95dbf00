"""Where runs of digits stand in the groups that detectors ask for: vectors over a window, no loop over bytes.

A regular expression of digit classes looks at every digit of the text again for every detector. Here the runs
are found once (their starts, lengths and gaps as NumPy arrays), and a group of runs is a comparison of small
integers.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy_assets.scan.detectors.shape import Digits, Mask, Numbers

Positions: TypeAlias = NDArray[np.signedinteger[Any]]
_Groups: TypeAlias = tuple[tuple[int, int], ...]

_BLOCK = 1 << 16
"""Bytes whose edges are looked for at once: what is made of them stays in the processor's cache."""
_LONG = 6
"""Runs of so many digits are few; those of one form are looked for among them."""


class Workspace:
    """Memory that windows use one after the other: to ask the system for it each time costs more than the
    work.
    """

    def __init__(self) -> None:
        self.edges = np.empty(0, np.int32)
        self.widths = np.empty(0, np.int32)
        self.lengths = np.empty(0, np.uint8)
        self.gaps = np.empty(0, np.uint8)

    def reserve(self, size: int) -> None:
        """Room for the edges of ``size`` bytes, at most one a byte and one more."""
        if len(self.edges) <= size:
            self.edges, self.widths = np.empty(size + 1, np.int32), np.empty(size + 1, np.int32)
            self.lengths, self.gaps = np.empty(size + 1, np.uint8), np.empty(size + 1, np.uint8)


class Runs:
    """The runs of digits of ``text``. They are gone when the next are made in the same workspace."""

    def __init__(self, text: bytes, workspace: Workspace) -> None:
        self.bytes = np.frombuffer(text, np.uint8)
        workspace.reserve(len(text))
        edges = workspace.edges[: _edges(self.bytes, workspace.edges)]
        self.starts: Positions = edges[::2]
        self.ends: Positions = edges[1::2]
        # Lengths of runs and of the gaps after them, alternating; 255 stands for all that are longer.
        widths = workspace.widths[: max(0, len(edges) - 1)]
        np.subtract(edges[1:], edges[:-1], out=widths)
        np.minimum(widths, 255, out=widths)
        self.lengths = workspace.lengths[: len(self.starts)]
        self.gaps = workspace.gaps[: max(0, len(self.starts) - 1)]
        np.copyto(self.lengths, widths[::2], casting="unsafe")
        np.copyto(self.gaps, widths[1::2], casting="unsafe")
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


def _edges(text: NDArray[np.uint8], edges: Positions) -> int:
    """Writes where a run of digits begins and, next, where it is over, and so on; answers how many those
    are.
    """
    count = 0
    inside = False
    for at in range(0, len(text), _BLOCK):
        is_digit = (text[at : at + _BLOCK] - np.uint8(ord("0"))) < 10
        if is_digit[0] != inside:
            edges[count] = at
            count += 1
        found = np.flatnonzero(is_digit[1:] != is_digit[:-1])
        np.add(found, at + 1, out=edges[count : count + len(found)], casting="unsafe")
        count += len(found)
        inside = bool(is_digit[-1])
    if inside:
        edges[count] = len(text)
        count += 1
    return count


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
