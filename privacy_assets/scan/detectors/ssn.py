"""US social security number: area, group, serial.

Social Security Administration, "Meaning of the Social Security Number" and POMS RM 10201.035 (invalid
numbers): the area is never 000, 666 or 900-999, the group never 00, the serial never 0000. Since the
randomisation of 2011 that is all that can be said of a number, and there is no checksum; so nine digits
without separators need a word.
"""

import re

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
    area = digits[:, 0] * 100.0 + digits[:, 1] * 10.0 + digits[:, 2]
    good: Mask = (area != 0) & (area != 666) & (area < 900)
    return good


def valid(value: str) -> bool:
    """Whether it may have been issued; numbers that became known through advertisements never count.

    >>> valid("536-90-4399"), valid("078-05-1120"), valid("666-12-3456")
    (True, False, False)
    """
    digits = digits_of(value)
    return (
        _ISSUED.fullmatch(digits) is not None
        and digits not in _PUBLISHED
        and digits != digits[0] * len(digits)
    )


_ISSUED = re.compile("(?!000|666|9)[0-9]{3}(?!00)[0-9]{2}(?!0000)[0-9]{4}")
# 078-05-1120 and 219-09-9999 were printed on sample cards, 457-55-5462 in an advertisement (SSA history).
_PUBLISHED = {"078051120", "219099999", "457555462"}

SSN = Detector(
    name="ssn",
    version=3,
    title="US social security number",
    severity=Severity.HIGH,
    forms=(
        Form(
            Numbers(groups(3, 2, 4), separators=b"-", plausible=_plausible),
            pattern(
                r"(?<![A-Za-z0-9])(?<![A-Za-z0-9]-)(?<!\d[.+]) \d{3}-\d{2}-\d{4} (?!-?[A-Za-z0-9]|[.]\d)"
            ),
        ),
        Form(  # a whole field of a table, a line or a quoted string
            Numbers(groups(3, 2, 4), separators=b" ", plausible=_plausible),
            pattern(
                r"(?<![^,;\t|\"'\n\r>]) \d{3}[ ]\d{2}[ ]\d{4} (?![^,;\t|\"'\n\r<])",
            ),
        ),
        Form(
            Numbers(groups(3, 2, 4), separators=b" .", plausible=_plausible),
            pattern(
                r"(?<![A-Za-z0-9-])(?<!\d[ .+]) (?P<value>\d{3}([ .])\d{2}\2\d{4}) (?![A-Za-z0-9-]|[ .]\d)"
            ),
            alone=None,
        ),
        Form(
            Numbers(groups(9), plausible=_plausible),
            pattern(r"(?<![A-Za-z0-9_+-])(?<!\d[.]) \d{9} (?![A-Za-z0-9_-]|[.]\d)"),
            alone=None,
        ),
    ),
    mask=KeepLast(4),
    valid=valid,
    words=(
        "ssn",
        "ssns",
        "ss#",
        "ss no",
        "ss num",
        "s.s.n",
        "s.s",
        "ss number",
        "social security",
        "social sec",
        "soc sec",
        "socsec",
        "social",
        "taxpayer",
        "taxpayer id",
        "tax payer",
        "tin",
    ),
    unless=(
        "order",
        "invoice",
        "tracking",
        "part",
        "sku",
        "serial",
        "isbn",
        "lot",
        "model",
        "ticket",
        "mrn",
        "account",
        "acct",
        "routing",
        "aba",
    ),
    examples=(
        "ssn=⟦536-90-4399⟧",
        "social security number ⟦536 90 4399⟧",
        '{"ssn": "⟦536904399⟧"}',
        "ada,⟦536-90-4399⟧,1990",
        "id,ssn,year\n1,⟦536904399⟧,1990\n",
        "ada,⟦536 90 4399⟧,1990",
        "name,ssn,city\nada,⟦536904399⟧,Rome\n",
        '{"employeeSSN":"⟦536904399⟧"}',
        "<ssn>⟦536904399⟧</ssn>",
        "SSN:\n⟦536904399⟧",
        "SS# ⟦536904399⟧",
        "S.S.N.: ⟦536904399⟧",
        "SSN of John Smith: ⟦536904399⟧",
        "<td>SSN</td><td>⟦536904399⟧</td>",
        "<b>SSN:</b> ⟦536904399⟧",
        '{"system": "us-ssn",\n "value": "⟦536904399⟧"}',
        "- name: SSN\n  value: ⟦536904399⟧",
        '{"ssn": {"value": "⟦536904399⟧"}}',
        "# exported 2026-01-02\nid,ssn\n1,⟦536904399⟧\n",
        'note,ssn\n"a\n""b"", c",⟦536904399⟧\n',
        "-⟦536-90-4399⟧- left",
    ),
    decoys=(
        "part=000-12-3456",
        "part=666-12-3456",
        "ssn 900-12-3456",
        "ssn 536-00-4399",
        "ssn 536-90-0000",
        "ssn 078-05-1120",
        "order 536904399",
        "sum of 536 90 4399 rows",
        "id 1-536-90-4399",
        "uuid 536-90-4399-a1b2",
        '{"ssn": null, "order": 536904399}',
        "session 536904399",
        "<order>536904399</order><ssn></ssn>",
        "no ssn yet; MRN 536904399",
        "part_no=536-90-4399",
        '[{"system":"us-ssn","value":null},{"system":"mrn","value":"536904399"}]',
        "<ssn></ssn><order>536904399</order>",
        "+44 536904399",
        "2011-12-1345",
    ),
)
