"""Regular expressions: Java's syntax run by RE2 (https://trino.io/docs/current/functions/regexp.html).

What RE2 has no word for (look-around, back-references, possessive quantifiers) is refused by name.
"""

import re

from local_aws.athena import types
from local_aws.athena.sql.core import Value
from local_aws.athena.sql.functions.call import Call, function
from local_aws.athena.types import BIGINT, BOOLEAN, VARCHAR, literal

_REFUSED = re.compile(r"(?<!\\)(?:\\\\)*(\(\?(?:[=!>]|<[=!])|\\[1-9]|\\k<|[*+?}]\+)")
_JAVA_NAMES = {
    r"\h": r"[ \t\xA0]", r"\R": r"(?:\r\n|[\n\r])", r"\Z": r"\z", r"\e": r"\x1b",
    r"\p{Alpha}": "[A-Za-z]", r"\p{Digit}": "[0-9]", r"\p{Alnum}": "[0-9A-Za-z]", r"\p{Upper}": "[A-Z]",
    r"\p{Lower}": "[a-z]", r"\p{Punct}": "[[:punct:]]", r"\p{Space}": r"\s", r"\p{IsAlphabetic}": r"\pL",
    r"\p{IsDigit}": r"\p{Nd}",
}  # fmt: skip


def to_re2(pattern: str) -> str | None:
    """The pattern for RE2; None when it needs what RE2 can't do."""
    if _REFUSED.search(pattern):
        return None
    for java, other in _JAVA_NAMES.items():
        pattern = pattern.replace(java, other)
    # Java names groups (?<name>…)
    return re.sub(r"\(\?<([A-Za-z]\w*)>", r"(?P<\1>", pattern)


def _pattern(call: Call, i: int = 1) -> str:
    value = call.value(i)
    if not isinstance(value.constant, str):
        return call.text(i)
    found = to_re2(value.constant)
    if found is None:
        raise call.c.query.error(
            call.nodes[i],
            "NOT_SUPPORTED",
            f"the regular expression '{value.constant}' needs what RE2 lacks: it is not supported",
        )
    return literal(found)


@function("regexp_like")
def regexp_like(call: Call) -> Value:
    """Whether the pattern is found anywhere."""
    call.expect(2)
    return Value(f"regexp_matches({call.text(0)}, {_pattern(call)})", BOOLEAN)


@function("regexp_extract")
def regexp_extract(call: Call) -> Value:
    """NULL where nothing is found; DuckDB gives an empty text."""
    call.expect(2, 3)
    text, pattern = call.text(0), _pattern(call)
    group = f", CAST({call.whole(2)} AS INTEGER)" if call.count == 3 else ""
    found = f"regexp_extract({text}, {pattern}{group})"
    return Value(f"(CASE WHEN regexp_matches({text}, {pattern}) THEN {found} END)", VARCHAR)


@function("regexp_extract_all")
def regexp_extract_all(call: Call) -> Value:
    call.expect(2, 3)
    group = f", CAST({call.whole(2)} AS INTEGER)" if call.count == 3 else ""
    return Value(f"regexp_extract_all({call.text(0)}, {_pattern(call)}{group})", types.array(VARCHAR))


@function("regexp_replace")
def regexp_replace(call: Call) -> Value:
    """All matches; ``$1`` and ``${name}`` stand for groups, ``\\$`` for a dollar."""
    call.expect(2, 3)
    if call.count == 3 and call.nodes[2].key == "lambda":
        raise call.c.query.error(
            call.nodes[2], "NOT_SUPPORTED", "regexp_replace with a lambda is not supported"
        )
    new = "''"
    if call.count == 3:
        known = call.value(2).constant
        new = literal(_replacement(known, call)) if isinstance(known, str) else call.text(2)
    return Value(f"regexp_replace({call.text(0)}, {_pattern(call)}, {new}, 'g')", VARCHAR)


def _replacement(text: str, call: Call) -> str:
    """Java's replacement as RE2's: ``$1`` is ``\\1``."""

    def one(match: re.Match[str]) -> str:
        whole = match.group()
        if whole.startswith("\\"):
            return "\\\\" if whole[1] == "\\" else whole[1]
        if whole.startswith("${"):
            pattern = call.value(1).constant
            names = (
                re.compile(re.sub(r"\(\?<([A-Za-z])", r"(?P<\1", pattern)).groupindex
                if isinstance(pattern, str)
                else {}
            )
            return f"\\{names.get(whole[2:-1], 0)}"
        return f"\\{whole[1:]}"

    return re.sub(r"\\.|\$\{\w+\}|\$\d", one, text)


@function("regexp_count")
def regexp_count(call: Call) -> Value:
    call.expect(2)
    return Value(f"len(regexp_extract_all({call.text(0)}, {_pattern(call)}))", BIGINT)


@function("regexp_position")
def regexp_position(call: Call) -> Value:
    call.expect(2)
    text, pattern = call.text(0), _pattern(call)
    before = f"list_extract(regexp_split_to_array({text}, {pattern}), 1)"
    return Value(
        f"(CASE WHEN {text} IS NULL THEN NULL WHEN regexp_matches({text}, {pattern}) THEN "
        f"length({before}) + 1 ELSE -1 END)",
        BIGINT,
    )


@function("regexp_split")
def regexp_split(call: Call) -> Value:
    call.expect(2)
    return Value(f"regexp_split_to_array({call.text(0)}, {_pattern(call)})", types.array(VARCHAR))
