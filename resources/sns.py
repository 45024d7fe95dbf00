"""The topic that people are alerted through."""

from typing import Any

import dagster as dg

from resources import clients


class AlertResource(dg.ConfigurableResource[Any]):
    """The SNS topic of alerts.  What is published here leaves the account's walls: never a personal value."""

    topic_arn: str

    def publish(self, subject: str, message: str) -> str:
        """Publish; answers the message's id.  SNS allows a subject 100 characters of one line."""
        line = " ".join(subject.split())[:100]
        answer = clients.client("sns").publish(TopicArn=self.topic_arn, Subject=line, Message=message)
        return str(answer["MessageId"])
