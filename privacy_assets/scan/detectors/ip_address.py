"""IP addresses: personal data where they belong to a person's connection (CJEU C-582/14, Breyer).

RFC 791 and RFC 4291. Addresses that are nobody's (loopback, unspecified, multicast, reserved) are no
findings; private ones (RFC 1918, RFC 4193) and those for documentation (RFC 5737, RFC 3849) are of low
confidence, and so are four small numbers, which are more often a version.
"""

import ipaddress

from privacy_assets.scan.detectors.shape import Colons, Detector, Form, Numbers, Severity, groups, pattern

_WORDS = (
    "ip",
    "ips",
    "ipv4",
    "ipv6",
    "client",
    "remote",
    "remote addr",
    "address",
    "addr",
    "host",
    "source",
    "src",
    "peer",
    "forwarded for",
)
_VERSIONS = ("version", "ver", "v", "build", "release", "assembly version", "file version", "oid", "section")


def valid_ipv4(value: str) -> bool:
    """Whether it may be somebody's: no loopback, multicast or reserved one, no network, no broadcast."""
    numbers = [int(number) for number in value.split(".")]
    first = numbers[0]
    return max(numbers) < 256 and 0 < first < 224 and first != 127 and numbers[3] not in {0, 255}


def valid_ipv6(value: str) -> bool:
    """Whether it is an address that may be somebody's. ``a::b`` is a name in many languages, so three groups
    and a digit are asked for.
    """
    written = [group for group in value.split(":") if group]
    if len(written) < 3 or not any(c.isdigit() for c in value):
        return False
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved)


def is_internal_ipv4(value: str) -> bool:
    """Whether it is known inside a network alone, kept for documentation, or rather a version.

    >>> is_internal_ipv4("172.20.0.1"), is_internal_ipv4("198.51.100.7"), is_internal_ipv4("93.184.216.34")
    (True, True, False)
    """
    a, b, c, d = (int(number) for number in value.split("."))
    return (
        a == 10
        or (a == 172 and 16 <= b < 32)
        or (a, b) in {(192, 168), (169, 254), (198, 18), (198, 19)}
        or (a == 100 and 64 <= b < 128)
        or (a, b, c) in {(192, 0, 2), (198, 51, 100), (203, 0, 113)}
        or (a, b) in {(1, 3), (2, 5)}  # more often an object identifier: ISO's organisations, X.500
        or max(a, b, c, d) < 20
    )


def is_internal_ipv6(value: str) -> bool:
    """The same of RFC 4193, RFC 4291 and RFC 3849."""
    address = ipaddress.IPv6Address(value)
    return address.is_private or address.is_link_local


def mask(value: str) -> str:
    """The first half: the network, not the host.

    >>> mask("198.51.100.7"), mask("2001:db8::8a2e:370:7334")
    ('198.51.x.x', '2001:db8:…')
    """
    if ":" in value:
        return ":".join(value.split(":")[:2]) + ":…"
    return ".".join(value.split(".")[:2]) + ".x.x"


IPV4 = Detector(
    name="ipv4",
    version=1,
    title="IPv4 address",
    severity=Severity.LOW,
    forms=(
        Form(
            Numbers(groups((1, 3), (1, 3), (1, 3), (1, 3)), separators=b"."),
            pattern(
                r"(?<![A-Za-z0-9_-])(?<![0-9][.]) \d{1,3}(?:[.]\d{1,3}){3} (?![A-Za-z0-9_]|[.-][A-Za-z0-9])"
            ),
        ),
    ),
    mask=mask,
    valid=valid_ipv4,
    sample=is_internal_ipv4,
    words=_WORDS,
    unless=_VERSIONS,
    examples=(
        "ip=⟦93.184.216.34⟧ took=5ms",
        "client ⟦8.8.4.4⟧",
        "⟦93.184.216.34⟧ - - [01/Jan/2026",
        "http://⟦93.184.216.34⟧:8080/",
    ),
    decoys=("127.0.0.1", "0.0.0.7", "version=1.2.3.4", "300.1.2.3", "1.2.3.4.5", "255.255.255.0", "v1.2.3.4"),
)

IPV6 = Detector(
    name="ipv6",
    version=1,
    title="IPv6 address",
    severity=Severity.LOW,
    forms=(
        Form(
            Colons(),
            pattern(
                r"(?<![A-Za-z0-9_:.]) (?:[0-9A-Fa-f]{1,4}:{1,2}){2,7} (?:[0-9A-Fa-f]{1,4})? (?![A-Za-z0-9_:])"
            ),
        ),
    ),
    mask=mask,
    valid=valid_ipv6,
    sample=is_internal_ipv6,
    words=_WORDS,
    examples=("client ⟦2a00:1450:4001:81b::200e⟧", "[⟦2606:4700:3030:0:0:0:6815:1001⟧]:443"),
    decoys=("::1", "std::vector", "a::b::c", "00:1a:2b:3c:4d:5e", "12:30:45", "fe::"),
)
