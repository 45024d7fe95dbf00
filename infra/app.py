"""``python -m infra.app``: synthesizes every stage, or the one that STAGE names, into CDK_OUTDIR."""

import os
import sys

import aws_cdk as cdk

from infra.data import DataStack
from infra.declared import Declared
from infra.kinds import UnknownKindError
from infra.messaging import MessagingStack
from infra.stages import StageError, chosen


def build(app: cdk.App, stage: str | None) -> None:
    """The stacks of the stages."""
    for name, settings in chosen(stage).items():
        declared = Declared(settings)
        env = cdk.Environment(account=settings.account, region=settings.region)
        prefix = f"privacy-{name}"
        data = DataStack(app, f"{prefix}-data", declared, env=env)
        messaging = MessagingStack(app, f"{prefix}-messaging", declared, data.site.streams, env=env)
        messaging.add_stack_dependency(data)
        cdk.Tags.of(app).add("application", "privacy-assets")


def main() -> None:
    app = cdk.App(analytics_reporting=False)
    try:
        build(app, os.environ.get("STAGE") or app.node.try_get_context("stage"))
    except (StageError, UnknownKindError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    app.synth()


if __name__ == "__main__":
    main()
