"""Masked forms: enough for a person to recognise a value she already knows, too little to learn one.

Whatever leaves the lake — metadata, reports, alerts, logs — carries a masked form. A hash is not one:
identifiers are few enough to be guessed one by one and hashed until they match (GDPR Recital 26, WP 216 §4).
"""

import re
import unicodedata
from collections.abc import Iterable

DOTS = "••••"
"""Stands for what is hidden. Its length is always the same, so that the value's length is hidden too."""

# From this many characters on, so many are shown at either end: at most four, at most a third.
_SHOWN = ((12, 2), (8, 1))

_EXAMINED = 512
"""Code points of a long value that are looked at, half of them at either end."""
_MARKS = 8
"""Code points that make one character at most; real ones have fewer."""

# Each of these passes over a text once: no character is where many tries begin.
_EMAIL = re.compile(r"(?<![^\s@<>\"'(),;:])[^\s@<>\"'(),;:]++@[^\s@<>\"'(),;:]++")
# A date or an instant is not an identifier; it is matched first so that its digits are left alone.
_ZONE = r"(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?"
_INSTANT = rf"\b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d{{1,9}})?)?{_ZONE})?(?![\d-])"
_NUMBERS = re.compile(rf"(?P<instant>{_INSTANT})|(?P<number>\+?\(?\d(?:[ .()/-]{{0,2}}\d){{6,}})")


def mask(value: str | None) -> str:
    """The masked form of ``value``; the same value always has the same one.

    Fewer than 8 characters are hidden whole; 8 to 11 show the first and the last; 12 and more show two at
    either end. A character is what a reader sees as one: a letter with its accents, an emoji with its
    modifiers. Characters that can't be seen (controls, directions) are never shown. ``None`` and the empty
    string are ``""``: there is nothing to hide, and that a value is missing is often the violation itself.

    >>> mask("123-45-6789"), mask("jane.doe@example.com"), mask("Ann"), mask(None)
    ('1••••9', 'ja••••om', '••••', '')
    """
    if not value:
        return ""
    if len(value) > _EXAMINED:
        value = value[: _EXAMINED // 2] + value[-_EXAMINED // 2 :]
    seen = _characters(value)
    shown = next((count for length, count in _SHOWN if len(seen) >= length), 0)
    return "".join(seen[:shown]) + DOTS + "".join(seen[len(seen) - shown :])


def scrub(text: str | None, known: Iterable[str | None] = ()) -> str:
    """``text`` with what identifies a person masked: the ``known`` values, e-mail addresses, and numbers of
    seven digits or more (telephones, cards, social security numbers). Dates and instants stay readable.

    For sentences that an audit's author wrote about a row; it can't know a name it isn't told.

    >>> scrub("subject-4711-a wrote to jane.doe@example.com on 2026-01-02", ["subject-4711-a"])
    'su••••-a wrote to ja••••om on 2026-01-02'
    """
    if not text:
        return ""
    # One pass over all known values, the longest first: none is masked inside the mask of another.
    names = sorted({value for value in known if value}, key=lambda value: (-len(value), value))
    if names:
        # A value inside a longer word is another value: `7` in `2027` must not tear the sentence apart.
        pattern = re.compile("|".join(_known(name) for name in names), re.DOTALL)
        text = pattern.sub(lambda match: mask(match.group()), text)
    text = _EMAIL.sub(lambda match: mask(match.group()), text)
    return _NUMBERS.sub(lambda match: match.group("instant") or mask(match.group("number")), text)


def _known(name: str) -> str:
    """The pattern of a known value. A long one is known by how it begins, and hides all that follows."""
    if len(name) > _EXAMINED:
        return rf"(?<!\w){re.escape(name[:_EXAMINED])}.*"
    return rf"(?<!\w){re.escape(name)}(?!\w)"


def _characters(value: str) -> list[str]:
    """``value`` split into what a reader sees as characters: a small part of Unicode's UAX 29."""
    seen: list[str] = []
    joined = False
    for character in unicodedata.normalize("NFC", value):
        category = unicodedata.category(character)
        if character == "\u200d":  # zero width joiner: the next character belongs to this one
            joined = bool(seen)
            continue
        if category in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            continue
        extends = category in {"Mn", "Me", "Mc"} or "\U0001f3fb" <= character <= "\U0001f3ff"
        if seen and (extends or joined or _flag_half(character, seen[-1])):
            if len(seen[-1]) < _MARKS:
                seen[-1] += ("\u200d" if joined else "") + character
        else:
            seen.append(character)
        joined = False
    return seen


def _flag_half(character: str, before: str) -> bool:
    """Two regional indicators make one flag."""
    return _is_indicator(character) and len(before) == 1 and _is_indicator(before)


def _is_indicator(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
