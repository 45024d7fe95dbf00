"""US telephone number: the North American Numbering Plan, of which the US are a part.

NANPA, "About the NANP" and 47 CFR §52: area code and exchange are NXX (N 2 to 9), neither is N11; which area
codes are assigned says libphonenumber (``phonenumbers``). Ten digits alone are like any other ten digits, so
they need a word; so do digits that only spaces divide, and area codes that are not in use.
"""

import re
from functools import cache

import phonenumbers

from privacy_assets.scan.detectors.masks import KeepLast
from privacy_assets.scan.detectors.shape import (
    Detector,
    Digits,
    Form,
    Mask,
    Numbers,
    Severity,
    digits_of,
    groups,
    pattern,
)


def _plausible(digits: Digits) -> Mask:
    area, exchange = digits[:, -10:-7], digits[:, -7:-4]
    good: Mask = (
        (area[:, 0] >= 2)
        & (exchange[:, 0] >= 2)
        & ~((area[:, 1] == 1) & (area[:, 2] == 1))
        & ~((exchange[:, 1] == 1) & (exchange[:, 2] == 1))
    )
    return good


@cache
def is_assigned(area: str) -> bool:
    """Whether the area code is in use.

    >>> is_assigned("212"), is_assigned("999")
    (True, False)
    """
    number = phonenumbers.PhoneNumber(country_code=1, national_number=int(area + "3456789"))
    return phonenumbers.is_valid_number(number)


def valid(value: str) -> bool:
    """Whether the plan knows such a number."""
    digits = digits_of(value)[-10:]
    return _NANP.fullmatch(digits) is not None and len(set(digits)) > 2 and digits not in _LIMITS


_NANP = re.compile("(?:[2-9](?!11)[0-9]{2}){2}[0-9]{4}")
_LIMITS = {"2147483647", "2147483648", "4294967295", "4294967296"}
"""Of 32 bits: numbers, and no telephone's."""


def sample(value: str) -> bool:
    """Whether it is kept for fiction — exchange 555, line 0100 to 0199 (ATIS-0300115) — or is made up."""
    digits = digits_of(value)[-10:]
    return (digits[3:6] == "555" and "0100" <= digits[6:] <= "0199") or unassigned(value)


def unassigned(value: str) -> bool:
    """Whether its area code is not in use: people make up such numbers, and other things look so."""
    return not is_assigned(digits_of(value)[-10:][:3])


_BEGIN = r"(?<![A-Za-z0-9$])(?<!\d[-.+])(?:(?<!/)|(?<=[-. ]\d{4}/)|(?=[+(]))"
_START = _BEGIN + r"(?:(?<!\#)|(?=[+(]))"
_END = r"(?![A-WYZa-wyz0-9@]|[xX][A-Za-z_]|[-.]\d|[-_][A-Za-z0-9])"

