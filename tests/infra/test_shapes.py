"""The template makes what the product declares: each resource, by its name, with its shape."""

import copy
import json
from typing import Any

import pytest

from infra.declared import Declared
from tests.infra.shapes import read
from tests.infra.template import Templates


def differences(templates: Templates, declared: Declared) -> list[str]:
    """A line for each thing in which the template is not what is declared."""
    lines = []
    for resource in declared.resources:
        try:
            found = read(templates, resource.kind, resource.name)
        except KeyError as error:
            lines.append(f"{resource.kind} {resource.name}: {error}")
            continue
        lines += [
            f"{resource.kind} {resource.name}: {what} is {found.get(what)}, expected {expected}"
            for what, expected in resource.shape.items()
            if found.get(what) != expected
        ]
    return lines


def test_the_template_makes_what_is_declared(templates: Templates, declared: Declared) -> None:
    assert differences(templates, declared) == []
    assert len(declared.resources) > 20


CHANGES: dict[str, tuple[str, str, Any, str]] = {
    "key of a table": (
        "AWS::DynamoDB::Table",
        "KeySchema",
        [{"AttributeName": "job_id", "KeyType": "HASH"}],
        "keys is",
    ),
    "stream": (
        "AWS::DynamoDB::Table",
        "StreamSpecification",
        {"StreamViewType": "KEYS_ONLY"},
        "stream is KEYS_ONLY",
    ),
    "visibility": ("AWS::SQS::Queue", "VisibilityTimeout", 1, "seconds hidden is 1"),
    "filter": (
        "AWS::Pipes::Pipe",
        "SourceParameters.FilterCriteria",
        {"Filters": [{"Pattern": json.dumps({"eventName": ["INSERT"]})}]},
        "filter is",
    ),
    "enforcement": (
        "AWS::Athena::WorkGroup",
        "WorkGroupConfiguration.EnforceWorkGroupConfiguration",
        True,
        "overrides the client's output location is True",
    ),
    "name": ("AWS::SNS::Topic", "TopicName", "others", "0 resources of type AWS::SNS::Topic"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_hand_is_named(change: str, templates: Templates, declared: Declared) -> None:
    type_, path, value, line = CHANGES[change]
    documents = copy.deepcopy(dict(templates.documents))
    for document in documents.values():
        for resource in document["Resources"].values():
            if resource["Type"] == type_:
                *parents, last = path.split(".")
                place = resource["Properties"]
                for parent in parents:
                    place = place[parent]
                if last in place:
                    place[last] = value
    found = differences(Templates(documents), declared)
    assert any(line in each for each in found), found
