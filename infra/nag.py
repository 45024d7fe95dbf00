"""What cdk-nag (AwsSolutions) finds and we accept, each with its reason; all else fails ``make infra``."""

import re
from collections.abc import Iterator
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

_MONITORING = "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
ACCEPTED = {
    "AwsSolutions-DDB3": "Rows of the API's state expire within a day; nobody would bring them back.",
    "AwsSolutions-EC23": "The load balancer is the one way in: TLS, the firewall, and a sign-in or a token.",
    "AwsSolutions-ECS2": "Names of resources and numbers; secrets come from Secrets Manager.",
    "AwsSolutions-GL1": "A crawler's log names files and tables, and holds no values.",
    f"AwsSolutions-IAM4[Policy::{_MONITORING}]": "AWS's own policy for RDS to write its metrics.",
    "AwsSolutions-RDS11": "No address outside of the network reaches the port, whatever its number.",
    "AwsSolutions-SQS3": "It holds dead letters itself: those of the pipes, which no queue's policy names.",
}
"""Findings that hold for one kind of resource."""

WILDCARDS = {
    r"\*": "The API knows no resources for these actions (Service Authorization Reference).",
    r"arn:aws:dynamodb:.*:table/[^*]+/(export|stream)/\*": "They get their names when they are made.",
    r"arn:aws:dynamodb:.*:table/[^*]+/index/\*": "The indexes of one table, which its owner adds.",
    r"arn:aws:ecs:.*:task-definition/privacy-run:\*": "Each release is a revision of the one family.",
    r"arn:aws:ecs:.*:task/privacy-assets/\*": "Tasks get their names when they start, in the one cluster.",
    r"arn:aws:glue:.*:table/[^*/]+/\*": "The database is the product's own; runs make its tables.",
    r"arn:aws:kms:.*:key/\*": "One key, by its alias, which the statement's condition names.",
    r"arn:aws:logs:.*:log-group:(/aws-glue|/privacy-assets)/.*\*": "Our own groups; streams get names late.",
    r"arn:aws:rds-db:.*:dbuser:\*/dagster": "One user, of the one database of the account that has it.",
    r"arn:aws:s3:::[^*]+/\*": "Objects of one bucket, or of one prefix of it.",
    r"arn:aws:secretsmanager:.*:secret:[^*]+/\*": "The API's own; Secrets Manager ends names.",
}
"""Resources of policies that hold a wildcard."""


def accept(stack: cdk.Stack) -> None:
    """Acknowledge what is accepted in a stack."""
    validations = cdk.Validations.of(stack)
    for finding, reason in ACCEPTED.items():
        validations.acknowledge(cdk.Acknowledgment(id=finding, reason=reason))
    for resource in sorted(set(_wildcards(stack))):
        for pattern, reason in WILDCARDS.items():
            if re.fullmatch(pattern, resource):
                validations.acknowledge(
                    cdk.Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{resource}]", reason=reason)
                )


def _wildcards(stack: cdk.Stack) -> Iterator[str]:
    for construct in stack.node.find_all():
        if isinstance(construct, iam.CfnRole) and construct.policies:
            for policy in stack.resolve(construct.policies):
                for statement in policy["policyDocument"]["Statement"]:
                    yield from (each for each in _listed(statement["Resource"]) if _is_open(each))


def _is_open(resource: Any) -> bool:
    return isinstance(resource, str) and "*" in resource


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
