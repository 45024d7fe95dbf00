"""Text in Markdown, which is what Dagster shows of metadata."""

import re


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line: what it could take for markup is escaped.

    >>> escaped("a_b|c")
    'a\\\\_b\\\\|c'
    """
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", " ".join(text.split()))
