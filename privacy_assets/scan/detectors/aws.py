"""AWS credentials: access key id and secret access key.

IAM User Guide, "IAM identifiers, understanding unique ID prefixes": an access key's id starts with AKIA
(long-term), ASIA (temporary, STS), ABIA (STS bearer token) or ACCA (context-specific); ids of 16 characters
after it are base32. A secret has no mark at
all: forty characters of base64, so it must be called a secret or stand next to an id, and look random.
"""

from math import log2
from urllib.parse import unquote

from privacy_assets.scan.detectors.masks import KeepPrefix, ends
from privacy_assets.scan.detectors.shape import (
    NOT_INSIDE,
    Anywhere,
    Confidence,
    Detector,
    Form,
    Literals,
    Severity,
    pattern,
)

_PREFIXES = (b"AKIA", b"ASIA", b"ABIA", b"ACCA")
_PREFIX = "(?:AKIA|ASIA|ABIA|ACCA)"
_FORTY = r"""(?:(?<![A-Za-z0-9+/\\])|(?<=\\[nrt"])|(?<=%20)|(?<=%22)|(?<=%3[ADad]))
    (?P<value>(?:[A-Za-z0-9+]|\\?/|%2[BFbf]){40})(?![A-Za-z0-9+/=_-]|\\/|%2[BFbf])"""
_GIVEN = r"""(?: ["'`\\\])]{0,3} \s{0,8} (?:\[[\w*]{0,24}\])?
        (?: (?::[ ]?&?\w{1,24}[ ]?)? [:=]{1,2}>? | [,>(| \t] | \s{1,8}is[ ])
        [\s"'`\\|@(>-]{0,20} (?:(?<=[\s=:(,])[bru]["'])?
    | (?:%2[02]|%3[ADad]){1,4}
    | \s{0,8} (?:</?[A-Za-z][^<>]{0,80}>\s{0,8}){1,4})"""
"""What stands between a name and its value: an assignment, with a type or what was asked with, or tags."""
_BETWEEN = r"(?:[^A-Za-z0-9+/]{1,64}+[A-Za-z0-9+/]{1,64}+){0,12}?[^A-Za-z0-9+/]{1,64}"
"""At most twelve words between a secret and its id: possessive, or a long text would be tried in all ways."""


def is_example(value: str) -> bool:
    """Whether it is one of the values in AWS's own documentation, which all say so."""
    return "EXAMPLE" in value


def entropy(value: str) -> float:
    """Shannon's entropy in bits a character; forty random characters of base64 have 4.4 to 5.2."""
    size = len(value)
    return log2(size) - sum(count * log2(count) for count in map(value.count, set(value)) if count > 1) / size


def looks_secret(value: str) -> bool:
    """Whether it looks random: not hexadecimal (a SHA-1 has forty characters, too), not words, not a path.

    >>> looks_secret("da39a3ee5e6b4b0d3255bfef95601890afd80709")
    False
    """
    value = unquote(value.replace("\\/", "/"))
    if value.upper() == value or value.lower() == value or set(value) <= set("0123456789abcdefABCDEF"):
        return False
    # One secret in a thousand has letters alone, as the names in source code have; those repeat their
    # letters.
    enough = 4.4 if value.isalpha() else 4.0
    # So many different characters are random enough, even if all that is left repeats one of them.
    most = len(value) - len(set(value)) + 1
    return log2(len(value)) - most * log2(most) / len(value) >= enough or entropy(value) >= enough