US_PHONE = Detector(
    name="us_phone",
    version=3,
    title="US telephone number",
    severity=Severity.MEDIUM,
    forms=(
        Form(  # with a country code or the area code in parentheses: nothing else looks so
            Numbers(
                groups(3, 3, 4), separators=b"-. )\xc2/", gap=3, plausible=_plausible, before=7, after=24
            ),
            pattern(
                _START
                + r"(?P<value>(?:\+1[ .-]?[ ]?(?:\(\d{3}\)[ .-]?|\d{3}[ .-])"
                + r"|\(\+?1\)[ ]?\d{3}[ .-]|(?:1[ .-]?)?\(\d{3}\)[ .-]?[ ]?"
                + r"|(?<!\d[ ])(?:1[ .-])?\d{3}[ /](?=\d{3}-))"
                + r"\d{3}[ .-]\d{4})"
                + _END
            ),
        ),
        Form(
            Numbers(groups(3, 3, 4), separators=b"-.", plausible=_plausible, before=5, after=24),
            pattern(_START + r"(?P<value>(?:(?:00)?1[ .-])?\d{3}([-.])\d{3}\2\d{4})" + _END),
        ),
        Form(
            Numbers(groups(3, 3, 4), separators=b" -./", gap=3, plausible=_plausible, before=5, after=24),
            pattern(
                _BEGIN
                + r"(?<!\d[ ])(?P<value>(?:(?:00)?1[ .-])?\d{3}[ ]?[-./ ][ ]?\d{3}[ ]?[-./ ][ ]?\d{4})"
                + _END
            ),
            alone=None,
        ),
        Form(  # a whole field of a table, a line or a quoted string
            Numbers(groups(3, 3, 4), separators=b" -./", gap=3, plausible=_plausible, before=5, after=24),
            pattern(r"(?<![^,;\t|\"'\n\r>]) (?:1[ ])?\d{3}[ ]\d{3}[ ]\d{4} (?![^,;\t|\"'\n\r<])"),
        ),
        Form(
            Numbers(groups(3, 7), separators=b"-. )", gap=2, before=7, after=24),
            pattern(_START + r"(?P<value>(?:\+?1[ .-]?)?\(\d{3}\)[ ]?\d{7})" + _END),
        ),
        Form(
            Numbers(groups(3, 7), separators=b"-. )", gap=2, before=7, after=24),
            pattern(_BEGIN + r"(?P<value>(?:\+?1[ .-]?)?(?:\(\d{3}\)[ ]?|\d{3}[-. ])\d{7})" + _END),
            alone=None,
        ),
        Form(
            Numbers(groups(6, 4), separators=b"-", before=4, after=24),
            pattern(_BEGIN + r"(?P<value>(?:\+?1[ .-]?)?\d{6}-\d{4})" + _END),
            alone=None,
        ),
        Form(
            Numbers(groups(11), plausible=_plausible, preceded=(pattern("[+]"),), before=1, after=24),
            pattern(_START + r"[+]1\d{10}" + _END),
        ),
        Form(
            Numbers(
                groups(10),
                plausible=_plausible,
                preceded=(pattern("[ .-]"), pattern("1"), pattern("[+]")),
                before=3,
                after=24,
            ),
            pattern(_START + r"[+]1[ .-]\d{10}" + _END),
        ),
        Form(
            Numbers(groups((10, 11)), plausible=_plausible, before=3, after=24),
            pattern(_BEGIN + r"(?<![+_/-]) (?:[+]?1[ .-]?)? \d{10}" + _END),
            alone=None,
        ),
    ),
    mask=KeepLast(4),
    valid=valid,
    doubtful=unassigned,
    sample=sample,
    words=(
        "phone",
        "phones",
        "phonenumber",
        "telephone",
        "tel",
        "mobile",
        "cell",
        "cellphone",
        "call",
        "called",
        "caller",
        "callback",
        "fax",
        "sms",
        "text",
        "contact",
        "dial",
        "ph",
        "mob",
        "whatsapp",
        "msisdn",
        "voice",
        "voicemail",
        "hotline",
        "reach",
        "home",
        "work",
        "landline",
        "pager",
        "toll free",
        "phn",
        "my number",
    ),
    unless=(
        "order",
        "invoice",
        "tracking",
        "version",
        "part",
        "sku",
        "isbn",
        "ip",
        "epoch",
        "timestamp",
        "time",
        "serial",
    ),
    examples=(
        "phone: ⟦(415) 555-2671⟧",
        "call ⟦415-555-2671⟧",
        "call ⟦+1 415 555 2671⟧",
        "call ⟦415.555.2671⟧",
        "tel:⟦+14155552671⟧",
        "⟦+1-415-555-2671⟧",
        "⟦1-800-356-9377⟧",
        "a,⟦415-555-2671⟧,b",
        "1,⟦415-555-2671⟧,2",
        "⟦(415)555-2671⟧ x123",
        "⟦415-555-2671⟧x123",
        '{"phone":"⟦4155552671⟧"}',
        "name,phone\nada,⟦4155552671⟧\n",
        "⟦+1 (415) 555-2671⟧",
        "phone=⟦4155552671⟧",
        "sms to ⟦14155552671⟧",
        "call ⟦1-4155552671⟧",
        "⟦+1 4155552671⟧",
        "phone: ⟦(266) 555-2671⟧",
        "055-0199/⟦415-555-2671⟧",
        "2026-01-02 12:30:01 ⟦415-555-2671⟧",
        "1. ⟦(415) 555-2671⟧",
        "/callers/⟦+14155552671⟧",
        "phone #⟦415-555-2671⟧",
        "_⟦415-555-2671⟧_",
        "⟦001-415-555-2671⟧",
        "⟦(+1) 415-555-2671⟧",
        "⟦(415) 5552671⟧",
        "⟦415 555-2671⟧",
        "ada;⟦415 555 2671⟧;Rome",
        "phone ⟦415/555/2671⟧",
        "phone: ⟦001 415 555 2671⟧",
        "<td>Phone</td><td>⟦4155552671⟧</td>",
    ),
    decoys=(
        "123-456-7890",
        "415-055-2671",
        "411-555-2671",
        "415-911-2671",
        "epoch 1760000000",
        "4155552671",
        "order=4155552671",
        "call about order no. 4155552671",
        "(266) 555-2671",
        "415-555-2671-1234",
        "10.415.555.2671",
        "a415-555-2671",
        "rows 415 555 2671",
        "v2.415.555.2671",
        "items/415-555-2671",
        "2026/415-555-2671",
        "part #415-555-2671",
        "call(value <= 2147483647)",
        "404 512 1234 ms",
        "$415-555-2671",
    ),
)
