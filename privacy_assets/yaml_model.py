"""A YAML file read into a pydantic model; a mistake is one line: file, line, path, what, what was
expected.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
Error = dict[str, Any]
"""A mistake as pydantic tells it: ``type``, ``loc``, ``msg``, ``input``, ``ctx``."""


class ProblemsError(ValueError):
    """What is wrong with a file, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def read(
    path: Path, model: type[Model], expected: str, words: Callable[[Error], str] | None = None
) -> tuple[Model, yaml.Node | None]:
    """The file as ``model``, and its nodes for ``line_of``. ``expected`` ends the sentences about the whole
    file; ``words`` puts what pydantic says of a value into words.

    Raises ProblemsError with every mistake found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProblemsError([f"{path}: {error.strerror or error}, expected {expected}"]) from None
    except UnicodeDecodeError:
        raise ProblemsError([f"{path}: not UTF-8, expected {expected}"]) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = _Strict(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ProblemsError([f"{path}:{line}: {error.problem or error.context}, expected YAML"]) from None
    except yaml.YAMLError as error:
        raise ProblemsError([f"{path}: {str(error).splitlines()[0]}, expected YAML"]) from None
    if not isinstance(data, dict):
        raise ProblemsError([f"{path}:1: no mapping, expected {expected}"])
    try:
        return model.model_validate(data), root
    except ValidationError as error:
        mistakes = _own([dict(item) for item in error.errors()])
        said = words or plain_words
        raise ProblemsError([_problem(path, root, item, said) for item in mistakes]) from None


def line_of(root: yaml.Node | None, location: tuple[Any, ...]) -> int:
    """The line of the deepest part of ``location`` that is in the file."""
    node, line = root, 1
    for part in location:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line


class _Strict(yaml.SafeLoader):
    """YAML in which a key stands once: a second one would silently take the first one's place."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is no text (quote it)", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _own(errors: list[Error]) -> list[Error]:
    """Without the lists that are called too short only because an entry of theirs is wrong."""
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(
            other is not error and other["loc"][: len(error["loc"])] == error["loc"] for other in errors
        )
    ]


def _problem(path: Path, root: yaml.Node | None, error: Error, words: Callable[[Error], str]) -> str:
    parts = tuple(part for part in error["loc"] if part != "[key]")
    location = _written(root, parts, error["type"] == "missing")
    where = ".".join(str(part) for part in location)
    if error["type"] == "missing":
        message = "missing, expected a value"
    elif error["type"] == "value_error":
        message = str(error["msg"]).removeprefix("Value error, ")
    else:
        message = words(error)
    return f"{path}:{line_of(root, location)}: {where + ': ' if where else ''}{message}"


def _written(root: yaml.Node | None, location: tuple[Any, ...], is_missing: bool) -> tuple[Any, ...]:
    """``location`` without the tags that pydantic puts in for the member of a union: the file has none.

    What the file has not either is a last part that ``is_missing``.
    """
    found: list[Any] = []
    node = root
    for number, part in enumerate(location):
        inside = _child(node, part)
        is_last = number == len(location) - 1
        if inside is None and isinstance(node, yaml.MappingNode) and not (is_last and is_missing):
            continue
        found.append(part)
        node = inside
    return tuple(found)


def _child(node: yaml.Node | None, part: Any) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        found: yaml.Node = node.value[part]
        return found
    return None


def plain_words(error: Error) -> str:
    """What is wrong with a value, in pydantic's words."""
    if error["type"] == "extra_forbidden":
        return "unknown, expected one of the documented fields"
    message, value = str(error["msg"]), error.get("input")
    plain = isinstance(value, str | int | float | bool | type(None))
    return f"{repr(value) if plain else type(value).__name__}, expected: {message[0].lower()}{message[1:]}"