AWS_ACCESS_KEY_ID = Detector(
    name="aws_access_key_id",
    version=2,
    title="AWS access key id",
    severity=Severity.HIGH,
    forms=(
        Form(
            Literals(_PREFIXES),
            pattern(rf"{NOT_INSIDE}{_PREFIX}[A-Z2-7]{{16}}(?!_?[A-Za-z0-9])"),
            alone=Confidence.HIGH,
        ),
        Form(  # no id that AWS gives, but one that people make up, or of a kind that others look for
            Literals((*_PREFIXES, b"A3T")),
            pattern(rf"{NOT_INSIDE}(?:{_PREFIX}|A3T[A-Z0-9])[A-Z0-9]{{16}}(?!_?[A-Za-z0-9])"),
            alone=Confidence.LOW,
            supported=Confidence.MEDIUM,
        ),
    ),
    mask=KeepPrefix("[A-Z]{4}"),
    sample=is_example,
    words=("aws", "access key", "access key id", "accesskeyid", "key id", "amazon", "credential"),
    examples=(
        "aws_access_key_id=⟦AKIA‹A-Z2-7×16›⟧",
        '{"AccessKeyId":"⟦ASIA‹A-Z2-7×16›⟧"}',
        "https://bucket/?X-Amz-Credential=⟦AKIA‹A-Z2-7×16›⟧%2F20260101%2Fus-east-1",
        "Credential%3D⟦AKIA‹A-Z2-7×16›⟧%2F20260101",
        "⟦ABIA‹A-Z2-7×16›⟧",
        "⟦ACCA‹A-Z2-7×16›⟧",
        r"[default]\n⟦AKIA‹A-Z2-7×16›⟧\n",
        "⟦AKIA‹A-Z0-9×16›⟧",
        "⟦A3TX‹A-Z0-9×16›⟧",
    ),
    decoys=(
        "AKIA‹A-Z2-7×15›",
        "AKIA‹A-Z2-7×17›",
        "xAKIA‹A-Z2-7×16›",
        "AKIA‹a-z×16›",
        "AROA‹A-Z2-7×16›",
    ),
)

