"""E-mail address: RFC 5321 §4.1.2 as people have them, with internationalised mailboxes and domains (RFC
6531).

A mailbox may hold almost any character; those that delimit in code, logs and tables (``= / ' | { } & ?``) are
taken to delimit. What has an ``@`` and a dot and is no address: image sizes (``logo@2x.png``), package
versions, ``git@github.com:``, the password of a URL, and message ids.
"""

import re
import string

from privacy_assets.scan.detectors.masks import email
from privacy_assets.scan.detectors.shape import (
    Detector,
    Form,
    Literals,
    Severity,
    listed,
    pattern,
)

# Letters beyond ASCII as UTF-8: U+00C0 to U+053F, and three-byte scripts without their punctuation;
# characters beyond U+FFFF are ancient scripts and pictures.
_LETTER2 = r"(?:\xc3[\x80-\x96\x98-\xb6\xb8-\xbf]|[\xc4-\xd4][\x80-\xbf])"
_LETTER3 = r"(?:(?:[\xe0\xe1\xe4-\xed][\x80-\xbf]|\xe3[\x81-\xbf])[\x80-\xbf])"
# A per cent sign, and not what begins an escape in a URL, unless that is of a plus.
_PERCENT = r"%(?![2-57][0-9A-Fa-f])|%2[Bb]"
_MAILBOX = rf"(?:[DLMOdlmo]')?(?:[A-Za-z0-9_]|{_LETTER2}) (?:[A-Za-z0-9._+-]|{_PERCENT}|{_LETTER2}){{0,63}}"
_LEAD = bytes([*b"._%+-'", *string.ascii_letters.encode(), *string.digits.encode(), *range(0x80, 0x100)])
_LABEL = rf"(?:[A-Za-z0-9]|{_LETTER2}|{_LETTER3}) (?:(?:[A-Za-z0-9-]|{_LETTER2}|{_LETTER3}){{0,62}}(?<!-))?"
_TOP = rf"(?:[Xx][Nn]--[A-Za-z0-9-]{{2,59}}|[A-Za-z]{{2,24}}|(?:{_LETTER2}|{_LETTER3}){{2,24}})"

_DOMAIN = rf"(?:{_LABEL}[.]){{1,8}}{_TOP}(?![A-Za-z0-9@]|[-_.][A-Za-z0-9]|:[/~])"
_BEGIN = r"""(?:(?<![A-Za-z0-9._%+-])(?!(?<=\\)[nrt])|(?<=\\[nrt])|(?<=%[2-57][0-9A-Fa-f])
    |(?<=(?<![A-Za-z0-9._%+-])[-.+])|(?<=--)|(?<=[.][.]))"""

_EXTENSIONS = listed(
    """
    png jpg jpeg gif svg webp bmp ico tif tiff avif css scss sass less js jsx mjs cjs ts tsx json html
    htm xml yaml yml toml ini txt csv pdf exe dll jar war tar tgz gz whl egg rpm deb apk ipa dmg iso
    dylib lib obj class java kt swift go rb php pyc lock log bak tmp map min woff woff ttf otf eot wasm
    wav avi mkv service socket timer target mount
    """
)
_RESERVED = listed(
    """
    example test invalid localhost local internal lan corp home localdomain
    """
)
"""RFC 2606 and RFC 6762: names that are nobody's in the public net."""
_COUNTRIES = listed(
    """
    ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw
    by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et
    eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id
    ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu
    lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np
    nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk
    sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy
    uz va vc ve vg vi vn vu wf ws ye yt za zm zw
    """
)
"""Two-letter domains: ISO 3166-1 and those that are delegated beside it (IANA root zone)."""


def valid(value: str) -> bool:
    """Whether mail could be delivered to it: lengths, dots, and a top-level domain that can exist.

    >>> valid("jane.doe@example.co.uk"), valid("logo@2x.png"), valid("a..b@example.com")
    (True, False, False)
    """
    mailbox, _, domain = value.rpartition("@")
    top = domain.rpartition(".")[2].lower()
    if domain.startswith("["):
        return all(int(part) < 256 for part in domain[1:-1].split("."))
    return (
        len(mailbox.encode()) <= 64
        and (mailbox.startswith('"') or (".." not in mailbox and not mailbox.endswith(".")))
        and top not in _EXTENSIONS
        and (len(top) != 2 or top in _COUNTRIES or not top.isascii())
    )


