"""A tick of the export sensor with nothing to do, beside a bare receive from the same empty queue."""

import statistics
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

from local_aws.process import running

TICKS = 200


def main() -> dict[str, Any]:
    """Median milliseconds of a tick and of a receive, taken in turn, and their ratio."""
    import os

    import dagster as dg

    warnings.simplefilter("ignore", dg.BetaWarning)
    with running() as server:
        before = dict(os.environ)
        os.environ.update(server.environment)
        try:
            with dg.DagsterInstance.ephemeral() as instance:
                tick, receive = _calls(instance)
                pairs = [(_seconds(tick), _seconds(receive)) for _ in range(TICKS)]
        finally:
            os.environ.clear()
            os.environ.update(before)
    ticks, receives = (sorted(times) for times in zip(*pairs, strict=True))
    found = {
        "ticks": TICKS,
        "tick_ms": round(statistics.median(ticks) * 1000, 2),
        "receive_ms": round(statistics.median(receives) * 1000, 2),
    }
    return {**found, "ratio": round(found["tick_ms"] / found["receive_ms"], 2)}


def _calls(instance: Any) -> tuple[Callable[[], object], Callable[[], object]]:
    import dagster as dg

    from privacy_assets.definitions import defs
    from privacy_assets.demo.command import provision_estate
    from resources import clients, settings

    provision_estate(generated=True)
    definitions = defs()
    sensor = definitions.resolve_sensor_def("export_complete")
    repository = definitions.get_repository_def()
    resources = repository.get_top_level_resources()
    sqs = clients.client("sqs")
    queue = sqs.get_queue_url(QueueName=settings.EXPORT_QUEUE.value())["QueueUrl"]

    def tick() -> object:
        with dg.build_sensor_context(instance, repository_def=repository, resources=resources) as context:
            return sensor.evaluate_tick(context)

    return tick, lambda: sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started
