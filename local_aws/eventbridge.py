"""Delivery of events to the targets of rules: the whole event, or what the target's input makes of it.

Moto delivers to disabled rules too, drops parts of the event, and stops at the first target it doesn't know.
"""

import copy
import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.events import models
from moto.events.models import Rule, events_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

from local_aws.context import Context

Event = dict[str, Any]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_PLACEHOLDER = re.compile(r"<([^<>\s]+)>")
_moto_send_to_targets = Rule.send_to_targets


def install(_: Context) -> None:
    """Put this engine into moto's place."""
    models.Rule.send_to_targets = _send_to_targets  # type: ignore[assignment,method-assign]  # no other way in


def publish(account: str, region: str, event: Event) -> None:
    """Give an event of an AWS service to the rules of the default bus."""
    for rule in list(events_backends[account][region].event_buses["default"].rules.values()):
        rule.send_to_targets(event)  # type: ignore[arg-type]  # moto's type spells out every key


def _send_to_targets(rule: Rule, event: Event, transform_input: bool = True) -> None:  # noqa: ARG001 - moto's
    if rule.state == "DISABLED" or rule.event_pattern.dump() is None:
        return
    if not rule.event_pattern.matches_event(event):  # type: ignore[arg-type]  # as above
        return
    for target in list(rule.targets):
        try:
            _send(rule, target, event)
        except ServiceException as error:
            _bury(rule, target, event, error)


def _send(rule: Rule, target: dict[str, Any], event: Event) -> None:
    arn = parse_arn(target["Arn"])
    if arn.service == "sqs":
        sqs_backends[arn.account][arn.region].send_message(
            arn.resource_id,
            message_for(target, event),
            group_id=target.get("SqsParameters", {}).get("MessageGroupId"),
        )
    elif arn.service == "sns":
        sns_backends[arn.account][arn.region].publish(message_for(target, event), arn=target["Arn"])
    else:
        alone = copy.copy(rule)
        alone.targets = [target]
        try:
            _moto_send_to_targets(alone, dict(event), transform_input=False)  # type: ignore[arg-type]  # as above
        except NotImplementedError:
            sys.stderr.write(f"events: rule {rule.name}: targets of {arn.service} are not supported\n")


def _bury(rule: Rule, target: dict[str, Any], event: Event, error: ServiceException) -> None:
    """Where a target is gone its dead letter queue gets the event, with the reason as EventBridge gives it.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    if queue is None:
        return
    arn = parse_arn(queue)
    reasons = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": error.message,
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in reasons.items()}
    sqs_backends[arn.account][arn.region].send_message(
        arn.resource_id, _body(event), message_attributes=attributes
    )


def message_for(target: dict[str, Any], event: Event) -> str:
    """What a target receives: its constant input, a part of the event, a template filled in, or the event."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_at(_plain(event), target["InputPath"]))
    transformer = target.get("InputTransformer")
    if transformer:
        return _filled(transformer, _plain(event))
    return _body(event)


def _body(event: Event) -> str:
    return json.dumps(_plain(event))


def _plain(event: Event) -> Event:
    """The event as it travels: the time as text, and nothing of moto's own."""
    plain = {name: value for name, value in event.items() if name != "ingestion-time"}
    when = plain.get("time")
    if isinstance(when, int | float) or (isinstance(when, str) and when.replace(".", "", 1).isdigit()):
        plain["time"] = datetime.fromtimestamp(float(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return plain


def _at(event: Event, path: str) -> Any:
    """The value at ``$.name.name[0]``; None where there is nothing."""
    value: Any = event
    for name, index in _STEP.findall(path.removeprefix("$")):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif name and isinstance(value, dict):
            value = value.get(name)
        else:
            return None
    return value


def _filled(transformer: dict[str, Any], event: Event) -> str:
    """The template with its variables: bare ones as JSON, those within quotes as text.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    template = transformer["InputTemplate"]
    values = {name: _at(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    values["aws.events.event.json"] = event
    values["aws.events.event"] = {name: value for name, value in event.items() if name != "detail"}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            return match.group(0)
        value = json.dumps(values[name])
        before = template[: match.start()].replace('\\"', "")
        quoted = before.count('"') % 2 == 1
        if not quoted:
            return value
        return value[1:-1] if isinstance(values[name], str) else json.dumps(value)[1:-1]

    return _PLACEHOLDER.sub(fill, template)
