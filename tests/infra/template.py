"""Synthesized templates as tests read them: with what CloudFormation would put in the place of references."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_NAMES = (
    "RoleName",
    "QueueName",
    "TableName",
    "BucketName",
    "TopicName",
    "Name",
    "AlarmName",
    "LogGroupName",
    "Family",
)


@dataclass(frozen=True)
class Found:
    """One resource of a template, its references resolved."""

    stack: str
    id: str
    type: str
    properties: Mapping[str, Any]
    resource: Mapping[str, Any]


class Templates:
    """The templates of one stage, by stack."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]], protected: Collection[str] = ()) -> None:
        self.documents = documents
        self.protected = set(protected)
        self._exports = {
            output["Export"]["Name"]: (stack, output["Value"])
            for stack, document in documents.items()
            for output in document.get("Outputs", {}).values()
            if "Export" in output
        }

    @classmethod
    def read(cls, out: Path, stage: str) -> "Templates":
        beginning = f"privacy-{stage}-"
        files = sorted(out.glob(f"{beginning}*.template.json"))
        artifacts = json.loads((out / "manifest.json").read_text())["artifacts"]
        return cls(
            {
                path.name.removesuffix(".template.json").removeprefix(beginning): json.loads(path.read_text())
                for path in files
            },
            {
                name.removeprefix(beginning)
                for name, each in artifacts.items()
                if name.startswith(beginning) and each.get("properties", {}).get("terminationProtection")
            },
        )

    def all(self, *types: str) -> Iterator[Found]:
        """All resources of the types (of any, when none is named), resolved."""
        for stack, document in self.documents.items():
            for logical, resource in document["Resources"].items():
                if not types or resource["Type"] in types:
                    properties = self._resolved(stack, resource.get("Properties", {}))
                    yield Found(stack, logical, resource["Type"], properties, resource)

    def one(self, type_: str, **named: Any) -> Found:
        """The one resource of a type whose properties are as named. Raises KeyError."""
        found = [
            each
            for each in self.all(type_)
            if all(each.properties.get(name) == value for name, value in named.items())
        ]
        if len(found) != 1:
            raise KeyError(f"{len(found)} resources of type {type_} with {named}, expected one")
        return found[0]

    def _resolved(self, stack: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(stack, each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return _PSEUDO.get(argument) or self._reference(stack, argument)
            if function == "Fn::GetAtt":
                return self._attribute(stack, *argument)
            if function == "Fn::Join":
                return argument[0].join(str(self._resolved(stack, each)) for each in argument[1])
            if function == "Fn::ImportValue":
                return self._resolved(*self._exports[argument])
        return {name: self._resolved(stack, each) for name, each in value.items()}

    def _reference(self, stack: str, logical: str) -> str:
        resource = self.documents[stack]["Resources"].get(logical)
        if resource is None:
            return f"${{{logical}}}"
        properties = resource.get("Properties", {})
        for name in _NAMES:
            if isinstance(properties.get(name), str):
                return str(properties[name])
        return f"${{{logical}}}"

    def _attribute(self, stack: str, logical: str, attribute: str) -> str:
        resource = self.documents[stack]["Resources"][logical]
        properties = resource.get("Properties", {})
        if attribute in ("Arn", "KeyArn"):
            if resource["Type"] == "AWS::IAM::Role":
                return f"arn:aws:iam::{ACCOUNT}:role/{properties.get('RoleName', logical)}"
            if resource["Type"] == "AWS::KMS::Key":
                return f"arn:aws:kms:{REGION}:{ACCOUNT}:{self._alias(stack, logical)}"
        if attribute == "StreamArn":
            return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{properties['TableName']}/stream/1"
        return f"${{{logical}.{attribute}}}"

    def _alias(self, stack: str, key: str) -> str:
        for resource in self.documents[stack]["Resources"].values():
            if resource["Type"] == "AWS::KMS::Alias":
                target = resource["Properties"]["TargetKeyId"]
                if target in ({"Ref": key}, {"Fn::GetAtt": [key, "Arn"]}):
                    return str(resource["Properties"]["AliasName"])
        return f"key/{key}"
