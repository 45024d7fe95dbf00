"""Metrics of our own in CloudWatch."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from resources import clients
from resources.measures import NAMESPACE


class HealthResource(dg.ConfigurableResource[Any]):
    """Tells CloudWatch what is wrong. Its alarms fire when nothing is told, too."""

    def tell(self, measured: Mapping[str, float]) -> None:
        """One value a metric, as of now."""
        clients.client("cloudwatch").put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {"MetricName": name, "Value": value, "Unit": "Count"} for name, value in measured.items()
            ],
        )
