"""Just enough of Athena's SQL to read it safely: tokens with their lines.

Strings, quoted identifiers and comments are told from code, so that a word inside one of them never counts.
What the tokens *mean* for an audit stays out: that is for ``query``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a token is. Comments and white space are none."""

    WORD = "word"
    QUOTED = "quoted identifier"
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "named parameter"
    SYMBOL = "symbol"


@dataclass(frozen=True)
class Token:
    """A piece of SQL: ``text`` as written, ``start`` and ``end`` as offsets into it, ``line`` from 1."""

    kind: Kind
    text: str
    start: int
    end: int
    line: int

    @property
    def word(self) -> str:
        """The upper-cased keyword or bare identifier; empty for every other kind."""
        return self.text.upper() if self.kind is Kind.WORD else ""


class LexError(ValueError):
    """SQL that can't be cut into tokens: ``line`` from 1, and what is wrong there."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


# The order matters: a comment is tried before the minus that begins it. A doubled quote stands for itself.
_TOKEN = re.compile(
    r"""
      (?P<skip>       \s+ | --[^\n]* | /\*.*?\*/ )
    | (?P<string>     '(?:[^']|'')*' )
    | (?P<quoted>     "(?:[^"]|"")*" )
    | (?P<word>       [^\W\d][\w$@]* )
    | (?P<number>     (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)? )
    | (?P<parameter>  :[A-Za-z_]\w* )
    | (?P<symbol>     ::|->|=>|<>|!=|<=|>=|\|\||. )
    """,
    re.VERBOSE | re.DOTALL,
)
_UNTERMINATED = {"'": "string", '"': "quoted identifier", "/*": "comment"}


def tokens(sql: str, first_line: int = 1) -> Iterator[Token]:
    """The tokens of ``sql``, whose first line has the number ``first_line`` in its file.

    Raises LexError for a string, quoted identifier or comment that doesn't end.
    """
    line, position = first_line, 0
    while match := _TOKEN.match(sql, position):
        text, kind = match.group(), match.lastgroup or "symbol"
        opened = "/*" if sql.startswith("/*", position) else text
        if kind == "symbol" and opened in _UNTERMINATED:
            raise LexError(line, f"a {_UNTERMINATED[opened]} begins here and never ends")
        if kind != "skip":
            yield Token(Kind[kind.upper()], text, match.start(), match.end(), line)
        line += text.count("\n")
        position = match.end()