def sample(value: str) -> bool:
    """Whether its domain is reserved for documentation, or known inside a network alone."""
    labels = value.rpartition("@")[2].lower().split(".")
    return labels[-1] in _RESERVED or (labels[-2] == "example" and labels[-1] in {"com", "net", "org"})


EMAIL = Detector(
    name="email",
    version=3,
    title="E-mail address",
    severity=Severity.MEDIUM,
    forms=(
        Form(
            not_after=pattern(r"://[^\s/@]{0,60}:\Z"),
            anchor=Literals((b"@",), before=132, lead=_LEAD, after=330),
            pattern=re.compile(
                (
                    rf"{_BEGIN}(?<!://)(?<!{_LETTER2[3:-1].split('|')[1]})"
                    r"(?!git@[A-Za-z0-9.-]{1,80}[:/])"
                    rf"(?P<value>{_MAILBOX}@{_DOMAIN})"
                ).encode("latin-1"),
                re.VERBOSE,
            ),
        ),
        Form(  # a quoted mailbox
            Literals((b'"@',), before=66, after=330),
            re.compile(
                rf"""(?<![A-Za-z0-9"])(?P<value>"[A-Za-z0-9](?:[^"\\\x00-\x1f<>]|\\.){{0,61}}"@{_DOMAIN})""".encode(
                    "latin-1"
                ),
                re.VERBOSE,
            ),
        ),
        Form(  # a machine instead of a domain
            Literals((b"@[",), before=132, lead=_LEAD, after=20),
            re.compile(
                rf"{_BEGIN}(?P<value>{_MAILBOX}@\[[0-9]{{1,3}}(?:[.][0-9]{{1,3}}){{3}}\])".encode("latin-1"),
                re.VERBOSE,
            ),
        ),
    ),
    mask=email,
    valid=valid,
    sample=sample,
    words=(
        "email",
        "e mail",
        "mail",
        "mailto",
        "contact",
        "user",
        "username",
        "login",
        "from",
        "to",
        "cc",
        "bcc",
        "author",
    ),
    unless=("message id", "in reply to", "references", "msgid", "content id", "cid"),
    examples=(
        "user=⟦jane.doe@gmail.com⟧",
        "mail to ⟦jane+news@mail.shop.co.uk⟧.",
        '{"email":"⟦j_doe-1@corp-mail.io⟧"}',
        "<⟦jane@example.org⟧>",
        "'⟦jane@example.org⟧'",
        "Pat <⟦o'brien@example.org⟧>",
        "mailto:⟦jane@example.org⟧?subject=x",
        "⟦jörg@müller.de⟧",
        "⟦user@例子.中国⟧",
        "⟦jane@xn--mller-kva.de⟧",
        "a,⟦jane@example.org⟧,b",
        "Jane ⟦jane@example.org⟧; John",
        "邮箱：⟦jane@example.org⟧。",
        "x@y, ⟦jane@example.org⟧",
        "%40 ⟦jane%doe@example.org⟧",
        "?next=mail%3D⟦jane@example.org⟧%26x",
        "%22⟦jane%2Bnews@example.org⟧%22",
        '⟦"jane doe"@example.org⟧',
        "⟦jane@[192.0.2.1]⟧",
        "-⟦jane@example.org⟧",
        "--⟦jane@example.org⟧-- left",
        r"'to:\n⟦ned@example.org⟧\n'",
        "⟦jane@notion.so⟧",
    ),
    decoys=(
        "logo@2x.png",
        "react@18.2.0",
        "git@github.com:owner/repository.git",
        "https://user:word@example.com/",
        "https://user@example.com/",
        "Message-ID: <20260101.1234@mail.example.org>",
        "In-Reply-To: <20260101.1234@mail.example.org>",
        "@app.route",
        "jane@localhost",
        "a@b",
        "@types/node@18.0.0",
        '{"type":"@context.org","x":["a","@b.org"]}',
        "jane@[300.0.2.1]",
        "foo@1.2.3-rc.io1",
        "uses: actions/checkout@v4.1.js",
    ),
)
