"""``python -m infra.app``: synthesizes every stage, or the one that STAGE names, into CDK_OUTDIR.

With NAG set, cdk-nag looks at it too; the exit code is not 0 when it finds what ``nag.py`` does not accept.
The context ``services=none`` leaves out that services run: so a first deployment begins (``deploy.sh``).
"""

import os
import sys

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra import nag
from infra.compute import ComputeStack
from infra.data import DataStack
from infra.declared import Declared
from infra.kinds import UnknownKindError
from infra.messaging import MessagingStack
from infra.observability import ObservabilityStack
from infra.parts import MissingPolicyError
from infra.stages import StageError, chosen


def build(app: cdk.App, stage: str | None, image_tag: str, *, services: bool) -> None:
    """The stacks of the stages, with images of one tag; with ``services`` or none that runs."""
    for name, settings in chosen(stage).items():
        declared = Declared(settings)
        env = cdk.Environment(account=settings.account, region=settings.region)
        prefix = f"privacy-{name}"
        data = DataStack(app, f"{prefix}-data", declared, env=env)
        messaging = MessagingStack(app, f"{prefix}-messaging", declared, data.site.streams, env=env)
        messaging.add_stack_dependency(data)
        compute = ComputeStack(app, f"{prefix}-compute", declared, image_tag, services=services, env=env)
        compute.add_stack_dependency(messaging)
        observability = ObservabilityStack(app, f"{prefix}-observability", declared, compute, env=env)
        for stack in (data, messaging, compute, observability):
            nag.accept(stack)
        cdk.Tags.of(app).add("application", "privacy-assets")


def _services(app: cdk.App) -> bool:
    """Whether services run. Raises StageError."""
    wanted = app.node.try_get_context("services")
    if wanted not in (None, "none"):
        raise StageError(f"context services={wanted}: expected none, or nothing for all that there are")
    return wanted is None


def main() -> None:
    app = cdk.App(analytics_reporting=False)
    try:
        build(
            app,
            os.environ.get("STAGE") or app.node.try_get_context("stage"),
            os.environ.get("IMAGE_TAG", "0.1.0"),
            services=_services(app),
        )
    except (MissingPolicyError, StageError, UnknownKindError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    if os.environ.get("NAG"):
        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