AWS_SECRET_ACCESS_KEY = Detector(
    name="aws_secret_access_key",
    version=3,
    title="AWS secret access key",
    severity=Severity.CRITICAL,
    forms=(
        Form(
            Literals((b"secret",), ignore_case=True),
            pattern(
                rf"""secret [_ .-]? access [\w .-]{{0,30}} (?:[^A-Za-z0-9+/]{{1,20}} | {_GIVEN}) \s{{0,20}}
                    {_FORTY}""",
                ignore_case=True,
            ),
            alone=Confidence.HIGH,
        ),
        Form(
            Literals((b"secret",), ignore_case=True),
            pattern(
                rf"secret (?: [_ .-]? key)? (?: [_.-]?[\w.-]{{1,20}})? {_GIVEN} {_FORTY}",
                ignore_case=True,
            ),
        ),
        Form(  # a name and a value, as in Kubernetes, CloudFormation and Hadoop
            Literals((b"secret",), ignore_case=True),
            pattern(
                rf"""secret [_ .-]? (?:access)? [_ .-]? (?:key)? [\w.-]{{0,20}} [\s"'`\\,<;]
                    \s{{0,4}} [{{]? [^{{}}]{{0,120}}? (?:value|default)\b [^A-Za-z0-9+/]{{1,20}} {_FORTY}""",
                ignore_case=True,
            ),
        ),
        Form(
            Literals((b"aws_key", b"aws-key", b"awskey", b"aws_sk", b"awssk"), ignore_case=True),
            pattern(
                rf"aws [_-]? (?:key|sk) {_GIVEN} {_FORTY}",
                ignore_case=True,
            ),
        ),
        Form(Anywhere(column=("secret", "secret key", "secretkey", "aws key")), pattern(_FORTY)),
        Form(
            Literals(_PREFIXES),
            pattern(rf"{_PREFIX}[A-Z0-9]{{16}}(?![A-Za-z0-9_]) {_BETWEEN} {_FORTY}"),
            alone=Confidence.HIGH,
        ),
        Form(
            Literals(_PREFIXES, before=200, after=32, needs=pattern(r"[A-Za-z0-9+/\\]{40}")),
            pattern(rf"{_FORTY} {_BETWEEN} {_PREFIX}[A-Z0-9]{{16}}(?![A-Za-z0-9_])"),
            alone=Confidence.HIGH,
        ),
    ),
    mask=ends,
    valid=looks_secret,
    sample=is_example,
    words=("aws", "amazon", "access key", "secret access key", "secretaccesskey", "s3", "iam"),
    examples=(
        "aws_secret_access_key=⟦‹A-Za-z0-9/+×40›⟧",
        "AWS_SECRET_ACCESS_KEY='⟦‹A-Za-z0-9/+×40›⟧'",
        "aws_secret_access_key = ⟦‹A-Za-z0-9/+×40›⟧\naws_session_token = x",
        '{"SecretAccessKey": "⟦‹A-Za-z0-9+×20›\\/‹A-Za-z0-9+×19›⟧"}',
        r'"{\"SecretAccessKey\":\"⟦‹A-Za-z0-9/+×40›⟧\"}"',
        "<SecretAccessKey>⟦‹A-Za-z0-9/+×40›⟧</SecretAccessKey>",
        'secret_key = "⟦‹A-Za-z0-9/+×40›⟧"',
        "AKIA‹A-Z2-7×16›,⟦‹A-Za-z0-9/+×40›⟧",
        '{"id":"AKIA‹A-Z2-7×16›","key":"⟦‹A-Za-z0-9/+×40›⟧"}',
        "⟦‹A-Za-z0-9/+×40›⟧ of AKIA‹A-Z2-7×16›",
        "--aws-secret-key ⟦‹A-Za-z0-9/+×40›⟧",
        "Secret access key: ⟦‹A-Za-z0-9/+×40›⟧",
        "  secretAccessKey: ⟦‹A-Za-z0-9/+×40›⟧",
        '- name: AWS_SECRET_ACCESS_KEY\n  value: "⟦‹A-Za-z0-9/+×40›⟧"',
        '{"Name":"AWS_SECRET_ACCESS_KEY","Type":"String","Value":"⟦‹A-Za-z0-9/+×40›⟧"}',
        "<name>fs.s3a.secret.key</name>\n<value>⟦‹A-Za-z0-9/+×40›⟧</value>",
        "aws_key=⟦‹A-Za-z0-9/+×40›⟧",
        "name,secret_access_key\nada,⟦‹A-Za-z0-9/+×40›⟧\n",
        "AWS Secret Access Key [None]: ⟦‹A-Za-z0-9/+×40›⟧",
        'variable "aws_secret_key" {\n  type = string\n  default = "⟦‹A-Za-z0-9/+×40›⟧"\n}',
        "my aws secret key is ⟦‹A-Za-z0-9/+×40›⟧",
        'kAmazonS3SecretKey = @"⟦‹A-Za-z0-9/+×40›⟧";',
        'let secret_access_key: &str = "⟦‹A-Za-z0-9/+×40›⟧";',
        'aws_secret_key=b"⟦‹A-Za-z0-9/+×40›⟧"',
        "<td>Secret access key</td><td>⟦‹A-Za-z0-9/+×40›⟧</td>",
        "<key>AWSSecretKey</key>\n<string>⟦‹A-Za-z0-9/+×40›⟧</string>",
        "AWS_SECRET_ACCESS_KEY\n⟦‹A-Za-z0-9/+×40›⟧",
        "ParameterKey=AwsSecretKey,ParameterValue=⟦‹A-Za-z0-9/+×40›⟧",
        "AWS_SECRET_KEY_PROD=⟦‹A-Za-z0-9/+×40›⟧",
        '.withSecretKey("⟦‹A-Za-z0-9/+×40›⟧")',
        "aws_secret%3D⟦‹A-Za-z0-9/+×19›%2F%2B‹A-Za-z0-9/+×19›⟧%26",
        "| `aws_secret` | `⟦‹A-Za-z0-9/+×40›⟧` |",
    ),
    decoys=(
        "aws_secret_access_key=da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "aws_secret_access_key=‹A-Za-z0-9/+×39›",
        "aws_secret_access_key=‹A-Za-z0-9/+×41›",
        "commit=‹A-Za-z0-9/+×40›",
        "secret,commit\nno,‹A-Za-z0-9/+×40›\n",
        "secret_name: this/is/the/path/of/a/secret/of/the/team",
        "<td>Secret</td><td>x</td><td>Commit</td><td>y</td><td>‹A-Za-z0-9/+×40›</td>",
        "no secret here, but etag ‹A-Za-z0-9/+×40›",
    ),
)
