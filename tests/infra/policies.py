"""What a synthesized role allows, decided as IAM decides: by action, resource and condition."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.infra.allowed import Need
from tests.infra.template import Templates


@dataclass(frozen=True)
class Grant:
    """One action on some resources, under conditions."""

    sid: str
    action: str
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def allows(self, need: Need) -> bool:
        return (
            _matches(self.action, need.action)
            and any(_matches(resource, need.resource) for resource in self.resources)
            and all(_holds(each, dict(need.context)) for each in self.conditions)
        )


def grants(templates: Templates, part: str) -> list[Grant]:
    """What the role of a part allows. Raises KeyError when there is no such role."""
    role = templates.one("AWS::IAM::Role", RoleName=f"privacy-{part}").properties
    return [grant for policy in role["Policies"] for grant in _grants(policy["PolicyDocument"])]


def _grants(document: Mapping[str, Any]) -> Iterator[Grant]:
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow", "the evaluator knows no Deny"
        assert not {"NotAction", "NotResource"} & set(statement), "the evaluator knows no exceptions"
        conditions = tuple(
            (operator, key, tuple(_listed(values)))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
        for action in _listed(statement["Action"]):
            yield Grant(statement.get("Sid", ""), action, tuple(_listed(statement["Resource"])), conditions)


def _holds(condition: tuple[str, str, tuple[str, ...]], context: Mapping[str, str]) -> bool:
    operator, key, values = condition
    assert operator in ("StringEquals", "ForAnyValue:StringEquals", "ArnEquals", "ArnLike"), operator
    found = context.get(key)
    if found is None:
        return False  # as in IAM: what isn't there equals nothing
    if operator.startswith("Arn"):
        return any(_matches(value, found) for value in values)
    return found in values


def _matches(pattern: str, text: str) -> bool:
    """IAM's wildcards; its other signs mean themselves."""
    return fnmatch.fnmatchcase(text, re.sub(r"([\[\]])", r"[\1]", pattern))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
