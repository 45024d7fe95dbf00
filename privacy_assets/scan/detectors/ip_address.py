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


def _is_somebodys(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
        or (address.version == 4 and (address.packed[0] == 0 or address.packed[-1] in {0, 255}))
    )


def valid_ipv6(value: str) -> bool:
    """Whether it is an address that may be somebody's. ``a::b`` is a name in many languages, so three groups
    and a digit are asked for.
    """
    written = [group for group in value.split(":") if group]
    return len(written) >= 3 and any(c.isdigit() for c in value) and _is_somebodys(value)


def _is_internal(value: str) -> bool:
    address = ipaddress.ip_address(value)
    small = address.version == 4 and all(number < 20 for number in address.packed)
    return address.is_private or address.is_link_local or small


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
    valid=_is_somebodys,
    sample=_is_internal,
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
    sample=_is_internal,
    words=_WORDS,
    examples=("client ⟦2a00:1450:4001:81b::200e⟧", "[⟦2606:4700:3030:0:0:0:6815:1001⟧]:443"),
    decoys=("::1", "std::vector", "a::b::c", "00:1a:2b:3c:4d:5e", "12:30:45", "fe::"),
)
