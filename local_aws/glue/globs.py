r"""Exclusion patterns of a crawler's S3 target.

Rules (AWS Glue Developer Guide, "Include and exclude patterns"): the pattern is matched against the path
relative to the include path; ``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[a-c]`` and
``[!a]`` are sets, ``{a,b}`` alternatives, ``\`` takes the next character literally.
"""

import re


class GlobError(ValueError):
    """A pattern that cannot be read."""


def compile_glob(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for ``fullmatch``. Raises GlobError."""
    out, depth, position = [], 0, 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if pattern.startswith("*", position):
                position += 1
                out.append(".*")
            else:
                out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[":
            text, position = _set(pattern, position)
            out.append(text)
        elif character == "{":
            depth += 1
            out.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            out.append(")")
        elif character == "," and depth:
            out.append("|")
        elif character == "\\" and position < len(pattern):
            out.append(re.escape(pattern[position]))
            position += 1
        else:
            out.append(re.escape(character))
    if depth:
        raise GlobError(f"exclusion {pattern!r}: '{{' is never closed")
    return re.compile("".join(out), re.DOTALL)


def _set(pattern: str, start: int) -> tuple[str, int]:
    end = pattern.find("]", start + 1)
    if end < 0:
        raise GlobError(f"exclusion {pattern!r}: '[' is never closed")
    body = pattern[start:end]
    negated = body.startswith("!")
    members = body[1:] if negated else body
    escaped = re.sub(r"([\\\]^&~|\[])", r"\\\1", members)
    return f"(?!/)[{'^' if negated else ''}{escaped}]", end + 1
