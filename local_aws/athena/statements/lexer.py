"""Tokens of Hive's and Athena's DDL, and a cursor over them that tells where it expected what."""

import re
from dataclasses import dataclass

from local_aws.athena.errors import QueryError, at

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)|(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")"""
    r"""|(?P<quoted>`[^`]*`)|(?P<number>\d+(?:\.\d+)?)|(?P<word>\w+)|(?P<sign><=|>=|<>|!=|.)""",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        return self.text.upper() if self.kind == "word" else self.text


class Tokens:
    """A statement's tokens and the place in them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = [
            Token(str(m.lastgroup), m.group(), m.start(), m.end())
            for m in _TOKEN.finditer(text)
            if m.lastgroup != "blank"
        ]
        while self._tokens and self._tokens[-1].text == ";":
            self._tokens.pop()
        self._position = 0

    @property
    def peek(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    @property
    def done(self) -> bool:
        return self.peek is None

    def words(self, count: int) -> list[str]:
        """The next tokens in capitals, without moving."""
        return [t.upper for t in self._tokens[self._position : self._position + count]]

    def next(self, wanted: str = "more") -> Token:
        token = self.peek
        if token is None:
            raise self.error(f"mismatched input '<EOF>'. Expecting: {wanted}")
        self._position += 1
        return token

    def accept(self, *words: str) -> bool:
        """Move over ``words`` if they come next."""
        if self.words(len(words)) == list(words):
            self._position += len(words)
            return True
        return False

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                raise self.unexpected(f"'{word}'")

    def unexpected(self, wanted: str) -> QueryError:
        token = self.peek
        shown = token.text if token is not None else "<EOF>"
        return self.error(f"mismatched input '{shown}'. Expecting: {wanted}")

    def error(self, message: str) -> QueryError:
        token = self.peek
        return at(self.text, token.start if token is not None else len(self.text), "SYNTAX_ERROR", message)

    def end(self) -> None:
        """Refuse anything left over."""
        if not self.done:
            raise self.unexpected("<EOF>")

    def rest(self) -> str:
        """The text from here to the end."""
        token = self.peek
        return "" if token is None else self.text[token.start : self._tokens[-1].end]

    def rest_start(self) -> int:
        token = self.peek
        return len(self.text) if token is None else token.start

    # -- parts -------------------------------------------------------------------------------------

    def name(self) -> str:
        """An identifier, plain or in backticks or double quotes, in lower case."""
        token = self.next("identifier")
        if token.kind == "word":
            return token.text.lower()
        if token.kind == "quoted" or (token.kind == "string" and token.text.startswith('"')):
            return token.text[1:-1].lower()
        self._position -= 1
        raise self.unexpected("identifier")

    def qualified(self) -> tuple[str | None, str]:
        """``table``, ``database.table`` or ``catalog.database.table``; also written in one pair of quotes."""
        parts = self.name().split(".")
        while self.accept("."):
            parts.append(self.name())
        return (parts[-2] if len(parts) > 1 else None), parts[-1]

    def string(self) -> str:
        token = self.next("string")
        if token.kind != "string":
            self._position -= 1
            raise self.unexpected("string")
        quote = token.text[0]
        body = token.text[1:-1].replace(quote * 2, quote)
        return re.sub(
            r"\\(.)",
            lambda m: _ESCAPES.get(m.group(1), m.group(1)) if not m.group(1).isdigit() else m.group(),
            body,
        )

    def properties(self) -> dict[str, str]:
        """``('key'='value', …)``."""
        self.expect("(")
        found: dict[str, str] = {}
        while not self.accept(")"):
            key = self.string()
            self.expect("=")
            found[key] = self.string()
            if not self.accept(",") and self.words(1) != [")"]:
                raise self.unexpected("',', ')'")
        return found

    def until(self, *stops: str) -> str:
        """The source text up to one of ``stops`` outside of brackets, blanks left out."""
        depth, parts = 0, []
        while (token := self.peek) is not None:
            if depth == 0 and token.upper in stops:
                break
            depth += {"(": 1, "<": 1, ")": -1, ">": -1}.get(token.text, 0)
            if depth < 0:
                break
            parts.append(token.text)
            self._position += 1
        return "".join(parts)
