"""EventBridge Pipes that run: DynamoDB stream, filter, SQS queue; what fails goes to the dead letters."""

from functools import partial

from moto.pipes.models import pipes_backends

from local_aws.context import Context
from local_aws.pipes import routes
from local_aws.pipes.backend import Backend
from local_aws.pipes.engine import Engine


def install(context: Context) -> None:
    """Put this engine into moto's place."""
    engine = Engine(context)
    Backend.engine = engine
    pipes_backends.backend = Backend
    context.routes["pipes/flush"] = partial(routes.flush, engine)
    context.on_start.append(engine.start)
    context.on_stop.append(engine.stop)
    context.on_reset.append(engine.stop)
    context.counts["pipes_running"] = engine.count
