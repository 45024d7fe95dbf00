"""How values are shown. What is shown must not be enough to guess the rest.

Numbers that people quote by their last digits keep those and their form; secrets keep the prefix that names
their kind; everything else goes through ``privacy_assets.masking.mask``.
"""

import re
import string
from dataclasses import dataclass

from privacy_assets import masking
from privacy_assets.masking import DOTS

_ALNUM = (string.ascii_letters + string.digits).encode()
_HIDDEN = bytes.maketrans(_ALNUM, b"X" * len(_ALNUM))


@dataclass(frozen=True)
class KeepLast:
    """Letters and digits but the last ``count`` become ``X``; separators stay.

    >>> KeepLast(4)("123-45-6789")
    'XXX-XX-6789'
    """

    count: int

    def __call__(self, value: str) -> str:
        if not value.isascii():
            return ends(value)
        at = len(value)
        left = self.count
        while left and at:
            at -= 1
            left -= value[at].isalnum()
        return value[:at].encode().translate(_HIDDEN).decode() + value[at:]


def ends(value: str) -> str:
    """``privacy_assets.masking.mask``, sooner where a character is a letter.

    >>> ends("0123456789ab")
    '01••••ab'
    """
    if len(value) >= 12 and value.isascii() and value.isprintable():
        return value[:2] + DOTS + value[-2:]
    return masking.mask(value)


@dataclass(frozen=True)
class KeepPrefix:
    """What ``expression`` matches at the start stays, the rest is hidden, its length too.

    >>> KeepPrefix("gh[pousr]_")("ghp_0123456789")
    'ghp_••••'
    """

    expression: str

    def __call__(self, value: str) -> str:
        prefix = re.match(self.expression, value)
        return (prefix.group() if prefix else "") + DOTS


def hide(_: str) -> str:
    """Nothing is shown.

    >>> hide("hunter2")
    '••••'
    """
    return DOTS


def email(value: str) -> str:
    """The first letter of the mailbox and the domain: who may have leaked is seen, not whose address it was.

    >>> email("jane.doe@example.com")
    'j••••@example.com'
    """
    mailbox, _, domain = value.rpartition("@")
    return f"{mailbox[:1]}{DOTS}@{domain}"
