"""The stack of what is on its way: queues with their dead letters, topics, pipes, event rules."""

import aws_cdk as cdk
from constructs import Construct

from infra import kinds
from infra.declared import Declared
from infra.kinds import Site
from infra.names import ALERT_KEY


class MessagingStack(cdk.Stack):
    """All declared resources that pass messages on."""

    def __init__(
        self, scope: Construct, name: str, declared: Declared, streams: dict[str, str], **rest: object
    ) -> None:
        super().__init__(scope, name, termination_protection=True, **rest)
        self.site = Site(self, declared.stage, streams=streams)
        key = kinds.key(
            self.site,
            ALERT_KEY,
            "Alerts on their way to people",
            (
                "budgets.amazonaws.com",
                "cloudwatch.amazonaws.com",
                "events.amazonaws.com",
                "sns.amazonaws.com",
            ),
        )
        self.site.topic_key = key.attr_arn
        made: dict[str, cdk.CfnResource] = {}
        for resource in declared.resources:
            kind = kinds.KINDS.get(resource.kind)
            if kind is not None and kind.stack == "messaging":
                made[f"{resource.kind} {resource.name}"] = kinds.make(self.site, resource)
        for resource in declared.resources:
            if resource.kind == "queue" and (dead := resource.shape.get("dead letters")):
                dead_letters = dead["queue"].rpartition(":")[2]
                made[f"queue {resource.name}"].add_resource_dependency(made[f"queue {dead_letters}"])
            if resource.kind in ("rule", "pipe"):
                for other in declared.of("queue"):
                    made[f"{resource.kind} {resource.name}"].add_resource_dependency(made[f"queue {other}"])
