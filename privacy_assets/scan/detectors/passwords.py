"""Passwords: no form of their own, so they are known by their place. What stands there is often not one: a
variable, a call, a type, a placeholder.
"""

import re

from privacy_assets.scan.detectors.masks import hide
from privacy_assets.scan.detectors.shape import (
    Confidence,
    Detector,
    Form,
    Literals,
    Severity,
    listed,
    pattern,
)

_PLACEHOLDERS = listed(
    """
    password passwd pass pwd passphrase secret your_password yourpassword your-password mypassword my_password
    changeme change_me change-me example null none nil true false undefined string str text required optional
    empty todo tbd redacted hidden masked user username test dummy foo bar foobar placeholder value default
    prompt input env var variable
    """
)
_CODE = re.compile(r"[A-Za-z_]\w*(?:(?:[.:]|->)+[A-Za-z_]\w*)+|[A-Za-z_]+\W*|[A-Z][A-Z0-9_]+|[\d.:]{1,5}")
_REFERENCE = re.compile(r"[$%<{\[(@&*!#]|.*(?:\$\{|\{\{|%\(|%s|\(|\)|\[|\]|[*]{3}|[.]{3}|[xX]{4})")


def is_written_out(value: str) -> bool:
    """Whether it could be a password, and not a placeholder or a reference to one.

    >>> is_written_out("correct-horse-7"), is_written_out("${DB_PASSWORD}"), is_written_out("changeme")
    (True, False, False)
    """
    plain = value.lower().strip("<>[]{}'\"").rstrip("0123456789!")
    return not (
        plain in _PLACEHOLDERS or _REFERENCE.match(value) or len(set(value)) < 4 or _CODE.fullmatch(value)
    )


_NAME = r"(?:pass(?:word|wd|phrase|code)|pwd) (?:[_-]?(?:value|plain|text|hash)?) [0-9]{0,2}"
_WORDS = (b"password", b"passwd", b"passphrase", b"passcode", b"pwd")

PASSWORD = Detector(
    name="password",
    version=2,
    title="Password in an assignment",
    severity=Severity.HIGH,
    forms=(
        Form(  # in quotes
            Literals(_WORDS, ignore_case=True),
            pattern(
                _NAME
                + r"""(?:\\?["'`])? \]? [ \t]{0,8} (?::=|=>|==?|:) [ \t]{0,8} [bru]? \\?["'`]
                (?P<value>[^"'`\s\\]{4,128}) (?=\\?["'`])""",
                ignore_case=True,
            ),
        ),
        Form(  # to the end of the line, the parameter or the element
            Literals(_WORDS, ignore_case=True),
            pattern(
                _NAME
                + r"""[ \t]{0,8} (?:=|:[ \t]) [ \t]{0,8} (?![~./])
                (?P<value>[^"'`\s\\;,&<>()]{5,128}) (?=[\s;&"'`\\]|,[ ]|,$|\Z)""",
                ignore_case=True,
            ),
        ),
        Form(  # to the end of the line, as in YAML: no parameters follow
            Literals(_WORDS, ignore_case=True),
            pattern(
                _NAME
                + r"""[ \t]{0,8} :[ \t] [ \t]{0,8} (?![~./])
                (?P<value>[^"'`\s\\,<>()]{5,128}) (?=[ \t]{0,8}(?:[\r\n]|\Z))""",
                ignore_case=True,
            ),
        ),
        Form(
            Literals(_WORDS, ignore_case=True),
            pattern(_NAME + r"> [ \t]{0,4} (?P<value>[^<>\s]{4,128}) [ \t]{0,4}</", ignore_case=True),
        ),
    ),
    mask=hide,
    valid=is_written_out,
    generic=True,
    examples=(
        'password = "⟦c0rrect-h0rse!⟧"',
        "DB_PASSWORD=⟦c0rrect-h0rse!⟧\n",
        '{"password": "⟦c0rrect-h0rse!⟧", "x": 1}',
        "password: ⟦c0rrect-h0rse!⟧\n",
        "password: ⟦hunt3rs2⟧",
        "password: ⟦Tr0ub4dor&3⟧\n",
        "<password>⟦c0rrect-h0rse!⟧</password>",
        "Server=x;Uid=y;Pwd=⟦c0rrect-h0rse!⟧;",
        "login?user=x&password=⟦c0rrect-h0rse⟧&next=1",
    ),
    decoys=(
        "password = os.environ['DB_PASSWORD']",
        "password: ${DB_PASSWORD}",
        "password=password",
        "password=password1",
        "password: String",
        "password = user.password",
        'password = "********"',
        'password: "changeme"',
        "<password></password>",
        "enter your password: ",
        "password = get_password()",
        "PWD=/home/jane",
    ),
)

PASSWORD_IN_URL = Detector(
    name="password_in_url",
    version=1,
    title="Password in a URL",
    severity=Severity.HIGH,
    forms=(
        Form(
            Literals((b"://",)),
            pattern(r"""://[^\s:/?#@"'`<>\\]{0,64}:(?P<value>[^\s/@"'`<>\\]{3,128})@(?=[A-Za-z0-9\[])"""),
            alone=Confidence.HIGH,
        ),
    ),
    mask=hide,
    valid=is_written_out,
    generic=True,
    examples=(
        "postgres://app:⟦c0rrect-h0rse!⟧@db.example.com:5432/app",
        "redis://:⟦c0rrect-h0rse⟧@cache:6379",
    ),
    decoys=(
        "postgres://user:password@localhost/app",
        "postgres://app:${DB_PASSWORD}@db/app",
        "https://example.com:8080/a@b",
        "https://app@example.com/",
        "https://<user>:<password>@example.com/",
    ),
)
